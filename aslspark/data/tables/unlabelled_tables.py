"""Tables of pixels or of landmarks -> a DataFrame of rows to score, with the row numbers and reasons of ingest.

Every row is there; one that cannot be used has its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.data.files.store_files import StoreFiles, plain_path
from aslspark.data.picture_column import picture_column, pixel_bytes
from aslspark.data.samples import HAND_COLUMN
from aslspark.data.tables.csv_lines import BadRow
from aslspark.data.tables.labelled_tables import runs_of_blocks
from aslspark.data.tables.landmark_hands import TableHands, hands_of_points
from aslspark.data.tables.landmark_layout import LandmarkLayout, landmark_layout
from aslspark.data.tables.parse_landmarks import parse_landmarks
from aslspark.data.tables.parse_pixels import parse_lines
from aslspark.data.tables.pixel_layout import PIXELS, SIDE, Layout, pixel_places
from aslspark.data.tables.table_lines import TableLayout, check_header, hands_of_lines, label_text, lines_of_files
from aslspark.images.decoding import RAW, UNUSABLE
from aslspark.images.hands.hand import HAND_FIELDS, null_hands

SCHEMA = (
    "source string, row long, label string, pixels struct<height: int, width: int, channels: int, data: binary, "
    f"encoding: string, {UNUSABLE}: string>"
)
UNREAD = "unread"
_HAND = ", ".join(f"{name}: {kind}" for name, kind in HAND_FIELDS.items())
LANDMARK_SCHEMA = f"source string, row long, label string, {HAND_COLUMN} struct<{_HAND}>, {UNREAD} string"


def table_rows(spark: SparkSession, store: StoreFiles, names: Mapping[str, str]) -> DataFrame:
    """Read tables of pixels, or of landmarks, to be scored.

    Parameters
    ----------
    names : mapping of str to str
        Short names by qualified path.

    Returns
    -------
    DataFrame
        source (string), row (long, its number in the source from 1), label (string as written, or null) and pixels:
        `samples.PICTURE_TYPE` with UNUSABLE (string), why the row cannot be used, or null. Of landmarks, in place of
        pixels: HAND_COLUMN (`samples.HAND_TYPE`) and UNREAD (string), that reason.

    Raises
    ------
    AslsparkError
        Naming a file that has no header of such a table, is of another kind than the first, is damaged, or is passed
        over by Spark.
    """
    layouts = {path: check_header(store, path, label=False) for path in names}
    hands = {
        path: hands_of_lines(lines_of_files(spark, [path]), layout)
        for path, layout in layouts.items()
        if isinstance(layout, LandmarkLayout)
    }
    if hands and len(hands) < len(layouts):
        raise AslsparkError(f"{names[min(hands)]} is a table of landmarks, others are of pixels: score each by itself")
    by_label: dict[int | None, list[str]] = {}
    for path, layout in layouts.items():
        by_label.setdefault(layout.label, []).append(path)
    parts = []
    for place, paths in by_label.items():
        lines = lines_of_files(spark, paths)
        label = F.lit(None).cast("string") if place is None else F.expr(label_text(place))
        parts.append(lines.withColumn("label", label))
    lines = reduce(DataFrame.unionByName, parts)
    blocks = _lines_before(store, lines, names)
    plain_paths = {path: plain_path(path) for path, _ in blocks}
    of_path: dict[str, tuple[str, TableLayout, TableHands]] = {}
    for path, name in names.items():
        table = (name, layouts[path], hands.get(path, TableHands()))
        of_path |= {plain_path(path): table, plain_path(store.as_uri(path)): table}
    if unread := set(names.values()) - {of_path[plain][0] for plain in plain_paths.values()}:
        raise AslsparkError(f"{min(unread)} is passed over by Spark: give it a name without a leading _ or .")
    columns = lines.select("value", "path", "start", "label")
    parse = _parse({path: of_path[plain] for path, plain in plain_paths.items()}, blocks)
    return columns.mapInArrow(parse, LANDMARK_SCHEMA if hands else SCHEMA)


def landmark_frame(frame: DataFrame, name: str) -> DataFrame:
    """Read a DataFrame of landmarks to be scored; see `table_rows`. Its rows have no number.

    Parameters
    ----------
    frame : DataFrame
        x0, y0, (z0,) and so on, as numbers or strings, and perhaps label.
    name : str
        For `source`, and for errors.
    """
    layout = landmark_layout(frame.columns, name, label=False)
    coordinates = [frame.columns[place] for place in layout.points]
    texts = [F.coalesce(F.col(f"`{column}`").cast("string"), F.lit("")) for column in coordinates]
    value = F.translate(F.concat_ws(",", *texts), "\r\n", "  ").alias("value")
    label = F.lit(None) if layout.label is None else F.col(f"`{frame.columns[layout.label]}`")
    lines = frame.select(value, label.cast("string").alias("label"))
    of_lines = LandmarkLayout(len(coordinates), None, tuple(range(len(coordinates))), layout.axes)
    hands = hands_of_lines(lines, of_lines)

    def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (_landmark_rows(name, None, batch.column(0), batch.column(1), of_lines, hands) for batch in batches)

    return lines.mapInArrow(parse, LANDMARK_SCHEMA)


def with_pixels(frame: DataFrame) -> DataFrame:
    """Gather the columns pixel1, pixel2 and so on of a DataFrame in one, `pixels` (array); the others stay."""
    places = pixel_places(frame.columns)
    gathered = F.array(*(F.col(f"`{frame.columns[place]}`") for place in places)).alias("pixels")
    others = [F.col(f"`{name}`") for place, name in enumerate(frame.columns) if place not in set(places)]
    return frame.select(*others, gathered)


def _lines_before(store: StoreFiles, lines: DataFrame, names: Mapping[str, str]) -> dict[tuple[str, int], int]:
    """Count the lines before each block of a file that one task reads, the header included."""
    try:
        counted = lines.groupBy("path", "start").count().collect()
    except Exception:
        for path in names:
            store.check_to_end(path)  # Spark does not name a damaged file
        raise
    before: dict[tuple[str, int], int] = {}
    passed: Counter[str] = Counter()
    for row in sorted(counted, key=lambda row: (row["path"], row["start"])):
        before[row["path"], row["start"]] = passed[row["path"]]
        passed[row["path"]] += row["count"]
    return before


def _parse(
    tables: Mapping[str, tuple[str, TableLayout, TableHands]], before: Mapping[tuple[str, int], int]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Make the function for mapInArrow that parses lines with path, start and label to rows of either schema."""

    def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        key, seen = None, 0
        for batch in batches:
            for run in runs_of_blocks(batch):
                path, start = run_key = (run.column(1)[0].as_py(), run.column(2)[0].as_py())
                if run_key != key:
                    key, seen = run_key, 0
                if start == 0 and seen == 0:
                    run, seen = run.slice(1), 1
                name, layout, hands = tables[path]
                # Where settings split files differently than in the count, a row lacks its number, but is not lost.
                lines_before = before.get(run_key)
                first = None if lines_before is None else lines_before + seen
                values, labels = run.column(0), run.column(3)
                if isinstance(layout, LandmarkLayout):
                    yield _landmark_rows(name, first, values, labels, layout, hands)
                else:
                    yield _rows(name, first, values, labels, layout)
                seen += run.num_rows

    return parse


def _rows(name: str, first: int | None, lines: pa.Array, labels: pa.Array, layout: Layout) -> pa.RecordBatch:
    count = len(lines)
    parsed = parse_lines(lines, layout._replace(label=None))
    pixels = np.zeros((count, PIXELS), np.uint8)
    pixels[parsed.good] = parsed.pixels
    picture = picture_column(pixel_bytes(pixels), (SIDE, SIDE, 1), RAW, _reasons(parsed.bad, count))
    columns = [*_origin(name, first, count), labels, picture]
    return pa.RecordBatch.from_arrays(columns, names=["source", "row", "label", "pixels"])


def _landmark_rows(
    name: str, first: int | None, lines: pa.Array, labels: pa.Array, layout: LandmarkLayout, hands: TableHands
) -> pa.RecordBatch:
    count = len(lines)
    parsed = parse_landmarks(lines, layout._replace(label=None))
    column = pa.concat_arrays([hands_of_points(parsed.points, hands), null_hands(1)])
    places = np.full(count, len(parsed.good))
    places[parsed.good] = np.arange(len(parsed.good))
    columns = [*_origin(name, first, count), labels, column.take(pa.array(places)), _reasons(parsed.bad, count)]
    return pa.RecordBatch.from_arrays(columns, names=["source", "row", "label", HAND_COLUMN, UNREAD])


def _origin(name: str, first: int | None, count: int) -> list[pa.Array]:
    """Return source and row; with explicit types, since a batch of the header alone has no rows."""
    numbers = pa.nulls(count, pa.int64()) if first is None else pa.array(np.arange(first, first + count))
    return [pa.array([name] * count, pa.string()), numbers]


def _reasons(bad_rows: Iterable[BadRow], count: int) -> pa.Array:
    reasons: list[str | None] = [None] * count
    for bad in bad_rows:
        reasons[bad.line] = f"{bad.reason}: {bad.detail}"
    return pa.array(reasons, pa.string())

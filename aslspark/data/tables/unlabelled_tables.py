"""Pixel tables -> a DataFrame of rows to score, with the pixels, row numbers and reasons that ingest gives.

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
from aslspark.data.tables.labelled_tables import check_header, label_text, lines_of_files, runs_of_blocks
from aslspark.data.tables.parse_pixels import parse_lines
from aslspark.data.tables.pixel_layout import PIXELS, SIDE, Layout
from aslspark.images.decoding import RAW, UNUSABLE

SCHEMA = (
    "source string, row long, label string, pixels struct<height: int, width: int, channels: int, data: binary, "
    f"encoding: string, {UNUSABLE}: string>"
)


def table_rows(spark: SparkSession, store: StoreFiles, names: Mapping[str, str]) -> DataFrame:
    """Read pixel tables to be scored.

    Parameters
    ----------
    spark : SparkSession
    store : StoreFiles
    names : mapping of str to str
        Short names by qualified path.

    Returns
    -------
    DataFrame
        source (string), row (long, its number in the source from 1), label (string as written, or null) and pixels:
        `samples.PICTURE_TYPE` with UNUSABLE (string), why the row cannot be used, or null.

    Raises
    ------
    AslsparkError
        Naming a file that has no header of a pixel table, is damaged, or is passed over by Spark.
    """
    layouts = {path: check_header(store, path, label=False) for path in names}
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
    of_path = {plain_path(path): (name, layouts[path]) for path, name in names.items()}
    of_path |= {plain_path(store.as_uri(path)): (name, layouts[path]) for path, name in names.items()}
    if unread := set(names.values()) - {of_path[plain][0] for plain in plain_paths.values()}:
        raise AslsparkError(f"{min(unread)} is passed over by Spark: give it a name without a leading _ or .")
    columns = lines.select("value", "path", "start", "label")
    return columns.mapInArrow(_parse({path: of_path[plain] for path, plain in plain_paths.items()}, blocks), SCHEMA)


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
    tables: Mapping[str, tuple[str, Layout]], before: Mapping[tuple[str, int], int]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Make the function for mapInArrow that parses lines with path, start and label to rows of SCHEMA."""

    def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        key, seen = None, 0
        for batch in batches:
            for run in runs_of_blocks(batch):
                path, start = run_key = (run.column(1)[0].as_py(), run.column(2)[0].as_py())
                if run_key != key:
                    key, seen = run_key, 0
                if start == 0 and seen == 0:
                    run, seen = run.slice(1), 1
                name, layout = tables[path]
                # Where settings split files differently than in the count, a row lacks its number, but is not lost.
                lines_before = before.get(run_key)
                first = None if lines_before is None else lines_before + seen
                yield _rows(name, first, run.column(0), run.column(3), layout)
                seen += run.num_rows

    return parse


def _rows(name: str, first: int | None, lines: pa.Array, labels: pa.Array, layout: Layout) -> pa.RecordBatch:
    count = len(lines)
    parsed = parse_lines(lines, layout._replace(label=None))
    pixels = np.zeros((count, PIXELS), np.uint8)
    pixels[parsed.good] = parsed.pixels
    reasons: list[str | None] = [None] * count
    for bad in parsed.bad:
        reasons[bad.line] = f"{bad.reason}: {bad.detail}"
    numbers = pa.nulls(count, pa.int64()) if first is None else pa.array(np.arange(first, first + count))
    picture = picture_column(pixel_bytes(pixels), (SIDE, SIDE, 1), RAW, pa.array(reasons, pa.string()))
    # With explicit types, since a batch of the header alone has no rows.
    columns = [pa.array([name] * count, pa.string()), numbers, labels, picture]
    return pa.RecordBatch.from_arrays(columns, names=["source", "row", "label", "pixels"])

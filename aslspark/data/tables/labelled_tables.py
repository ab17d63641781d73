"""Pixel tables -> samples, in two passes over their lines.

Pass 1 counts lines in the JVM. From the counts follow, before parsing, the number of rows, the row number of each
block's first line, and the place of each row among those of its source and label. Pass 2 parses, and needs no shuffle
to number or split the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.labels import LETTER_OF_NUMBER
from aslspark.data.files.store_files import StoreFiles, no_pattern
from aslspark.data.picture_column import picture_column, pixel_bytes
from aslspark.data.tables.parse_pixels import ParsedLines, parse_lines
from aslspark.data.tables.pixel_layout import PIXELS, PLAIN, SIDE, Layout, layout_of_line, layout_of_names
from aslspark.images.decoding import RAW

QUARANTINE = "quarantine"
"""Value of the column `split` of rows that cannot be used, until ingest moves them to the quarantine."""

CHANGED = "changed while it was being read"
NO_LABEL = -1
LETTERS = pa.array([LETTER_OF_NUMBER.get(number) for number in range(256)], pa.string())

Blocks = Mapping[tuple[str, int], "Block"]


@dataclass(frozen=True)
class Block:
    """A run of lines of one file that one task reads; label numbers are those of pass 1."""

    source: str
    lines: int
    has_header: bool
    rows_before: int
    label_before: Mapping[int, int]
    label_total: Mapping[int, int]
    splits: tuple[str, ...]
    layout: Layout = PLAIN


def check_header(files: StoreFiles, path: str, *, label: bool = True) -> Layout:
    """Read the header of a pixel table.

    Parameters
    ----------
    files : StoreFiles
    path : str
    label : bool
        Whether labels are required.

    Raises
    ------
    AslsparkError
        Naming the file and what is wrong with its header; see `aslspark.data.tables.pixel_layout.layout_of_line`.
    """
    return layout_of_line(files.first_line(path), path, label=label)


def lines_of_files(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Read files, or folders from `write_lines`, as lines.

    Returns
    -------
    DataFrame
        value (string), path (string) and start (long), the offset of the line's block in the file.
    """
    text = (
        spark.read.option("ignoreCorruptFiles", "false")
        .option("ignoreMissingFiles", "false")
        .text([no_pattern(path) for path in paths])
    )
    return text.select(
        "value",
        F.col("_metadata.file_path").alias("path"),
        F.col("_metadata.file_block_start").alias("start"),
    )


def write_lines(frame: DataFrame, folder: str) -> None:
    """Write a table in memory as lines of a pixel table, without a header and in its order, to be read like files.

    Its own partitions cannot serve as blocks: Spark may partition the same table differently in each pass.
    """
    layout = layout_of_names(frame.columns, "the table")
    names = [frame.columns[place].replace("`", "``") for place in (layout.label, *layout.pixels) if place is not None]
    fields = [F.coalesce(F.col(f"`{name}`").cast("string"), F.lit("")) for name in names]
    # A line end within a value must not split a row.
    frame.select(F.translate(F.concat_ws(",", *fields), "\r\n", "  ").alias("value")).write.text(folder)


def labelled_lines(spark: SparkSession, layouts: Mapping[str, Layout]) -> DataFrame:
    """Read files, or folders from `write_lines`, as lines with their label numbers.

    Parameters
    ----------
    spark : SparkSession
    layouts : mapping of str to Layout
        By path.

    Returns
    -------
    DataFrame
        The columns of `lines_of_files` and `label` (int): the label number if it is from 0 to 99, else -1. The bounds
        keep a file of other content from making millions of groups in pass 1.
    """
    by_place: dict[int, list[str]] = {}
    for path, layout in layouts.items():
        assert layout.label is not None
        by_place.setdefault(-1 if layout.label == layout.columns - 1 else layout.label, []).append(path)
    parts = []
    for place, paths in by_place.items():
        # try_cast: text must give null, not an error, in ANSI mode too.
        number = F.expr(f"try_cast({label_text(place)} AS double)")
        label = F.when(number.between(0, 99), number.cast("int")).otherwise(NO_LABEL)
        parts.append(lines_of_files(spark, paths).withColumn("label", label))
    return reduce(DataFrame.unionByName, parts)


def label_text(place: int) -> str:
    """Return SQL for the field at a place of the line `value` (-1: the last), without spaces and quotes."""
    # substring_index stops at the comma; substring counts the characters of the whole line.
    field = "substring_index(value, ',', -1)"
    if place >= 0:
        field = f"substring_index(substring_index(value, ',', {place + 1}), ',', -1)"
    if place == 0:
        field = "substring_index(value, ',', 1)"
    return f"""trim(BOTH ' "\t' FROM {field})"""


def count_lines(lines: DataFrame) -> dict[tuple[str, int], Counter[int]]:
    """Pass 1: count the lines of each block and label number, headers included."""
    counts: dict[tuple[str, int], Counter[int]] = {}
    for row in lines.groupBy("path", "start", "label").count().collect():
        counts.setdefault((row["path"], row["start"]), Counter())[row["label"]] = row["count"]
    return counts


def place_blocks(
    counts: Mapping[tuple[str, int], Counter[int]],
    source_of: Mapping[str, str],
    header_at: Callable[[str, int], bool],
    splits_of: Mapping[str, tuple[str, ...]],
    layout_of: Mapping[str, Layout],
) -> dict[tuple[str, int], Block]:
    """Compute what pass 2 needs to number and split the rows of each block.

    Parameters
    ----------
    counts : mapping
        From `count_lines`.
    source_of : mapping of str to str
        Short names by path.
    header_at : function of path and start
        Whether the block begins with a header.
    splits_of : mapping of str to tuple of str
        Splits of the contiguous runs of rows of one label, by short name.
    layout_of : mapping of str to Layout
        By short name; without an entry PLAIN, as `write_lines` writes.
    """
    headers = {key: Counter({NO_LABEL: 1} if header_at(*key) else {}) for key in counts}
    totals: dict[str, Counter[int]] = {source: Counter() for source in splits_of}
    for key, lines in counts.items():
        totals[source_of[key[0]]] += lines - headers[key]
    blocks = {}
    before: dict[str, Counter[int]] = {source: Counter() for source in splits_of}
    for key, lines in sorted(counts.items()):
        source = source_of[key[0]]
        blocks[key] = Block(
            source=source,
            lines=lines.total(),
            has_header=bool(headers[key]),
            rows_before=before[source].total(),
            label_before=dict(before[source]),
            label_total=totals[source],
            splits=splits_of[source],
            layout=layout_of.get(source, PLAIN),
        )
        before[source] += lines - headers[key]
    return blocks


def parse_blocks(blocks: Blocks) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Pass 2, for mapInArrow: parse lines with path, start and label to rows of `SAMPLE_SCHEMA`.

    A bad row has the split 'quarantine'. Its row number is packed into `id`, its reason into `label`, and its detail
    into `signer`.
    """

    def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        key, seen, seen_of_label = None, 0, Counter[int]()
        for batch in batches:
            for run in runs_of_blocks(batch):
                run_key = (run.column(1)[0].as_py(), run.column(2)[0].as_py())
                if run_key != key:
                    _check_block(blocks, key, seen)
                    key, seen, seen_of_label = run_key, 0, Counter()
                if key not in blocks:
                    raise ValueError(f"{key[0]} {CHANGED}")
                block = blocks[key]
                if block.has_header and seen == 0:
                    run, seen = run.slice(1), 1
                labels = run.column(3).to_numpy()
                splits = _splits(block, labels, seen_of_label)
                first_row = block.rows_before + seen - block.has_header + 1
                yield from _samples(block.source, first_row, parse_lines(run.column(0), block.layout), splits)
                seen += run.num_rows
        _check_block(blocks, key, seen)

    return parse


def runs_of_blocks(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Split a batch where the block of its lines changes."""
    if batch.num_rows == 0:
        return
    path = batch.column(1).dictionary_encode().indices.to_numpy()
    start = batch.column(2).to_numpy()
    ends = np.flatnonzero((np.diff(path) != 0) | (np.diff(start) != 0)) + 1
    for first, end in zip([0, *ends], [*ends, batch.num_rows], strict=True):
        yield batch.slice(first, end - first)


def _check_block(blocks: Blocks, key: tuple[str, int] | None, seen: int) -> None:
    if key is not None and seen != blocks[key].lines:
        raise ValueError(f"{blocks[key].source} {CHANGED}")


def _splits(block: Block, labels: npt.NDArray[np.int32], seen_of_label: Counter[int]) -> pa.Array:
    """Return the split of each row, by its place among the rows of its source and label."""
    runs = np.zeros(len(labels), np.int64)
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        place = block.label_before.get(label, 0) + seen_of_label[label] + np.arange(len(rows))
        # More lines than counted mean a changed file, which _check_block reports at the end of the block.
        total = max(block.label_total.get(label, 0), 1)
        runs[rows] = np.minimum(place * len(block.splits) // total, len(block.splits) - 1)
        seen_of_label[label] += len(rows)
    return pa.array(block.splits, pa.string()).take(pa.array(runs))


def _samples(source: str, first_row: int, parsed: ParsedLines, splits: pa.Array) -> Iterator[pa.RecordBatch]:
    if count := len(parsed.good):
        rows = pa.array(parsed.good + first_row).cast(pa.string())
        yield _batch(
            ids=pc.binary_join_element_wise(pa.scalar(f"{source}:"), rows, ""),
            pixels=parsed.pixels,
            labels=LETTERS.take(pa.array(parsed.numbers)),
            source=source,
            signers=pa.nulls(count, pa.string()),
            splits=splits.take(pa.array(parsed.good)),
        )
    if bad := parsed.bad:
        yield _batch(
            ids=pa.array([str(first_row + row.line) for row in bad]),
            pixels=np.zeros((len(bad), PIXELS), np.uint8),
            labels=pa.array([row.reason for row in bad]),
            source=source,
            signers=pa.array([row.detail for row in bad]),
            splits=pa.array([QUARANTINE] * len(bad)),
        )


def _batch(
    ids: pa.Array, pixels: npt.NDArray[np.uint8], labels: pa.Array, source: str, signers: pa.Array, splits: pa.Array
) -> pa.RecordBatch:
    picture = picture_column(pixel_bytes(pixels), (SIDE, SIDE, 1), RAW)
    columns = [ids, picture, labels, pa.array([source] * len(pixels)), signers, splits]
    return pa.RecordBatch.from_arrays(columns, names=["id", "picture", "label", "source", "signer", "split"])

"""Tables of pixels or landmarks -> samples, in two passes over their lines.

Pass 1 counts lines in the JVM. From the counts follow, before parsing, the number of rows, the row number of each
block's first line, and the place of each row among those of its source and label. Pass 2 parses, and needs no shuffle
to number or split the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aslspark.common.labels import LETTER_OF_NUMBER
from aslspark.data.picture_column import picture_column, pixel_bytes
from aslspark.data.samples import HAND_COLUMN
from aslspark.data.tables.csv_lines import BadRow
from aslspark.data.tables.landmark_hands import TableHands, hands_of_points
from aslspark.data.tables.landmark_layout import LandmarkLayout
from aslspark.data.tables.parse_landmarks import ParsedLandmarks, parse_landmarks
from aslspark.data.tables.parse_pixels import ParsedLines, parse_lines
from aslspark.data.tables.pixel_layout import PLAIN, SIDE, UNKNOWN_LABEL
from aslspark.data.tables.table_lines import NO_LABEL, TableLayout
from aslspark.images.decoding import RAW
from aslspark.images.hands.hand import null_hands

QUARANTINE = "quarantine"
"""Value of the column `split` of rows that cannot be used, until ingest moves them to the quarantine."""

CHANGED = "changed while it was being read"
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
    layout: TableLayout = PLAIN
    hands: TableHands = field(default_factory=TableHands)
    """Of a table of landmarks."""


def place_blocks(
    counts: Mapping[tuple[str, int], Counter[int]],
    source_of: Mapping[str, str],
    header_at: Callable[[str, int], bool],
    splits_of: Mapping[str, tuple[str, ...]],
    layout_of: Mapping[str, TableLayout],
    hands_of: Mapping[str, TableHands],
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
        By short name.
    hands_of : mapping of str to TableHands
        Of tables of landmarks, by short name.
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
            layout=layout_of[source],
            hands=hands_of.get(source, TableHands()),
        )
        before[source] += lines - headers[key]
    return blocks


def parse_blocks(
    blocks: Blocks, shape: tuple[int, int, int] | None = None
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Pass 2, for mapInArrow: parse lines with path, start and label to rows of `SAMPLE_SCHEMA`.

    A bad row has the split 'quarantine'. Its row number is packed into `id`, its reason into `label`, and its detail
    into `signer`.

    Parameters
    ----------
    blocks : mapping
        From `place_blocks`.
    shape : (int, int, int), optional
        Where any table is one of landmarks: rows have HAND_COLUMN too, and rows of landmarks have a picture of this
        shape that is 0 all over, as one that is left out.
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
                if isinstance(block.layout, LandmarkLayout):
                    assert shape is not None
                    parsed_hands = parse_landmarks(run.column(0), block.layout)
                    yield from _hands(block, first_row, run.column(0), parsed_hands, splits, shape)
                else:
                    parsed = parse_lines(run.column(0), block.layout)
                    for rows in _samples(block.source, first_row, parsed, splits):
                        yield rows if shape is None else _with_hands(rows, null_hands(rows.num_rows))
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
    if parsed.bad:
        yield _bad_rows(source, first_row, parsed.bad)


def _hands(
    block: Block,
    first_row: int,
    lines: pa.Array,
    parsed: ParsedLandmarks,
    splits: pa.Array,
    shape: tuple[int, int, int],
) -> Iterator[pa.RecordBatch]:
    labels = [block.hands.letters.get(number) for number in parsed.numbers.tolist()]
    known = np.array([label is not None for label in labels], bool)
    unknown = [
        BadRow(int(line), UNKNOWN_LABEL, f"label is {_label_of(lines[int(line)].as_py(), block.layout)!r}")
        for line in parsed.good[~known]
    ]
    if known.any():
        good = parsed.good[known]
        ids = pc.binary_join_element_wise(
            pa.scalar(f"{block.source}:"), pa.array(good + first_row).cast(pa.string()), ""
        )
        rows = _batch(
            ids=ids,
            pixels=np.zeros((len(good), *shape), np.uint8),
            labels=pa.array([label for label in labels if label is not None]),
            source=block.source,
            signers=pa.nulls(len(good), pa.string()),
            splits=splits.take(pa.array(good)),
        )
        yield _with_hands(rows, hands_of_points(parsed.points[known], block.hands))
    if bad := [*parsed.bad, *unknown]:
        yield _with_hands(_bad_rows(block.source, first_row, bad), null_hands(len(bad)))


def _with_hands(rows: pa.RecordBatch, hands: pa.StructArray) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([*rows.columns, hands], names=[*rows.schema.names, HAND_COLUMN])


def _label_of(line: str, layout: TableLayout) -> str:
    assert layout.label is not None
    return line.split(",")[layout.label].strip()[:40]


def _bad_rows(source: str, first_row: int, bad: Sequence[BadRow]) -> pa.RecordBatch:
    return _batch(
        ids=pa.array([str(first_row + row.line) for row in bad]),
        pixels=np.zeros((len(bad), SIDE, SIDE, 1), np.uint8),
        labels=pa.array([row.reason for row in bad]),
        source=source,
        signers=pa.array([row.detail for row in bad]),
        splits=pa.array([QUARANTINE] * len(bad)),
    )


def _batch(
    ids: pa.Array, pixels: npt.NDArray[np.uint8], labels: pa.Array, source: str, signers: pa.Array, splits: pa.Array
) -> pa.RecordBatch:
    shape = (SIDE, SIDE, 1) if pixels.ndim == 2 else pixels.shape[1:]
    picture = picture_column(pixel_bytes(pixels), shape, RAW)
    columns = [ids, picture, labels, pa.array([source] * len(pixels)), signers, splits]
    return pa.RecordBatch.from_arrays(columns, names=["id", "picture", "label", "source", "signer", "split"])

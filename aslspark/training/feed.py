"""One worker's share of a Parquet sample table, as batches of arrays.

In: a folder of Parquet files with a picture or a hand, and a label. Out: uint8 pictures, features of landmarks, class
numbers and weights.
Imports no framework: both feed from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import TrainingConfig
from aslspark.common.store_path import StorePath, any_path
from aslspark.data.samples import HAND_COLUMN
from aslspark.images.decoding import raw_bytes
from aslspark.training.batches import Batch, Rows, Steps, share_sizes
from aslspark.training.hands import HandInput
from aslspark.training.prefetch import prefetched

FOOTERS_AT_ONCE = 16
"""Asked for in a store at a time: each is a request or two, and a wait."""


@dataclass(frozen=True)
class SampleColumns:
    """In which columns of a table a sample's parts lie."""

    picture: str = "picture"
    """`samples.PICTURE_TYPE` structs, or bytes."""
    label: str = "label"
    hand: str = HAND_COLUMN
    source: str = "source"


USUAL = SampleColumns()
"""Of tables that were ingested."""


@dataclass(frozen=True)
class RowGroup:
    """A piece of a Parquet file that is read as one."""

    path: str
    number: int
    rows: int


@dataclass(frozen=True)
class Piece:
    """The rows from `start` to `stop` of a row group."""

    group: RowGroup
    start: int
    stop: int


def list_row_groups(folder: str) -> list[RowGroup]:
    """List the row groups of every Parquet file below a folder, in an order that is the same everywhere."""
    place = any_path(folder)
    if isinstance(place, StorePath):
        paths = [str(place / name) for name, _ in place.files()]
    else:
        paths = sorted(map(str, place.rglob("*")))
    paths = [path for path in paths if path.endswith(".parquet") and not path.rsplit("/", 1)[-1].startswith(("_", "."))]
    with ThreadPoolExecutor(FOOTERS_AT_ONCE if isinstance(place, StorePath) else 1) as threads:
        footers = list(threads.map(lambda path: parquet_file(path).metadata, paths))
    return [
        RowGroup(path, number, footer.row_group(number).num_rows)
        for path, footer in zip(paths, footers, strict=True)
        for number in range(footer.num_row_groups)
    ]


def parquet_file(path: str, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """Open a Parquet file on a mount or in a store; its footer is not read again where it is given."""
    place = any_path(path)
    if isinstance(place, StorePath):
        # The ranges of a row group's columns that lie side by side are asked for at once.
        return pq.ParquetFile(place.open(), metadata=footer, pre_buffer=True)
    return pq.ParquetFile(path, metadata=footer)


def share_of(groups: Sequence[RowGroup], rank: int, size: int, seed: int) -> list[Piece]:
    """Deal row groups to ranks: every row to exactly one, a rank's rows side by side in as few groups as can be.

    The groups are shuffled first, the same way on every rank: tables are often sorted by label, and neighbours
    in the table would make ranks of few labels each.
    """
    order = np.random.default_rng(seed).permutation(len(groups))
    shares = share_sizes(sum(group.rows for group in groups), size)
    first = sum(shares[:rank])
    last = first + shares[rank]
    pieces = []
    passed = 0
    for place in order:
        group = groups[place]
        start, stop = max(first - passed, 0), min(last - passed, group.rows)
        if start < stop:
            pieces.append(Piece(group, start, stop))
        passed += group.rows
    return pieces


@dataclass(frozen=True)
class RowReader:
    """What is read of each row."""

    labels: Sequence[str]
    """The label list; a row's class number is its label's place here."""
    shape: tuple[int, int, int] | None
    """Height, width, channels of every picture; None: no pictures are read."""
    columns: SampleColumns = USUAL
    weight_of: Mapping[str, float] = field(default_factory=dict)
    """Loss weight by source; 1 where it is not given."""
    hands: HandInput | None = None
    """What is done to hands, where the network takes landmarks."""
    _footers: dict[str, pq.FileMetaData] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Of the files that were read from, by path: each is read once."""

    @property
    def row_bytes(self) -> int:
        """Of pictures and hands, in memory."""
        pictures = int(np.prod(self.shape)) if self.shape is not None else 0
        return pictures + (self.hands.numbers * np.dtype(np.float32).itemsize if self.hands is not None else 0)

    def read(self, pieces: Sequence[Piece]) -> Rows:
        """Read pieces of files one behind the other."""
        table = pa.concat_tables([self._table(piece) for piece in pieces])
        labels = _class_numbers(table.column("label"), self.labels)
        weights = np.ones(len(labels), np.float32)
        if self.weight_of:
            names, codes = np.unique(table.column("source").to_numpy(), return_inverse=True)
            weights = np.array([self.weight_of.get(name, 1.0) for name in names], np.float32)[codes]
        pictures = _picture_bytes(table.column("picture"), self.shape) if self.shape is not None else None
        hands = self.hands.rows(table.column("hand")) if self.hands is not None else None
        return Rows(pictures, labels, weights, hands)

    def _table(self, piece: Piece) -> pa.Table:
        import pyarrow_hotfix  # noqa: F401  (closes CVE-2023-47248 in this process, before anything is read)

        wanted = {"label": True, "picture": self.shape is not None, "hand": self.hands is not None}
        wanted["source"] = bool(self.weight_of)
        columns = {name: getattr(self.columns, name) for name, is_read in wanted.items() if is_read}
        file = parquet_file(piece.group.path, self._footers.get(piece.group.path))
        self._footers[piece.group.path] = file.metadata
        table = file.read_row_group(piece.group.number, columns=list(columns.values()))
        table = table.slice(piece.start, piece.stop - piece.start)
        found = {name: table.column(column) for name, column in columns.items()}
        if self.shape is not None and pa.types.is_struct(found["picture"].type):
            found["picture"] = pa.chunked_array([_data(chunk, self.shape) for chunk in found["picture"].chunks])
        return pa.table(found)


class SampleFeed:
    """One rank's rows of a table, dealt in batches that are made while the one before is trained on.

    Pictures (as bytes) and hands stay in memory while they fit the budget. Otherwise each epoch reads them again, in an
    order of its own, some row groups at a time: rows are shuffled among those, and never more is held than the
    budget (or one row group, where that is larger).

    Parameters
    ----------
    folder : str
        Of the Parquet files.
    batch_size : int
        Rows a step and rank, at most.
    rank, size : int
        This rank among how many.
    seed : int
        Of the order.
    steps : int, optional
        Of an epoch, where the caller has to keep to a number; otherwise as few as `batch_size` allows.
    budget : int
        Bytes of pictures and hands that may be in memory at a time.
    groups : sequence of RowGroup, optional
        The folder's, where they are known already: then no file but this rank's own is opened.
    """

    def __init__(
        self,
        folder: str,
        reader: RowReader,
        *,
        batch_size: int,
        rank: int = 0,
        size: int = 1,
        seed: int = 0,
        steps: int | None = None,
        budget: int = TrainingConfig.cache_mb << 20,
        groups: Sequence[RowGroup] | None = None,
    ) -> None:
        groups = groups or list_row_groups(folder)
        self.rows = sum(group.rows for group in groups)
        shares = share_sizes(self.rows, size)
        if not groups or shares[-1] == 0:
            raise AslsparkError(
                f"{folder}: {counted(self.rows, 'row is', 'rows are')} too few for "
                f"{counted(size, 'process', 'processes')}; each needs one or more"
            )
        self._plan = Steps(shares, batch_size, rank, steps)
        self.steps = self._plan.number
        self._reader, self._rank, self._seed, self._budget = reader, rank, seed, budget
        self._pieces = share_of(groups, rank, size, seed)
        self._kept = reader.read(self._pieces) if shares[rank] * reader.row_bytes <= budget else None

    @property
    def streamed(self) -> bool:
        """Whether each epoch reads the files again."""
        return self._kept is None

    def epoch(self, number: int, shuffle: bool = True) -> Iterator[Batch]:
        """Give every row of this rank once; see `aslspark.training.batches.Feed.epoch`."""
        random = np.random.default_rng((self._seed, self._rank, number)) if shuffle else None
        pools = iter([self._kept]) if self._kept is not None else self._stream(random)
        batches = self._plan.batches(pools, random)
        if self._reader.hands is not None:
            # A generator of its own: the order of the rows is the same with and without hands.
            lots = np.random.default_rng((self._seed, self._rank, number, 1))
            batches = map(partial(self._reader.hands.ready, random=lots), batches)
        return prefetched(batches)

    def _stream(self, random: np.random.Generator | None) -> Iterator[Rows]:
        order = range(len(self._pieces)) if random is None else random.permutation(len(self._pieces)).tolist()
        # In memory at a time: the pool in use, one that is ready and one that is being read.
        most = max(1, self._budget // 3 // self._reader.row_bytes)
        pools: list[list[Piece]] = [[]]
        rows = 0
        for place in order:
            piece = self._pieces[place]
            if pools[-1] and rows + piece.stop - piece.start > most:
                pools.append([])
                rows = 0
            pools[-1].append(piece)
            rows += piece.stop - piece.start
        return prefetched((self._reader.read(pool) for pool in pools), ahead=1)


def _data(pictures: pa.StructArray, shape: tuple[int, int, int]) -> pa.Array:
    """Take the bare pixels out of `samples.PICTURE_TYPE`; structs without `encoding` hold them."""
    fields = dict(zip((field.name for field in pictures.type), pictures.flatten(), strict=True))
    return raw_bytes(fields["data"], fields.get("encoding"), shape)


def _picture_bytes(column: pa.ChunkedArray, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Lay the rows' bytes end to end, without a Python object a row."""
    length = int(np.prod(shape))
    parts = []
    for chunk in column.chunks:
        offsets = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        if not np.all(np.diff(offsets) == length):
            raise AslsparkError(
                f"a picture has {int(np.diff(offsets).max())} bytes where {shape[0]}x{shape[1]}x{shape[2]} "
                f"needs {length}: all pictures of a table must be of one size"
            )
        data = np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        parts.append(data.reshape(-1, *shape))
    return np.concatenate(parts)


def _class_numbers(column: pa.ChunkedArray, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    numbers = pc.index_in(column, value_set=pa.array(labels, pa.string()))
    if numbers.null_count:
        there = {"null" if label is None else label for label in pc.unique(column).to_pylist()}
        unknown = sorted(there - set(labels))
        raise AslsparkError(f"labels {', '.join(unknown)} are not among the model's: {', '.join(labels)}")
    return np.asarray(numbers.to_numpy(), np.int64)

"""Sources of pictures and the splits of these -> rows of the sample table, decoded in Spark batch by batch.

Out: rows of `SAMPLE_SCHEMA` with hashes; pictures that cannot be used as rows for the quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from aslspark.common.redaction import redact
from aslspark.common.spark_session import TASKS_OF_TABLE, parallelism
from aslspark.data.picture_column import picture_column, pixel_bytes
from aslspark.data.pictures.files import (
    LEAST_TASK_BYTES,
    MOST_TASK_BYTES,
    OPEN_COST_BYTES,
    TASKS_A_SLOT,
    files_table,
)
from aslspark.data.pictures.listing import ListedFile, Picture, PictureSource
from aslspark.data.pictures.near_duplicates import perceptual_hashes
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import HAND_COLUMN, HASH_COLUMN, SAMPLE_SCHEMA, with_hand
from aslspark.data.tables.labelled_tables import QUARANTINE
from aslspark.images.decoding import EMPTY, Unusable, bare_pixels, decode, encode, resize_to
from aslspark.images.decoding import image_of as pixels_image
from aslspark.images.hands.find_and_crop import AT_ONCE, find_and_crop, whole_picture
from aslspark.images.hands.hand import Hand, hand_column, null_hands
from aslspark.images.local_file import read_file

if TYPE_CHECKING:
    from PIL import Image

BatchFunction = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

HASHED_SCHEMA = StructType([*SAMPLE_SCHEMA.fields, StructField(HASH_COLUMN, LongType(), True)])
PLAN_COLUMNS = ("path", "name", "label", "signer", "split", "source")

OUTPUT_BYTES = 32 << 20
"""Most bytes of pixels in an output batch."""
BATCH_BYTES = 64 << 20
"""Most bytes of files in an input batch."""
LARGEST_BATCH = 512
"""Files."""


def batch_rows(lengths: Iterable[int]) -> int:
    """Choose the rows of a batch, so that even one of the largest files stays within BATCH_BYTES."""
    largest = np.sort(np.fromiter(lengths, np.int64))[::-1][:LARGEST_BATCH]
    return max(1, int(np.searchsorted(np.cumsum(largest), BATCH_BYTES, side="right")))


PACKED = (
    "spark.sql.files.openCostInBytes",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.execution.arrow.maxRecordsPerBatch",
    TASKS_OF_TABLE,
    "spark.sql.execution.arrow.pyspark.enabled",
)
"""The settings that `packing` chooses."""


def packing(spark: SparkSession, lengths: Sequence[int]) -> dict[str, str]:
    """Choose Spark settings that give every task slot the same few large tasks.

    Parameters
    ----------
    lengths : sequence of int
        Bytes of each file; without any, no setting is changed.
    """
    if not lengths:
        return {}
    cost = sum(lengths) + OPEN_COST_BYTES * len(lengths)
    of_slot = TASKS_A_SLOT * parallelism(spark)
    share = cost // of_slot + max(lengths) // 2 + OPEN_COST_BYTES
    task_bytes, table_task_bytes = (
        max(LEAST_TASK_BYTES, min(size, MOST_TASK_BYTES)) for size in (share, -(-cost // of_slot))
    )
    values = (OPEN_COST_BYTES, task_bytes, batch_rows(lengths), -(-cost // table_task_bytes), "true")
    return {name: str(value) for name, value in zip(PACKED, values, strict=True)}


@dataclass(frozen=True)
class UnreadRows:
    """Rows that Spark is to make samples of."""

    rows: DataFrame
    """Lazy: lines of tables, or paths or bytes of pictures, with what is known of them."""
    read: BatchFunction
    """For mapInArrow: makes samples of them, and rows for the quarantine, which have the split 'quarantine'."""
    schema: StructType
    """Of what `read` makes: SAMPLE_SCHEMA, perhaps with HASH_COLUMN and HAND_COLUMN."""

    def samples(self) -> DataFrame:
        """Make the samples as a lazy table."""
        return self.rows.mapInArrow(self.read, self.schema)


def decoded_schema(options: PictureOptions) -> StructType:
    """Return the columns of decoded pictures."""
    return with_hand(HASHED_SCHEMA) if options.hands else HASHED_SCHEMA


def picture_tables(
    spark: SparkSession,
    sources: Mapping[str, PictureSource],
    splits: Mapping[str, Sequence[str]],
    options: PictureOptions,
    scratch: Callable[[str], str],
) -> list[UnreadRows]:
    """Plan to decode the usable pictures of all sources: of all local files together, of each other source by itself.

    Parameters
    ----------
    splits : mapping of str to sequence of str
        Of the usable pictures of each source.
    options : PictureOptions
        Decoded rows have the columns of HASHED_SCHEMA, and HAND_COLUMN where the options ask for hands.
    scratch : callable
        The folder of a source alone, into which a zip is unpacked.
    """
    tables: list[UnreadRows] = []

    def plan(rows: DataFrame, kind: str) -> None:
        tables.append(UnreadRows(rows.select(kind, *PLAN_COLUMNS[1:]), decoder(options, kind), decoded_schema(options)))

    local: list[tuple[ListedFile, tuple[str | None, ...]]] = []
    for name, source in sources.items():
        rows = [
            (picture.path, picture.name, picture.label, picture.signer, split, name)
            for picture, split in zip(source.usable, splits[name], strict=True)
        ]
        if source.local is not None:
            local += [(source.local[row[0]], row[1:]) for row in rows]
            continue
        schema = StructType([StructField(column, StringType()) for column in PLAN_COLUMNS])
        planned = spark.createDataFrame(pd.DataFrame(rows, columns=list(PLAN_COLUMNS), dtype=object), schema)
        joined = source.contents(scratch(name)).join(F.broadcast(planned), "path")
        plan(joined, joined.columns[1])  # content, image or file
    if local:
        plan(files_table(spark, local, PLAN_COLUMNS[1:]), "file")
    return tables


def missed(source: PictureSource, kept: set[str], details: Iterable[str]) -> list[Picture]:
    """Find the pictures that were neither kept nor quarantined: deleted meanwhile, or not readable.

    Parameters
    ----------
    kept : set of str
        Ids of the samples.
    details : iterable of str
        Of the source's rows in the quarantine.
    """
    unseen = {picture.name: picture for picture in source.usable if sample_id(source.name, picture.name) not in kept}
    for detail in details:
        parts = detail.split(": ")
        for end in range(1, len(parts)):  # a name may contain ": "
            unseen.pop(": ".join(parts[:end]), None)
    return list(unseen.values())


def sample_id(source: str, name: str) -> str:
    """Return the id of a picture's sample."""
    return f"{source}:{name}"


class QuarantineRow(NamedTuple):
    """What the quarantine says of something that cannot be used."""

    source: str
    reason: str
    detail: str
    row: int | None = None

    @property
    def packed(self) -> tuple[str, tuple[int, int, int, bytes, None], str, str, str, str, None]:
        """The same in the columns of HASHED_SCHEMA; see `labelled_tables.parse_blocks`."""
        number = "" if self.row is None else str(self.row)
        return number, (0, 0, 0, b"", None), self.reason, self.source, self.detail, QUARANTINE, None


def rows_for_quarantine(source: str, pictures: Iterable[Picture]) -> list[QuarantineRow]:
    """Make rows for the quarantine from pictures with a reason."""
    return [
        QuarantineRow(source, picture.reason or "", redact(f"{picture.name}: {picture.detail}"), picture.row)
        for picture in pictures
    ]


def decoder(options: PictureOptions, kind: str) -> BatchFunction:
    """Make the function for mapInArrow that decodes pictures to rows.

    Parameters
    ----------
    kind : {'content', 'image', 'file'}
        Of the first column: bytes of files, Spark's image struct, or paths of local files. The other columns are
        PLAN_COLUMNS without `path`.
    """
    rows = max(1, OUTPUT_BYTES // int(np.prod(options.form.shape)))

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for whole in batches:
            for start in range(0, whole.num_rows, rows):
                batch = whole.slice(start, rows)
                yield from _samples(batch, options, kind)

    return read


def _samples(batch: pa.RecordBatch, options: PictureOptions, kind: str) -> Iterator[pa.RecordBatch]:
    form, store = options.form, options.store
    contents, names, sources = batch.column(0), batch.column(1).to_pylist(), batch.column(5).to_pylist()
    pixels = np.empty((batch.num_rows, *form.shape), np.uint8)
    good: list[int] = []
    bad: list[tuple[str, str, str]] = []
    hands: list[Hand] = []
    for start in range(0, batch.num_rows, AT_ONCE):
        rows = range(start, min(start + AT_ONCE, batch.num_rows))
        whole = [_whole_or_fitted(contents[row].as_py(), options, kind) for row in rows]
        for row, read in zip(rows, _cropped(whole, options), strict=True):
            if isinstance(read, Unusable):
                bad.append((read.reason, f"{names[row]}: {read.detail}", sources[row]))
                continue
            pixels[len(good)], hand = read
            good.append(row)
            if hand is not None:
                hands.append(hand)
    if good:
        decoded = pixels[: len(good)]
        places = pa.array(good)
        labels, signers, splits, of_good = (batch.column(number).take(places) for number in (2, 3, 4, 5))
        ids = pa.array([sample_id(sources[row], names[row]) for row in good])
        hashes = pa.array(perceptual_hashes(decoded))
        hand_structs = hand_column(hands) if options.hands else None
        yield _batch(
            ids, _data(decoded, store), form.shape, store, labels, of_good, signers, splits, hashes, hand_structs
        )
    if bad:
        reasons, details, of_bad = zip(*bad, strict=True)
        count = len(bad)
        yield _batch(
            pa.array([""] * count),
            pa.array([b""] * count),
            (0, 0, 0),
            store,
            pa.array(reasons),
            pa.array(of_bad),
            pa.array(details),
            pa.array([QUARANTINE] * count),
            pa.nulls(count, pa.int64()),
            null_hands(count) if options.hands else None,
        )


Fitted = tuple[npt.NDArray[np.uint8], Hand | None]


def _whole_or_fitted(content: Any, options: PictureOptions, kind: str) -> Image.Image | Fitted | Unusable:
    """Decode a picture: whole where its hand is to be found in it, else brought to the size of the samples."""
    form = options.form
    try:
        if kind == "file":
            content = read_file(content)
        if options.hands is not None:
            return image_of(content) if kind == "image" else whole_picture(content, form)
        return resize_to(image_of(content), form) if kind == "image" else decode(content, form), None
    except Unusable as error:
        return error


def _cropped(read: Sequence[Image.Image | Fitted | Unusable], options: PictureOptions) -> Iterator[Fitted | Unusable]:
    """Find the hands of the whole pictures, all at once, and crop the pictures to them."""
    whole = [image for image in read if not isinstance(image, tuple | Unusable)]
    cropped = iter(
        find_and_crop(whole, options.form, options.hands, options.small_pixels) if options.hands is not None else []
    )
    return (image if isinstance(image, tuple | Unusable) else next(cropped) for image in read)


def _data(pictures: npt.NDArray[np.uint8], store: str) -> pa.Array:
    if store != "raw":
        return pa.array([encode(picture, store) for picture in pictures], pa.binary())
    return pixel_bytes(pictures)


def _batch(
    ids: pa.Array,
    data: pa.Array,
    shape: tuple[int, int, int],
    store: str,
    labels: pa.Array,
    sources: pa.Array,
    signers: pa.Array,
    splits: pa.Array,
    hashes: pa.Array,
    hands: pa.Array | None,
) -> pa.RecordBatch:
    columns = [ids, picture_column(data, shape, store), labels, sources, signers, splits, hashes]
    names = HASHED_SCHEMA.names
    if hands is not None:
        columns, names = [*columns, hands], [*names, HAND_COLUMN]
    return pa.RecordBatch.from_arrays(columns, names=names)


def image_of(image: dict[str, Any] | None) -> Image.Image:
    """Convert Spark's image struct, in BGR or BGRA, to grey or RGB."""
    if image is None:
        raise Unusable(EMPTY, "no pixels: Spark could not decode it")
    return pixels_image(bare_pixels(image["height"], image["width"], image["nChannels"], image["data"], bgr=True))

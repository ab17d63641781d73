"""A count and a seed -> a DataFrame of drawn hands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.picture_column import picture_column
from aslspark.data.samples import SAMPLE_SCHEMA
from aslspark.data.synthetic.picture import check_picture_shape, draw_hand
from aslspark.images.decoding import RAW

SOURCE = "drawn"
_DRAWN_SCHEMA = StructType([field for field in SAMPLE_SCHEMA if field.name != "split"])
_BATCH_BYTES = 1 << 20
"""Bytes of pictures in an Arrow batch, so that large pictures do not fill a worker's memory."""


def drawn_samples(
    spark: SparkSession,
    *,
    count: int,
    seed: int,
    size: int = 28,
    channels: int = 1,
    signers: int = 10,
    tasks: int | None = None,
) -> DataFrame:
    """Draw a table of hands, with letters and signers in equal numbers.

    Parameters
    ----------
    count : int
        Number of pictures.
    seed : int
        The same seed gives the same bytes, whatever the partitions.
    size : int
        Height and width in pixels.
    channels : int
        1 for grey, 3 for RGB.
    signers : int
        Number of different hands; the next one follows after each alphabet.
    tasks : int, optional
        How many tasks of Spark share the drawing; None: as many as Spark makes of a table.

    Returns
    -------
    DataFrame
        The columns of `SAMPLE_SCHEMA` without `split`; ids are 'drawn:000000' and so on.
    """
    check_picture_shape(size, channels)
    if count < 0:
        raise AslsparkError(f"count {count} of drawn hands does not work; give 0 or more")
    if signers < 1:
        raise AslsparkError(f"signers {signers} of drawn hands does not work; give 1 or more")
    batch_rows = max(1, _BATCH_BYTES // (size * size * channels))

    def draw(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = batch.column(0).to_pylist()
            for start in range(0, len(numbers), batch_rows):
                yield _drawn_batch(numbers[start : start + batch_rows], seed, size, channels, signers)

    return spark.range(0, count, 1, tasks).mapInArrow(draw, _DRAWN_SCHEMA)


def _drawn_batch(numbers: list[int], seed: int, size: int, channels: int, signers: int) -> pa.RecordBatch:
    letters = [STATIC_LETTERS[number % len(STATIC_LETTERS)] for number in numbers]
    hands = [number // len(STATIC_LETTERS) % signers for number in numbers]
    data = [
        draw_hand(letter, seed=seed, index=number, signer=hand, size=size, channels=channels).tobytes()
        for number, letter, hand in zip(numbers, letters, hands, strict=True)
    ]
    columns = {
        "id": pa.array([f"{SOURCE}:{number:06d}" for number in numbers]),
        "picture": picture_column(pa.array(data, pa.binary()), (size, size, channels), RAW),
        "label": pa.array(letters),
        "source": pa.array([SOURCE] * len(numbers)),
        "signer": pa.array([f"{SOURCE}-{hand:02d}" for hand in hands]),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

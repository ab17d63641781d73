"""A DataFrame of pictures to score -> the same with pictures cropped to the hand, and the column `hand`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from aslspark.common.batch_udf import batch_udf
from aslspark.data.samples import HAND_COLUMN
from aslspark.features.landmarks import VECTOR_FIELDS
from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import RAW, UNUSABLE
from aslspark.images.hands.hand import HAND_FIELDS, NO_HAND
from aslspark.images.hands.options import require_detector

ROW = "_row"
_SEEN = ", ".join(
    f"{name} {kind}"
    for name, kind in {"data": "binary", UNUSABLE: "string", "looked": "boolean", **HAND_FIELDS}.items()
)


def brings_hands(dataset: DataFrame) -> bool:
    """Tell a table whose pictures went through the hand stage already: it has their hands."""
    if HAND_COLUMN not in dataset.columns:
        return False
    kind = dataset.schema[HAND_COLUMN].dataType
    return isinstance(kind, StructType) and set(VECTOR_FIELDS) <= set(kind.names)


def crop_to_hands(dataset: DataFrame, column: str, pictures: Column, normaliser: Normaliser) -> DataFrame:
    """Look for the hands of a table of pictures.

    Parameters
    ----------
    dataset : DataFrame
    column : str
        What the pictures are to be called.
    pictures : Column
        As the normaliser takes them.
    normaliser : Normaliser
        With `hands`.

    Returns
    -------
    DataFrame
        `_row` (all columns of the dataset in a struct); `column` (`samples.PICTURE_TYPE` of the form's size, with the
        field UNUSABLE); `hand` (`samples.HAND_TYPE`, null of pictures that were taken as they are).
    """
    require_detector("the model's hands.on=true")
    height, width, channels = normaliser.shape

    @batch_udf(_SEEN)
    def look(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            found, reasons, hands = normaliser.look(batch)
            columns: dict[str, Any] = {
                "data": [picture.tobytes() for picture in found],
                UNUSABLE: reasons,
                "looked": [hand is not None for hand in hands],
            }
            rows = [(hand or NO_HAND).values() for hand in hands]
            columns |= {name: [row[name] for row in rows] for name in HAND_FIELDS}
            yield pd.DataFrame(columns, dtype=object)

    names = ["`" + name.replace("`", "``") + "`" for name in dataset.columns]
    seen = dataset.select(F.struct(*names).alias(ROW), look(pictures).alias("_seen"))
    hand = F.struct(*(F.col(f"_seen.{name}").alias(name) for name in HAND_FIELDS))
    picture = F.struct(
        F.lit(height).alias("height"),
        F.lit(width).alias("width"),
        F.lit(channels).alias("channels"),
        F.col("_seen.data").alias("data"),
        F.lit(RAW).alias("encoding"),
        F.col(f"_seen.{UNUSABLE}").alias(UNUSABLE),
    )
    return seen.select(ROW, picture.alias(column), F.when(F.col("_seen.looked"), hand).alias(HAND_COLUMN))

"""A DataFrame of pictures to score -> the pictures cropped to the hand, and the column `hand`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from aslspark.common.batch_udf import batch_udf
from aslspark.common.spark_session import task_cores
from aslspark.data.samples import HAND_COLUMN, picture_struct
from aslspark.features.landmarks import VECTOR_FIELDS
from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import UNUSABLE
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.hand import HAND_FIELDS, NO_HAND
from aslspark.images.image_spec import ImageSpec

ROW = "_row"
_CROPPED_FIELDS = ", ".join(
    f"{name} {kind}"
    for name, kind in {"data": "binary", UNUSABLE: "string", "looked": "boolean", **HAND_FIELDS}.items()
)


def quoted(names: Sequence[str]) -> list[str]:
    """Quote names of columns, in which dots have a meaning."""
    return ["`" + name.replace("`", "``") + "`" for name in names]


def brings_hands(dataset: DataFrame) -> bool:
    """Tell whether a table has the hands of its pictures, which are then cropped already."""
    if HAND_COLUMN not in dataset.columns:
        return False
    kind = dataset.schema[HAND_COLUMN].dataType
    return isinstance(kind, StructType) and set(VECTOR_FIELDS) <= set(kind.names)


def crop_to_hands(
    dataset: DataFrame, column: str, kind: str, pictures: Column, form: ImageSpec, hands: HandDetector
) -> DataFrame:
    """Find the hands in a table of pictures, and crop the pictures to them.

    Parameters
    ----------
    column : str
        Name of the result's column of pictures.
    pictures : Column
        Both as for a `Normaliser`.
    form : ImageSpec
        Size and colours of the crops.

    Returns
    -------
    DataFrame
        `_row` (all columns of the dataset in a struct); `column` (`samples.PICTURE_TYPE` in the model's size, with the
        field UNUSABLE); `hand` (`samples.HAND_TYPE`, null where no hand was looked for).
    """
    normaliser = Normaliser(kind, form, replace(hands, threads=task_cores(dataset.sparkSession)))

    @batch_udf(_CROPPED_FIELDS)
    def crop(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            crops, reasons, hands = normaliser.with_hands(batch)
            columns: dict[str, Any] = {
                "data": [picture.tobytes() for picture in crops],
                UNUSABLE: reasons,
                "looked": [hand is not None for hand in hands],
            }
            rows = [(hand or NO_HAND).values() for hand in hands]
            columns |= {name: [row[name] for row in rows] for name in HAND_FIELDS}
            yield pd.DataFrame(columns, dtype=object)

    cropped = dataset.select(F.struct(*quoted(dataset.columns)).alias(ROW), crop(pictures).alias("_cropped"))
    hand = F.struct(*(F.col(f"_cropped.{name}").alias(name) for name in HAND_FIELDS))
    picture = picture_struct(normaliser.shape, F.col("_cropped.data"), F.col(f"_cropped.{UNUSABLE}").alias(UNUSABLE))
    return cropped.select(ROW, picture.alias(column), F.when(F.col("_cropped.looked"), hand).alias(HAND_COLUMN))

"""Samples -> `scaled_features`, `index_label`, `label_vec`: the features of MLlib models, as a pyspark.ml Pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from pyspark.ml import Pipeline, Transformer
from pyspark.ml.feature import OneHotEncoder, StringIndexerModel, VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.decoding import RAW, stored
from aslspark.errors import AslsparkError
from aslspark.features.scaling import scale
from aslspark.samples import PICTURE_TYPE


class PictureScaler(Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable, DefaultParamsWritable):
    """Scales pictures to vectors of 0-1.

    Parameters
    ----------
    inputCol : str
        A column of `samples.PICTURE_TYPE`; all pictures of one size.
    outputCol : str
        A Vector of height x width x channels numbers; see `aslspark.features.scaling.scale`.
    stretch : bool
        Stretch each picture to its own minimum and maximum.
    """

    stretch = Param(
        Params._dummy(),
        "stretch",
        "stretch each picture to its own minimum and maximum",
        TypeConverters.toBoolean,
    )

    def __init__(self, *, inputCol: str = "picture", outputCol: str = "pixels", stretch: bool = True) -> None:
        super().__init__()
        self._setDefault(inputCol="picture", outputCol="pixels", stretch=True)
        self._set(inputCol=inputCol, outputCol=outputCol, stretch=stretch)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        stretch = self.getOrDefault("stretch")

        @F.pandas_udf("array<double>")  # type: ignore[call-overload]
        def scaled(batches: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
            for batch in batches:
                data: Iterable[bytes] = batch["data"]
                if "encoding" in batch and not batch["encoding"].isin([None, RAW]).all():
                    columns = (batch[name] for name in PICTURE_TYPE.names)
                    data = [
                        stored(bytes_, encoding, (height, width, channels)).tobytes()
                        for height, width, channels, bytes_, encoding in zip(*columns, strict=True)
                    ]
                pictures = np.frombuffer(b"".join(data), np.uint8).reshape(len(batch), -1)
                yield pd.Series(list(scale(pictures, stretch).astype(np.float64)))

        picture = F.col(self.getInputCol())
        return dataset.withColumn(self.getOutputCol(), array_to_vector(scaled(picture)))


def feature_pipeline(spark: SparkSession, labels: Sequence[str], stretch: bool) -> Pipeline:
    """Build the features of MLlib models.

    Parameters
    ----------
    spark : SparkSession
        Running; the label list lives in its JVM.
    labels : sequence of str
        In alphabetical order, so that the same letters always get the same numbers.
    stretch : bool
        See `PictureScaler`.

    Returns
    -------
    Pipeline
        From `picture` and `label` to `pixels` (Vector), `scaled_features` (Vector of 0-1), `index_label` (double,
        the label's place in `labels`) and `label_vec` (Vector, one-hot of all labels). Without a `label` column it
        gives the vectors alone.
    """
    if list(labels) != sorted(labels):
        raise AslsparkError(f"labels={','.join(labels)}: give them in alphabetical order")
    return Pipeline(
        stages=[
            PictureScaler(inputCol="picture", outputCol="pixels", stretch=stretch),
            VectorAssembler(inputCols=["pixels"], outputCol="scaled_features"),
            StringIndexerModel.from_labels(
                list(labels), inputCol="label", outputCol="index_label", handleInvalid="error"
            ),
            OneHotEncoder(inputCols=["index_label"], outputCols=["label_vec"], dropLast=False),
        ]
    )

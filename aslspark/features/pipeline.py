"""Samples -> the features of MLlib models (`scaled_features`, `index_label`, `label_vec`), by a pyspark.ml Pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml import Pipeline, Transformer
from pyspark.ml.feature import OneHotEncoder, StringIndexerModel, VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.batch_udf import batch_udf
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.data.samples import HAND_COLUMN, PICTURE_TYPE
from aslspark.features.landmarks import FEATURES, VECTOR_FIELDS, frame_vectors, landmark_features
from aslspark.features.scaling import scale
from aslspark.images.decoding import RAW, stored


class PictureScaler(
    Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable["PictureScaler"], DefaultParamsWritable
):
    """Scales pictures to vectors of 0-1.

    Parameters
    ----------
    inputCol : str
        A column of `samples.PICTURE_TYPE`; all pictures of one size.
    outputCol : str
        A Vector of height x width x channels numbers; see `aslspark.features.scaling.scale`.
    stretch : bool
        Stretch each picture to its own minimum and maximum.
    length : int
        Of the vectors; 0: unknown. Where it is known, later stages need not read a first row for it.
    """

    stretch = Param(
        Params._dummy(),
        "stretch",
        "stretch each picture to its own minimum and maximum",
        TypeConverters.toBoolean,
    )

    length = Param(Params._dummy(), "length", "of the vectors; 0: unknown", TypeConverters.toInt)

    def __init__(
        self, *, inputCol: str = "picture", outputCol: str = "pixels", stretch: bool = True, length: int = 0
    ) -> None:
        super().__init__()
        self._setDefault(inputCol="picture", outputCol="pixels", stretch=True, length=0)
        self._set(inputCol=inputCol, outputCol=outputCol, stretch=stretch, length=length)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        stretch = self.getOrDefault("stretch")

        @batch_udf("array<double>")
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

        vectors = array_to_vector(scaled(F.col(self.getInputCol())))
        return _with_vectors(dataset, self.getOutputCol(), vectors, self.getOrDefault("length"))


class LandmarkFeatures(
    Transformer, HasInputCol, HasOutputCol, DefaultParamsReadable["LandmarkFeatures"], DefaultParamsWritable
):
    """Computes feature vectors of landmarks; all 0 where no hand was found.

    Parameters
    ----------
    inputCol : str
        A column of `samples.HAND_TYPE`.
    outputCol : str
        A Vector of FEATURES numbers; see `aslspark.features.landmarks.landmark_features`.
    upright : bool
        Turn each hand upright in the picture's plane first.
    """

    upright = Param(
        Params._dummy(), "upright", "turn each hand upright in the picture's plane first", TypeConverters.toBoolean
    )

    def __init__(self, *, inputCol: str = HAND_COLUMN, outputCol: str = LANDMARKS, upright: bool = False) -> None:
        super().__init__()
        self._setDefault(inputCol=HAND_COLUMN, outputCol=LANDMARKS, upright=False)
        self._set(inputCol=inputCol, outputCol=outputCol, upright=upright)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        upright = self.getOrDefault("upright")

        @batch_udf("array<double>")
        def features(batches: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
            for batch in batches:
                yield pd.Series(list(landmark_features(frame_vectors(batch), upright).astype(np.float64)))

        hand = F.col(self.getInputCol())
        fields = F.struct(*(hand[name].alias(name) for name in VECTOR_FIELDS))
        return _with_vectors(dataset, self.getOutputCol(), array_to_vector(features(fields)), FEATURES)


def _with_vectors(dataset: DataFrame, name: str, vectors: Column, length: int) -> DataFrame:
    """Add a column of vectors, with their length where it is known.

    Without it VectorAssembler reads a first row, which takes a job and fails on an empty table.
    """
    metadata = {"metadata": {"ml_attr": {"num_attrs": length}}} if length else {}
    return dataset.withColumn(name, vectors.alias(name, **metadata))


def feature_pipeline(
    spark: SparkSession,
    labels: Sequence[str],
    stretch: bool,
    inputs: Sequence[str] = (PICTURE,),
    upright: bool = False,
    length: int = 0,
) -> Pipeline:
    """Build the pipeline of features for MLlib models.

    Parameters
    ----------
    spark : SparkSession
        Running: the label list is kept in its JVM.
    labels : sequence of str
        In alphabetical order, so that the same letters always have the same numbers.
    stretch : bool
        See `PictureScaler`.
    inputs : sequence of {'picture', 'landmarks'}
        Content of `scaled_features`: the picture, the landmarks of its hand, or both one after another.
    upright : bool
        See `LandmarkFeatures`.
    length : int
        See `PictureScaler`.

    Returns
    -------
    Pipeline
        From `picture`, `hand` and `label` to `pixels` (Vector of 0-1), `landmarks` (Vector), `scaled_features` (Vector
        of the `inputs`), `index_label` (double, the label's place in `labels`) and `label_vec` (Vector, one-hot).
        Without a column `label` it gives the vectors alone.
    """
    if list(labels) != sorted(labels):
        raise AslsparkError(f"labels={','.join(labels)}: give them in alphabetical order")
    stage_of: dict[str, Any] = {
        PICTURE: PictureScaler(inputCol="picture", outputCol="pixels", stretch=stretch, length=length),
        LANDMARKS: LandmarkFeatures(inputCol=HAND_COLUMN, outputCol=LANDMARKS, upright=upright),
    }
    chosen = [stage for name, stage in stage_of.items() if name in inputs]
    return Pipeline(
        stages=[
            *chosen,
            VectorAssembler(inputCols=[stage.getOutputCol() for stage in chosen], outputCol="scaled_features"),
            StringIndexerModel.from_labels(
                list(labels), inputCol="label", outputCol="index_label", handleInvalid="error"
            ),
            OneHotEncoder(inputCols=["index_label"], outputCols=["label_vec"], dropLast=False),
        ]
    )

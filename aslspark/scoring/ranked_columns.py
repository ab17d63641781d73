"""A DataFrame and a classifier -> the DataFrame with what the classifier says of each row, in the struct `_ranked`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from pyspark.ml import PipelineModel
from pyspark.ml.classification import OneVsRestModel
from pyspark.ml.feature import OneHotEncoderModel, StringIndexerModel
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructType

from aslspark.common.batch_udf import batch_udf
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.onnx_sessions import kept_session
from aslspark.common.spark_session import task_cores
from aslspark.data.samples import HAND_COLUMN, PICTURE_TYPE, hands_missing, picture_struct
from aslspark.data.tables.pixel_layout import some_names
from aslspark.data.tables.table_lines import holds_numbers
from aslspark.features.crops import quoted
from aslspark.features.landmarks import LOOKS, VECTOR_FIELDS, looked_frame_vectors
from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import UNUSABLE
from aslspark.models.mllib import BOOSTED, MllibClassifier, check_session
from aslspark.models.onnx_classifier import NO_HAND_FOUND, OnnxClassifier, needs_hand
from aslspark.scoring.answer_columns import ResultColumns


def picture_column(dataset: DataFrame, column: str, are_paths: bool = False) -> tuple[str, Column]:
    """Return the kind of a column of pictures, and the column for the normaliser; `are_paths`: of local files."""
    if column not in dataset.columns:
        there = some_names(dataset.columns)
        raise AslsparkError(
            f"inputCol={column}: there is no such column; there are {there}; setInputCol names that of pictures"
        )
    kind = dataset.schema[column].dataType
    values = F.col(*quoted([column]))
    if isinstance(kind, BinaryType):
        return "file" if are_paths else "bytes", F.struct(values.alias("data"))
    if holds_numbers(kind):
        is_vector = isinstance(kind, VectorUDT)
        numbers = vector_to_array(values, "float32") if is_vector else values.cast("array<float>")
        return "numbers", F.struct(numbers.alias("data"))
    if isinstance(kind, StructType):
        names = set(kind.names)
        if {"height", "width", "channels", "data"} <= names:
            fields = [name for name in (*PICTURE_TYPE.names, UNUSABLE) if name in names]
            return "picture", F.struct(*(values[name].alias(name) for name in fields))
        if {"height", "width", "nChannels", "mode", "data"} <= names:
            image_fields = {"height": "height", "width": "width", "channels": "nChannels", "data": "data"}
            return "image", F.struct(*(values[field].alias(name) for name, field in image_fields.items()))
    raise AslsparkError(
        f"inputCol={column}: {kind.simpleString()} is no picture; give bytes, an array or Vector of numbers, "
        "struct<height,width,channels,data> or Spark's image struct"
    )


def hand_fields(dataset: DataFrame) -> Column:
    """Return the fields of the column `hand` that features are computed from."""
    if HAND_COLUMN not in dataset.columns:
        raise hands_missing("the DataFrame")
    kind = dataset.schema[HAND_COLUMN].dataType
    if not isinstance(kind, StructType) or not set(VECTOR_FIELDS) <= set(kind.names):
        raise AslsparkError(
            f"column {HAND_COLUMN}: {kind.simpleString()} is no hand; give samples that were ingested with "
            "hands.on=true"
        )
    names = [name for name in (*VECTOR_FIELDS, LOOKS) if name in kind.names]
    return F.struct(*(F.col(HAND_COLUMN)[name].alias(name) for name in names))


def with_ranks(
    dataset: DataFrame,
    classifier: OnnxClassifier | MllibClassifier,
    inputs: dict[str, Column],
    normaliser: Normaliser | None,
    results: ResultColumns,
) -> DataFrame:
    """Add the struct `_ranked` with the result columns.

    Parameters
    ----------
    inputs : dict of str to Column
        By their names in `aslspark.common.catalog`.
    normaliser : Normaliser, optional
        Of the pictures, where they are among the inputs.
    """
    if isinstance(classifier, OnnxClassifier):
        rank = _onnx_udf(dataset, classifier, tuple(inputs), normaliser, results)
        return dataset.withColumn("_ranked", rank(*inputs.values()))
    return _with_mllib(dataset, classifier, inputs, normaliser, results)


def _onnx_udf(
    dataset: DataFrame,
    classifier: OnnxClassifier,
    read: tuple[str, ...],
    normaliser: Normaliser | None,
    results: ResultColumns,
) -> Any:
    """Make the column function from structs of the inputs `read`, in this order, to the result columns."""
    network, make, onnx = replace(classifier, onnx=b""), results.make, classifier.onnx
    threads = task_cores(dataset.sparkSession)

    @batch_udf(results.columns)
    def rank(batches: Iterator[tuple[pd.DataFrame, ...]]) -> Iterator[pd.DataFrame]:
        session = kept_session(onnx, threads)
        for batch in batches:
            columns = batch if isinstance(batch, tuple) else (batch,)  # a single column comes without a tuple
            inputs = dict(zip(read, columns, strict=True))
            pictures, reasons = None, np.full(len(columns[0]), None, object)
            if normaliser is not None:
                pictures, reasons = normaliser(inputs[PICTURE])
            hands = looked_frame_vectors(inputs[LANDMARKS]) if LANDMARKS in inputs else None
            yield make(network.probabilities(session, pictures, hands, reasons), reasons)

    return rank


def _with_mllib(
    dataset: DataFrame,
    classifier: MllibClassifier,
    read: dict[str, Column],
    normaliser: Normaliser | None,
    results: ResultColumns,
) -> DataFrame:
    make = results.make

    @batch_udf("data binary, reason string")
    def normalise(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        assert normaliser is not None
        for batch in batches:
            pictures, reasons = normaliser(batch)
            yield pd.DataFrame({"data": [picture.tobytes() for picture in pictures], "reason": reasons})

    # Without the stages for labels, which a picture to score does not have.
    stages = [
        stage for stage in classifier.pipeline.stages if not isinstance(stage, StringIndexerModel | OneHotEncoderModel)
    ]
    is_one_vs_rest = isinstance(stages[-1], OneVsRestModel)

    @batch_udf(results.columns)
    def rank(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        for scores, reasons in batches:
            probabilities = np.stack(list(scores))
            if is_one_vs_rest:  # margins of boosted trees, with probability 1 / (1 + exp(-2 margin))
                probabilities = 1 / (1 + np.exp(-2 * probabilities))
                probabilities /= probabilities.sum(axis=1, keepdims=True)
            yield make(probabilities, reasons.to_numpy())

    # The caller's columns are packed into a struct, so that none can conflict with a column of the pipeline.
    row, hand = F.struct(*quoted(dataset.columns)).alias("_row"), [HAND_COLUMN] if LANDMARKS in read else []
    name_of = {LANDMARKS: HAND_COLUMN, PICTURE: "_normal"}
    columns = {**read, **({PICTURE: normalise(read[PICTURE])} if PICTURE in read else {})}
    carried = dataset.select(row, *(column.alias(name_of[name]) for name, column in columns.items()))
    reason = F.col("_normal.reason") if PICTURE in read else F.lit(None).cast("string")
    if needs_hand(classifier.inputs, classifier.labels):
        reason = F.when(reason.isNull() & F.col(HAND_COLUMN)["found"].isNull(), NO_HAND_FOUND).otherwise(reason)
    picture = picture_struct(classifier.shape, F.col("_normal.data")).alias("picture")
    carried = carried.select("_row", *hand, reason.alias("_reason"), *([picture] if PICTURE in read else []))
    if is_one_vs_rest:
        check_session(dataset.sparkSession, BOOSTED)
        # The JVM's OneVsRestModel: that of Python calls a Python function for each letter and takes 14 times as long.
        ensembles: Any = stages[-1]
        features = PipelineModel(stages[:-1]).transform(carried)
        scored = DataFrame(ensembles._to_java().transform(features._jdf), dataset.sparkSession)
    else:
        scored = PipelineModel(stages).transform(carried)
    scores = vector_to_array(F.col("rawPrediction" if is_one_vs_rest else "probability"), "float32")
    return scored.select("_row.*", rank(scores, F.col("_reason")).alias("_ranked"))

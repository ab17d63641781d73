"""The section `mllib` of the settings -> a classifier of Spark MLlib; and the fitted pipeline, as bundles keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.ml import Estimator, PipelineModel
from pyspark.ml.classification import (
    GBTClassifier,
    LogisticRegression,
    MultilayerPerceptronClassifier,
    RandomForestClassifier,
)
from pyspark.sql import SparkSession

from aslspark.common.catalog import CLASSIFIERS, PICTURE, whole_numbers
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import MllibConfig
from aslspark.common.spark_session import IS_SPARK_3, is_connect, require_classic
from aslspark.models.one_vs_rest import EndedOneVsRest

BOOSTED = "boosted"

PARALLEL_ENSEMBLES = 4
"""Ensembles of boosted trees that are grown at the same time: each waits for many small Spark jobs."""


@dataclass(frozen=True)
class MllibClassifier:
    """A fitted Spark ML pipeline, from `picture`, `hand` or both to `probability`."""

    pipeline: PipelineModel
    labels: tuple[str, ...]
    shape: tuple[int, int, int]
    inputs: tuple[str, ...] = (PICTURE,)


def hidden_layers(settings: MllibConfig) -> tuple[int, ...]:
    """Parse `mllib.hidden`.

    Raises
    ------
    AslsparkError
        Where it is not a list of numbers above 0.
    """
    return whole_numbers("mllib.hidden", settings.hidden, "the units of each layer, such as 256 or 256,128")


def check_classifier(settings: MllibConfig) -> None:
    """Check that the settings name a classifier that can be built.

    Raises
    ------
    AslsparkError
    """
    if settings.classifier not in CLASSIFIERS:
        raise AslsparkError(f"mllib.classifier={settings.classifier}: choose one of {', '.join(CLASSIFIERS)}")
    hidden_layers(settings)


def check_session(spark: SparkSession, classifier: str) -> None:
    """Check that a session has what a classifier needs.

    Raises
    ------
    AslsparkError
        Through Spark Connect before Spark 4, and for boosted trees in any version.
    """
    if classifier == BOOSTED or IS_SPARK_3:
        require_classic(spark, f"mllib.classifier={classifier}")


def forget_summary(spark: SparkSession, pipeline: PipelineModel) -> None:
    """Take the summary of its training from a fitted classifier, as writing and reading it does.

    With two classes, the summary of Spark 4 holds the session, with which the model cannot be sent to Spark's tasks.
    """
    model: Any = pipeline.stages[-1]
    if getattr(model, "hasSummary", False) and not is_connect(spark):
        jvm: Any = spark._jvm
        model._java_obj.setSummary(jvm.scala.Option.empty())


def build_classifier(settings: MllibConfig, *, length: int, classes: int, seed: int) -> Estimator[Any]:
    """Build the classifier that the settings name.

    MLlib's boosted trees are binary: there is one ensemble for each letter, against all others.

    Parameters
    ----------
    length : int
        Of `scaled_features`.
    classes : int
        Number of values of `index_label`.

    Returns
    -------
    Estimator
        From `scaled_features` and `index_label`.
    """
    columns: dict[str, Any] = {"featuresCol": "scaled_features", "labelCol": "index_label"}
    name = settings.classifier
    if name == "logistic":
        return LogisticRegression(
            family="multinomial", maxIter=settings.iterations, regParam=settings.regularisation, **columns
        )
    if name == "forest":
        return RandomForestClassifier(numTrees=settings.trees, maxDepth=settings.depth, seed=seed, **columns)
    if name == BOOSTED:
        ensemble = GBTClassifier(
            maxIter=settings.rounds, maxDepth=settings.depth, seed=seed, featureSubsetStrategy="sqrt", **columns
        )
        return EndedOneVsRest(
            classifier=ensemble, rawPredictionCol="rawPrediction", parallelism=PARALLEL_ENSEMBLES, **columns
        )
    layers = [length, *hidden_layers(settings), classes]
    return MultilayerPerceptronClassifier(layers=layers, maxIter=settings.iterations, seed=seed, **columns)

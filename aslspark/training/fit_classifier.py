"""An ingested table and a `Config` -> one of MLlib's classifiers, fitted: the twin of `network.py`."""

from __future__ import annotations

import logging
import math

from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from aslspark.common.catalog import LANDMARKS, PICTURE, READS
from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing
from aslspark.common.settings import Config
from aslspark.common.spark_session import mllib_errors_unlogged
from aslspark.data.samples import HAND_COLUMN, TRAIN
from aslspark.features.landmarks import FEATURES
from aslspark.models.mllib import MllibClassifier, build_classifier, forget_summary
from aslspark.models.onnx_classifier import NOTHING
from aslspark.training.data import TrainingData

log = logging.getLogger("aslspark")


def fit_classifier(spark: SparkSession, data: TrainingData, config: Config) -> tuple[MllibClassifier, PipelineModel]:
    """Fit the classifier that `config.mllib` names on the train split.

    Returns
    -------
    MllibClassifier
    PipelineModel
        The same with its features, from `picture` and `hand` on.

    Raises
    ------
    AslsparkError
        Where landmarks are to be read and the table has no column of hands.
    """
    inputs = READS[config.mllib.reads]
    length = {PICTURE: math.prod(data.shape), LANDMARKS: FEATURES}
    features = data.features(spark, config.features, inputs)
    classifier = build_classifier(
        config.mllib,
        length=sum(length[name] for name in inputs),
        classes=len(data.labels),
        seed=config.training.seed,
    )
    train = data.samples(spark).where(f"split = '{TRAIN}'")
    if LANDMARKS in inputs and HAND_COLUMN not in train.columns:
        raise AslsparkError(
            f"mllib.reads={config.mllib.reads} (--features): landmarks cannot be read: the samples have no column "
            f"{HAND_COLUMN}; ingest the pictures with hands.on=true, or choose picture"
        )
    if PICTURE not in inputs:
        # What cannot be seen teaches nothing but which letter hides its hand most.
        train = train.where(F.col(HAND_COLUMN)["found"].isNotNull() | (F.col("label") == NOTHING))
    log.info("training MLlib's %s", config.mllib.classifier)
    with doing(f"training MLlib's {config.mllib.classifier}", spark=spark), mllib_errors_unlogged(spark):
        pipeline = Pipeline(stages=[*features.getStages(), classifier]).fit(train)
    forget_summary(spark, pipeline)
    return MllibClassifier(pipeline, data.labels, data.shape, inputs), pipeline

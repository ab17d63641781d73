"""One trial: settings -> a model fitted on the train split, and its score on another split."""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.settings import Config
from aslspark.common.spark_session import IS_SPARK_3
from aslspark.common.store_path import AnyPath, scratch_beside
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import TrainingData
from aslspark.training.fit import OnEpoch
from aslspark.training.fit_classifier import fit_classifier
from aslspark.training.fit_network import fit_network
from aslspark.training.launch.run import StoppedEarly


@dataclass(frozen=True)
class Score:
    """The accuracy of a model on a split."""

    accuracy: float
    spread: float
    """Standard error of the accuracy. Frames of one film are near-duplicates and no independent sample, so the clusters
    are letters by signer (or by source): Cochran, Sampling Techniques (1977), 9A, for clusters of unequal size."""
    rows: int


def fit_trial(
    spark: SparkSession,
    table: TrainingData,
    config: Config,
    folder: AnyPath,
    on_epoch: OnEpoch | None = None,
    seconds: float = math.inf,
) -> SignClassifierModel:
    """Fit the classifier or the network that the settings name.

    Parameters
    ----------
    folder : Path or StorePath
        Where a temporary folder is made, which all workers see.
    on_epoch : callable, optional
        For networks; see `fit_network`.
    seconds : float
        The most that a classifier may take.

    Raises
    ------
    StoppedEarly
        Where `on_epoch` ends the fit, or the seconds are over.
    """
    if config.mllib.classifier != NO_CLASSIFIER:
        with _cancelled_after(spark, seconds):
            return SignClassifierModel(fit_classifier(spark, table, config)[0])
    with scratch_beside(folder / "trial") as scratch:
        fitted = fit_network(table, config, scratch, on_epoch)
        return SignClassifierModel(fitted.classifier, fitted=fitted)


def judge(spark: SparkSession, model: SignClassifierModel, table: TrainingData, split: str) -> Score:
    """Score a split with a model; a sample that it cannot score counts as wrong."""
    scored = model.best_guesses(table.samples(spark).where(F.col("split") == split))
    right = F.col("label").eqNullSafe(F.col("letter")).cast("int")
    cells = scored.groupBy(F.coalesce("signer", "source"), "label").agg(F.count("*"), F.sum(right)).collect()
    counts = [(cell[2], cell[3]) for cell in cells]
    rows = sum(count for count, _ in counts)
    accuracy = sum(correct for _, correct in counts) / rows
    squares = sum((correct - accuracy * count) ** 2 for count, correct in counts)
    return Score(accuracy, math.sqrt(squares * len(counts) / max(len(counts) - 1, 1)) / rows, rows)


@contextmanager
def _cancelled_after(spark: SparkSession, seconds: float) -> Iterator[None]:
    """Cancel the block's Spark jobs when its time is over, and those that it begins from then on."""
    if math.isinf(seconds):
        yield
        return
    context, group = spark.sparkContext, f"aslspark-trial-{uuid.uuid4().hex}"
    over = threading.Event()

    def cancel() -> None:
        if not IS_SPARK_3:
            # Boosted trees are grown in several threads: where one is cancelled, the others go on to their next job.
            in_jvm: Any = context._jsc.sc()  # PySpark has no name for it
            in_jvm.cancelJobGroupAndFutureJobs(group)
            return
        # Repeatedly, since between two jobs of a fit there is none to cancel.
        while not over.is_set():
            context.cancelJobGroup(group)
            over.wait(0.1)

    timer = threading.Timer(max(seconds, 0.0), cancel)
    timer.daemon = True
    context.setJobGroup(group, "a trial of settings", interruptOnCancel=True)
    timer.start()
    try:
        yield
    except Exception as error:
        if "cancelled" in str(error):
            raise StoppedEarly from error
        raise
    finally:
        over.set()
        timer.cancel()
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
        context.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]

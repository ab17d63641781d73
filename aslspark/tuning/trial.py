"""One trial: settings in; a model that was fitted on the train split, and how it reads another split, out."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.settings import Config
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import TrainingData
from aslspark.training.fit_classifier import fit_classifier
from aslspark.training.fit_network import fit_network
from aslspark.training.launch.run import StoppedEarly


@dataclass(frozen=True)
class Score:
    """How well a model reads a split."""

    accuracy: float
    spread: float
    """Standard error of the accuracy, over letters by who signed them (or by source): frames of one film are
    near-twins, so that rows are no sample. For clusters of unequal size: Cochran, Sampling Techniques (1977), 9A."""
    rows: int


def fit_trial(
    spark: SparkSession,
    table: TrainingData,
    config: Config,
    folder: Path,
    on_epoch: Callable[[dict[str, Any]], bool] | None = None,
    seconds: float = math.inf,
) -> SignClassifierModel:
    """Fit the classifier or the network that the settings name.

    Parameters
    ----------
    spark : SparkSession
    table : TrainingData
    config : Config
    folder : Path
        For a folder that is removed at the end.
    on_epoch : callable, optional
        Of networks: as for `fit_network`.
    seconds : float
        That a classifier may take.

    Raises
    ------
    StoppedEarly
        Where `on_epoch` said so, or the seconds are over.
    """
    if config.mllib.classifier != NO_CLASSIFIER:
        with _cancelled_after(spark, seconds):
            return fit_classifier(spark, table, config)[0]
    scratch = Path(tempfile.mkdtemp(prefix="aslspark-trial-", dir=folder))
    try:
        return fit_network(table, config, scratch, on_epoch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def judge(spark: SparkSession, model: SignClassifierModel, table: TrainingData, split: str) -> Score:
    """Count what a model reads of a split; one that it cannot score is wrong."""
    scored = model.best_guesses(table.samples(spark).where(F.col("split") == split))
    right = F.col("label").eqNullSafe(F.col("letter")).cast("int")
    cells = scored.groupBy(F.coalesce("signer", "source"), "label").agg(F.count("*"), F.sum(right)).collect()
    counts = [(cell[2], cell[3]) for cell in cells]
    rows = sum(count for count, _ in counts)
    accuracy = sum(found for _, found in counts) / rows
    squares = sum((found - accuracy * count) ** 2 for count, found in counts)
    return Score(accuracy, math.sqrt(squares * len(counts) / max(len(counts) - 1, 1)) / rows, rows)


@contextmanager
def _cancelled_after(spark: SparkSession, seconds: float) -> Iterator[None]:
    """End Spark's jobs of the block when its time is over."""
    if math.isinf(seconds):
        yield
        return
    context, group = spark.sparkContext, "aslspark-trial"
    over = threading.Event()

    def cancel() -> None:
        # Again and again: between two jobs of a fit there is none to cancel.
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

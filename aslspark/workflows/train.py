"""A whole training job: data in, a bundle out."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import require_new, seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.catalog import LANDMARKS, NETWORKS, NO_CLASSIFIER, PICTURE, READS
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import Config
from aslspark.common.spark_session import require_slots
from aslspark.data.samples import TRAIN, VALIDATION
from aslspark.data.split_preview import Needs
from aslspark.evaluation.calibration import set_temperature
from aslspark.evaluation.model_card import write_card
from aslspark.evaluation.plots import plot_augmented, plot_curves
from aslspark.evaluation.report import evaluate, summary
from aslspark.features.augment_sheet import augmented_versions
from aslspark.images.decoding import pixels_of
from aslspark.models.mllib import check_classifier
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.monitoring.profile import write_reference
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import DRAWN_WARNING, TrainingData, is_ingested
from aslspark.training.fit_classifier import fit_classifier
from aslspark.training.fit_network import fit_network
from aslspark.training.gpus import gpu_tasks
from aslspark.training.initial_weights import check_network, import_ahead
from aslspark.training.resume import ingest_kept, unfinished_run
from aslspark.workflows.training_data import training_data

log = logging.getLogger("aslspark")

SHOWN_AUGMENTED = 8

Fit = Callable[[TrainingData, Path], tuple[SignClassifierModel, PipelineModel]]


def train_cnn(
    spark: SparkSession,
    data: Sequence[str],
    out: str,
    config: Config,
    test_data: Sequence[str] = (),
    resume: bool = False,
) -> dict[str, Any]:
    """Train a network across processes in Spark tasks and leave a bundle.

    Parameters
    ----------
    spark : SparkSession
    data : sequence of str
        Raw sources or one ingested folder; empty for drawn hands.
    out : str
        The bundle's folder, which must not exist.
    config : Config
    test_data : sequence of str
        Raw sources that are only tested on.
    resume : bool
        Go on with a run for the same `out` that did not come to its end, from its last epoch.

    Returns
    -------
    dict
        The figures of `metrics.json`.
    """
    check_network(config, raw=not (len(data) == 1 and is_ingested(data[0])))
    training = config.training
    require_slots(spark, training.num_proc, gpu_tasks(spark) if training.use_gpu else None)

    inputs = NETWORKS[config.network.name].inputs

    def fit(table: TrainingData, scratch: Path) -> tuple[SignClassifierModel, PipelineModel]:
        features = table.features(spark, config.features, inputs)
        model = fit_network(table, config, scratch)
        return model, features.fit(table.samples(spark).limit(1))  # nothing in it learns from the data

    path = require_new(out)
    import_ahead(config.training)
    given = {"data": list(data), "test_data": list(test_data), "settings": config.as_dict()}
    with unfinished_run(path, given, resume) as run:
        return _run(spark, data, path, run, config, test_data, fit, Needs(processes=training.num_proc))


def train_baseline(
    spark: SparkSession,
    data: Sequence[str],
    out: str,
    config: Config,
    test_data: Sequence[str] = (),
) -> dict[str, Any]:
    """Train one of MLlib's classifiers on the same features and splits, and leave the same kind of bundle.

    Parameters
    ----------
    spark, data, out, test_data
        As for `train_cnn`.
    config : Config
        `mllib` names the classifier, what it reads, and how it is fitted.

    Returns
    -------
    dict
        The figures of `metrics.json`.

    Raises
    ------
    AslsparkError
        Where the settings name no classifier, or landmarks are to be read and the data have no hands, or get none.
    """
    check_classifier(config.mllib)
    raw = bool(data) and not (len(data) == 1 and is_ingested(data[0]))
    if raw and LANDMARKS in READS[config.mllib.reads] and not config.hands.on:
        raise AslsparkError(
            f"mllib.reads={config.mllib.reads} (--features): pictures in files get landmarks with hands.on=true; set "
            "it, or choose picture"
        )

    def fit(table: TrainingData, scratch: Path) -> tuple[SignClassifierModel, PipelineModel]:
        return fit_classifier(spark, table, config)

    path = require_new(out)
    with TemporaryDirectory(prefix=f".{path.name}.tmp-", dir=_parent(path)) as run:
        return _run(spark, data, path, Path(run), config, test_data, fit, Needs())


def train_named(spark: SparkSession, data: Sequence[str], out: str, config: Config) -> dict[str, Any]:
    """Train what the settings name: the classifier of `mllib`, or the network where that is 'none'."""
    train = train_cnn if config.mllib.classifier == NO_CLASSIFIER else train_baseline
    return train(spark, data, out, config)


def _run(
    spark: SparkSession,
    data: Sequence[str],
    path: Path,
    run: Path,
    config: Config,
    test_data: Sequence[str],
    fit: Fit,
    needs: Needs,
) -> dict[str, Any]:
    """Ingest, fit and judge; `run` is a folder beside `path` for what does not stay."""
    started = time.monotonic()
    with whole_folder(path, run / "bundle") as folder:
        with ingest_kept(run, path, data), training_data(spark, data, test_data, config, run, needs) as table:
            ingested = time.monotonic()
            model, pipeline = fit(table, run)
            model.form, model.hands = table.form, table.hands
            model.setThreshold(config.answers.threshold)
            fitted = time.monotonic()
            samples = table.samples(spark)
            if config.answers.temperature:
                model.temperature = config.answers.temperature
            else:
                set_temperature(model, samples.where(f"split = '{VALIDATION}'"))
            metrics = evaluate(model, samples, folder, judged_on=[table.judged_on])
            about = {
                "settings": config.as_dict(),
                "preprocessing": {"stretch": config.features.stretch, **model.preprocessing()},
                "split": table.report["split"],
                "drawn": DRAWN_WARNING if not data else None,
                "data": {
                    "fingerprint": table.fingerprint,
                    "sources": sorted(table.report["sources"]),
                    "rows": table.report["splits"],
                    "warnings": table.report["warnings"],
                },
                "seconds": {
                    "ingest": round(ingested - started, 1),
                    "fit": round(fitted - ingested, 1),
                    "evaluation": round(time.monotonic() - fitted, 1),
                },
            }
            write_model(model, pipeline, folder, **about)
            write_reference(model, table.own_samples(spark), folder)
            classifier = model.classifier
            takes_pictures = isinstance(classifier, OnnxClassifier) and PICTURE in classifier.inputs
            if takes_pictures and config.augment.on:
                _draw_augmented(samples, table.labels, config, folder / "augmented.png")
        if model.fitted is not None:
            _write_history(model.fitted.history, folder / "history.csv")
            plot_curves(model.fitted.history, model.fitted.best_epoch, folder / "curves.png")
        write_card(folder, metrics, model)
        seal(folder)
    log.info("%s", summary(metrics))
    if not data:
        log.info("(%s)", DRAWN_WARNING)
    log.info("%s written in %.0f s", path, time.monotonic() - started)
    return metrics


def _parent(path: Path) -> Path:
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    return path.absolute().parent


def _draw_augmented(samples: DataFrame, known: Sequence[str], config: Config, path: Path) -> None:
    """Draw one training picture of each of some labels, evenly through the alphabet, and how training changed it."""
    places = np.linspace(0, len(known) - 1, min(SHOWN_AUGMENTED, len(known))).round().astype(int)
    labels = [known[place] for place in places]
    shown = samples.where((samples["split"] == TRAIN) & samples["label"].isin(labels))
    # By a hash: any picture will do, the same one each time, and it need not be the first of a video.
    chosen = shown.groupBy("label").agg(F.min_by("picture", F.xxhash64("id")).alias("picture")).orderBy("label")
    versions = augmented_versions(
        np.stack([pixels_of(row["picture"]) for row in chosen.collect()]),
        config.augment,
        framework=config.training.framework,
        stretch=config.features.stretch,
        seed=config.training.seed,
    )
    plot_augmented(versions, labels, path)


def _write_history(history: Sequence[dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0].keys())
        writer.writeheader()
        writer.writerows(history)

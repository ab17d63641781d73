"""A whole training job: data in, a bundle out."""

from __future__ import annotations

import csv
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import MANIFEST, require_new, seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.catalog import LANDMARKS, NETWORKS, NO_CLASSIFIER, PICTURE, READS
from aslspark.common.command_line import next_command
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.former_names import warn_of_former
from aslspark.common.progress import clock, doing
from aslspark.common.settings import Config
from aslspark.common.spark_session import require_slots
from aslspark.common.store_path import AnyPath, scratch_beside
from aslspark.data.samples import SPLITS, TRAIN, VALIDATION
from aslspark.data.split_preview import Needs
from aslspark.evaluation.calibration import temperature_for
from aslspark.evaluation.metrics_json import Metrics
from aslspark.evaluation.model_card import write_card
from aslspark.evaluation.model_page import write_model_page
from aslspark.evaluation.plots import plot_augmented, plot_curves
from aslspark.evaluation.report import evaluate, summary
from aslspark.evaluation.unlike_splits import unlike_splits_warning
from aslspark.features.augment_sheet import augmented_versions
from aslspark.images.decoding import pixels_of
from aslspark.models.fit_result import EpochRow, FitResult
from aslspark.models.mllib import MllibClassifier, check_classifier, check_session
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.monitoring.profile import write_reference
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import TrainingData, ingested_folder
from aslspark.training.fit_classifier import fit_classifier
from aslspark.training.fit_network import fit_network
from aslspark.training.gpus import gpu_tasks
from aslspark.training.initial_weights import check_network, import_ahead
from aslspark.training.resume import ingest_kept, unfinished_run
from aslspark.training.training_alerts import in_words
from aslspark.workflows.job_run import as_paths, job_run, log_result
from aslspark.workflows.training_data import training_data

log = logging.getLogger("aslspark")

SHOWN_AUGMENTED = 8

Fit = Callable[[TrainingData, AnyPath], tuple[OnnxClassifier | MllibClassifier, FitResult | None, PipelineModel]]
"""Gives the classifier, how a network came to it, and the features, with the classifier where that is MLlib's."""


@dataclass(frozen=True, repr=False)
class TrainingResult:
    """What `train` left.

    Parameters
    ----------
    path : str
        The bundle's folder, as it was given; `aslspark.load_model` takes it.
    metrics : Metrics
        What ``metrics.json`` holds.
    labels : tuple of str
        The labels that the model answers, in the order of its outputs.
    best_epoch : int, optional
        The epoch, counted from 1, whose weights the bundle holds; None for one of MLlib's classifiers.
    """

    path: str
    metrics: Metrics
    labels: tuple[str, ...]
    best_epoch: int | None = None

    def __repr__(self) -> str:
        rows = counted(self.metrics["rows"], f"{self.metrics['judged_on'][0]} row")
        judged = f"{self.metrics['accuracy']:.2%} of {rows} right"
        epoch = f", epoch {self.best_epoch}" if self.best_epoch is not None else ""
        return f"<TrainingResult {self.path}: {judged}, {counted(len(self.labels), 'label')}{epoch}>"


def train(
    spark: SparkSession,
    data: str | Sequence[str],
    out: str,
    *,
    config: Config | None = None,
    test_data: str | Sequence[str] = (),
    resume: bool = False,
) -> TrainingResult:
    """Train a network, or one of MLlib's classifiers, on labelled pictures of hands, and write it as a bundle.

    A network is trained by `training.num_proc` processes side by side, one in a Spark task each, which average their
    gradients by Horovod or torch.distributed. Each epoch is logged, and kept beside `out`: where a worker is lost,
    training goes on from the last epoch.

    Parameters
    ----------
    spark : SparkSession
    data : str or sequence of str
        One folder that `aslspark.ingest` wrote, or raw sources as it takes them, which are ingested first; an empty
        sequence for synthetic hands.
    out : str
        The bundle's folder, which must not exist.
    config : Config, optional
        The settings; see `aslspark.load_config`. Where `mllib.classifier` is 'none', the default, the network that
        `network.name` names is trained, and else that classifier.
    test_data : str or sequence of str
        Raw sources that are only tested on.
    resume : bool
        Go on with a network's run for the same `out` that did not come to its end, from its last epoch.

    Returns
    -------
    TrainingResult

    Raises
    ------
    AslsparkError
        Where data or settings cannot be used, `out` exists, Spark has fewer task slots than `training.num_proc`, or
        training failed more often than `training.tries` allows.

    Notes
    -----
    The log goes to standard output, unless the caller has set a level for the logger "aslspark". With
    ``tracking.mlflow=true`` the run is kept in MLflow.

    References
    ----------
    .. [1] A. Sergeev, M. Del Balso, "Horovod: fast and easy distributed deep learning in TensorFlow",
       arXiv:1802.05799, 2018.
    .. [2] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017: the
       temperature that is set on the validation split.

    Examples
    --------
    >>> import aslspark
    >>> config = aslspark.load_config(overrides=["training.framework=torch", "training.epochs=2"])
    >>> result = aslspark.train(spark, "ingested", "runs/letters", config=config)
    >>> result  # doctest: +ELLIPSIS
    <TrainingResult runs/letters: ...% of 72 test rows right, 24 labels, epoch ...>
    >>> sorted(result.metrics["splits"])
    ['test', 'train', 'validation']

    One of MLlib's classifiers in place of the network:

    >>> config = aslspark.load_config(overrides=["mllib.classifier=forest", "mllib.trees=5"])
    >>> aslspark.train(spark, ["ingested"], "runs/forest", config=config).best_epoch is None
    True
    """
    config, paths, test_paths = config or Config(), as_paths(data), as_paths(test_data)
    job = "train_cnn" if config.mllib.classifier == NO_CLASSIFIER else "train_baseline"
    started = time.monotonic()
    with job_run(spark, config, job, out, data=paths):
        result = train_bundle(spark, paths, out, config, test_paths, resume)
    metrics = result.metrics
    judged = f"{metrics['accuracy']:.2%} of {counted(metrics['rows'], metrics['judged_on'][0] + ' picture')}"
    log_result(
        out,
        f"{judged} right, in {clock(time.monotonic() - started)}",
        look=f"{out}/report.html",
        then=next_command("score", "--model", out, "--data", "PICTURES", "--out", "scored"),
    )
    return result


def train_cnn(
    spark: SparkSession,
    data: Sequence[str],
    out: str,
    config: Config,
    test_data: Sequence[str] = (),
    resume: bool = False,
) -> Metrics:
    """Train a network, whatever `mllib.classifier` is: the call that README showed before `train`."""
    warn_of_former("aslspark.workflows.train.train_cnn", "aslspark.train")
    config = replace(config, mllib=replace(config.mllib, classifier=NO_CLASSIFIER))
    return train(spark, data, out, config=config, test_data=test_data, resume=resume).metrics


def train_baseline(
    spark: SparkSession, data: Sequence[str], out: str, config: Config, test_data: Sequence[str] = ()
) -> Metrics:
    """Train the classifier that `mllib.classifier` names: the call that notebooks showed before `train`."""
    warn_of_former("aslspark.workflows.train.train_baseline", "aslspark.train")
    check_classifier(config.mllib)
    return train(spark, data, out, config=config, test_data=test_data).metrics


def train_bundle(
    spark: SparkSession,
    data: Sequence[str],
    out: str,
    config: Config,
    test_data: Sequence[str] = (),
    resume: bool = False,
) -> TrainingResult:
    """Train as `train` does, as one step of a larger job, which MLflow keeps as a whole."""
    if config.mllib.classifier == NO_CLASSIFIER:
        return _train_network(spark, data, out, config, test_data, resume)
    if resume:
        raise AslsparkError(
            f"--resume: mllib.classifier={config.mllib.classifier} has no epochs to go on from; train it from the start"
        )
    return _train_classifier(spark, data, out, config, test_data)


def _train_network(
    spark: SparkSession, data: Sequence[str], out: str, config: Config, test_data: Sequence[str], resume: bool
) -> TrainingResult:
    check_network(config, raw=not ingested_folder(data))
    training = config.training
    require_slots(spark, training.num_proc, gpu_tasks(spark) if training.use_gpu else None)

    inputs = NETWORKS[config.network.name].inputs

    def fit(table: TrainingData, scratch: AnyPath) -> tuple[OnnxClassifier, FitResult, PipelineModel]:
        features = table.features(spark, config.features, inputs)
        fitted = fit_network(table, config, scratch)
        # Nothing in the features learns from the data.
        return fitted.classifier, fitted, features.fit(table.samples(spark).limit(1))

    path = require_new(out)
    import_ahead(config.training)
    given = {"data": list(data), "test_data": list(test_data), "settings": config.as_dict()}
    with unfinished_run(path, given, resume) as scratch:
        job = _Job(spark, data, test_data, out, path, config, fit, Needs(processes=training.num_proc))
        return _fit_and_judge(job, scratch)


def _train_classifier(
    spark: SparkSession, data: Sequence[str], out: str, config: Config, test_data: Sequence[str]
) -> TrainingResult:
    check_classifier(config.mllib)
    check_session(spark, config.mllib.classifier)
    raw = bool(data) and not ingested_folder(data)
    if raw and LANDMARKS in READS[config.mllib.reads] and not config.hands.on:
        raise AslsparkError(
            f"mllib.reads={config.mllib.reads} (--features): pictures in files get landmarks with hands.on=true; set "
            "it, or choose picture"
        )

    def fit(table: TrainingData, scratch: AnyPath) -> tuple[MllibClassifier, None, PipelineModel]:
        classifier, pipeline = fit_classifier(spark, table, config)
        return classifier, None, pipeline

    path = require_new(out)
    with scratch_beside(path) as scratch:
        return _fit_and_judge(_Job(spark, data, test_data, out, path, config, fit, Needs()), scratch)


@dataclass(frozen=True)
class _Job:
    """What a training job was given, and how its model is fitted."""

    spark: SparkSession
    data: Sequence[str]
    test_data: Sequence[str]
    out: str
    path: AnyPath
    config: Config
    fit: Fit
    needs: Needs


def _fit_and_judge(job: _Job, scratch: AnyPath) -> TrainingResult:
    """Ingest, fit and judge, and write the bundle; `scratch` is a folder beside it for what does not stay."""
    spark, config, started = job.spark, job.config, time.monotonic()
    with whole_folder(job.path, scratch / "bundle" if isinstance(scratch, Path) else None) as folder:
        with (
            ingest_kept(scratch, job.path, job.data),
            training_data(spark, job.data, job.test_data, config, scratch, job.needs, job.path) as table,
        ):
            ingested = time.monotonic()
            classifier, result, pipeline = job.fit(table, scratch)
            fitted = time.monotonic()
            samples, answers = table.samples(spark), config.answers
            made = partial(SignClassifierModel, classifier, fitted=result, form=table.form, hands=table.hands)
            held_out = samples.where(f"split = '{VALIDATION}'")
            counts = {name: int(rows) for name, rows in table.report["splits"].items()}
            with doing("setting the temperature", rows=counts.get(VALIDATION), unit="pictures"):
                temperature = answers.temperature or temperature_for(made(), held_out)
            model = made(temperature=temperature, threshold=answers.threshold)
            rows = sum(counts.get(name, 0) for name in SPLITS)
            metrics = evaluate(model, samples, folder, judged_on=[table.judged_on], rows=rows)
            seconds = {
                "ingest": round(ingested - started, 1),
                "fit": round(fitted - ingested, 1),
                "evaluation": round(time.monotonic() - fitted, 1),
            }
            with doing("writing the model"):
                about = _about(model, table, config)
                write_model(model, pipeline, folder, scratch, **about, seconds=seconds)
            with doing("describing the pictures, for the monitor"):
                write_reference(model, table.own_samples(spark), folder)
            if config.augment.on and isinstance(classifier, OnnxClassifier) and PICTURE in classifier.inputs:
                with doing("drawing changed pictures"):
                    _draw_augmented(samples, table.labels, config, folder / "augmented.png")
        if result is not None:
            _write_history(result.history, folder / "history.csv")
            plot_curves(result.history, result.best_epoch, folder / "curves.png")
        write_card(folder, metrics, model)
        _write_page(folder, metrics, job)
        seal(folder)
    log.info("%s", summary(metrics))
    if unlike := unlike_splits_warning(metrics):
        log.warning("warning: %s", unlike)
    if table.drawn:
        log.info("(%s)", table.drawn)
    best_epoch = result.best_epoch if result is not None else None
    return TrainingResult(str(job.out), metrics, tuple(model.labels), best_epoch)


def _about(model: SignClassifierModel, table: TrainingData, config: Config) -> dict[str, Any]:
    """Return what the manifest says of settings and data."""
    return {
        "settings": config.as_dict(),
        "preprocessing": {"stretch": config.features.stretch, **model.preprocessing()},
        "split": table.report["split"],
        "drawn": table.drawn,
        "data": {
            "fingerprint": table.fingerprint,
            "sources": sorted(table.report["sources"]),
            "rows": table.report["splits"],
            "warnings": table.warnings,
        },
    }


def _draw_augmented(samples: DataFrame, known: Sequence[str], config: Config, path: Path) -> None:
    """Draw one training picture of each of some labels, evenly through the alphabet, and how training changed it."""
    places = np.linspace(0, len(known) - 1, min(SHOWN_AUGMENTED, len(known))).round().astype(int)
    labels = [known[place] for place in places]
    shown = samples.where((samples["split"] == TRAIN) & samples["label"].isin(labels))
    # By a hash: any picture will do, the same one each time, and it need not be the first of a video.
    chosen = shown.groupBy("label").agg(F.min_by("picture", F.xxhash64("id")).alias("picture")).collect()
    versions = augmented_versions(
        np.stack([pixels_of(row["picture"]) for row in sorted(chosen, key=lambda row: str(row["label"]))]),
        config.augment,
        framework=config.training.framework,
        stretch=config.features.stretch,
        seed=config.training.seed,
    )
    plot_augmented(versions, labels, path)


def _write_page(folder: Path, metrics: Metrics, job: _Job) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    drawn = [f"Trained and tested on {manifest['drawn']}"] if manifest["drawn"] else []
    settings = {name: part for name, part in manifest["settings"].items() if drawn or name != "drawn"}
    model = settings["network"]["name"] if manifest["kind"] == "network" else job.config.mllib.classifier
    write_model_page(
        folder,
        metrics,
        name=job.path.name,
        warnings=[*drawn, *manifest["data"]["warnings"], *map(in_words, metrics.get("watch", []))],
        made={
            "model": f"{model}, {manifest.get('framework', 'Spark MLlib')}",
            "labels": " ".join(manifest["labels"]),
            "sources": ", ".join(manifest["data"]["sources"]),
            "split": manifest["split"],
            "fingerprint of the samples": manifest["data"]["fingerprint"],
            "time": ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in manifest["seconds"].items()),
        },
        settings=settings,
    )


def _write_history(history: Sequence[EpochRow], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0].keys())
        writer.writeheader()
        writer.writerows(history)

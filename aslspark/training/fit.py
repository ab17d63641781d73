"""One fit, whoever starts its processes: Parquet folders and settings in, a fitted network out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from operator import attrgetter
from typing import Any, Protocol

from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing
from aslspark.common.settings import AugmentConfig, Config, TrainingConfig, declarations
from aslspark.common.spark_session import require_slots, running_session, task_cores
from aslspark.common.store_path import AnyPath, remove_folder
from aslspark.models.fit_result import EpochRow, FinishedNetwork, FitResult
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.training.attempts import Attempts
from aslspark.training.checkpoint import fit_name
from aslspark.training.console import ConsoleProgress
from aslspark.training.events import Event
from aslspark.training.feed import list_row_groups, parquet_file
from aslspark.training.gpus import gpu_source, gpu_tasks
from aslspark.training.hands import require_hands
from aslspark.training.launch.launchers import HOROVOD
from aslspark.training.loop import STALL_SECONDS, Outcome
from aslspark.training.training_alerts import in_words
from aslspark.training.worker import SampleFolders, WorkerJob, WorkerResult

KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""For glibc, of the workers: what a step has freed is kept for the next. Given back to the system and asked for again,
the pages of a batch of 256 are a sixth of torch's time here."""

NO_PICTURES = (0, 0, 0)
"""The shape of pictures where there are none."""

OnEpoch = Callable[[EpochRow], bool]


class UnfittedNetwork(Protocol):
    """A network with its loss and its optimizer, in one of the frameworks."""

    def spec(self, training: TrainingConfig) -> dict[str, Any]:
        """Put them into terms that the worker takes."""

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the network takes, by the names in `aslspark.common.catalog`, in its order.

        Of pictures: height, width, channels.
        """

    def require_outputs(self, classes: int) -> None:
        """See that it gives one output a class, of the kind that its loss takes, by giving it a black picture.

        Raises
        ------
        AslsparkError
        """

    def worker(self) -> Callable[[WorkerJob], WorkerResult]:
        """Return the function that each process runs."""

    def finished(self, weights: bytes, stretch: bool) -> tuple[FinishedNetwork, bytes]:
        """Build the finished network, and export it as ONNX."""


def fit_on_folders(
    unfitted: UnfittedNetwork,
    config: Config,
    folders: SampleFolders,
    scratch: AnyPath,
    *,
    checkpoints: AnyPath | None = None,
    val_batch_size: int | None = None,
    shape: tuple[int, int, int] = NO_PICTURES,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Train a network across Spark tasks on Parquet where it lies.

    Parameters
    ----------
    config : Config
        Its sections training, network, features and augment.
    scratch : Path or StorePath
        For flat copies, and for checkpoints that last as long as the fit; all workers see it.
    checkpoints : Path or StorePath, optional
        A folder for those that are to stay; where it holds some of the same fit, that goes on.
    val_batch_size : int, optional
        Rows that each process judges at a time; None: 256, or the batch size where that is larger.
    shape : (int, int, int)
        Of the pictures beside, for a network that takes none.
    on_epoch : callable, optional
        Gets each epoch's row of the history; True ends the fit with `aslspark.training.launch.run.StoppedEarly`.

    Raises
    ------
    AslsparkError
    """
    spark = running_session()
    if spark is None:
        raise AslsparkError("there is no running SparkSession; start one before fitting")
    training = config.training
    profile = gpu_tasks(spark) if training.use_gpu else None
    require_slots(spark, training.num_proc, profile)
    job, rows = worker_job(spark, unfitted, config, folders, profile, val_batch_size)
    kept = checkpoints or scratch / f"checkpoints-{uuid.uuid4().hex}"
    job = replace(job, fit=name_of_fit(job, *rows), checkpoints=str(kept.absolute()))
    training = job.training
    attempts = Attempts(spark, unfitted.worker(), training.tries, profile, scratch)
    env, how = _environment(training)
    kept.mkdir(parents=True, exist_ok=True)
    fitting = ExitStack()
    try:
        activity = fitting.enter_context(doing(f"starting {counted(training.num_proc, 'process', 'processes')}"))
        progress = ConsoleProgress(rows[0], training, how, activity)

        def on_event(event: Event) -> None:
            progress(event)
            if event["event"] != "epoch" or on_epoch is None or attempts.stopped.is_set():
                return  # between the request to end and the end, short epochs may still come in
            if on_epoch(event):
                attempts.stopped.set()

        results = attempts.run(job, training.num_proc, env, on_event)
    finally:
        fitting.close()
        if checkpoints is None:
            remove_folder(kept)
    outcome = _checked(results)
    # By the clocks of two machines, where the workers are on others: off by as much as those are.
    phases = {"start": results[0].began - attempts.launched, **outcome.phases}
    exporting = time.monotonic()
    with doing("taking the network out of its framework"):
        network, onnx = unfitted.finished(outcome.weights, job.features.stretch)
    classifier = OnnxClassifier(
        onnx, tuple(folders.labels), job.shape or shape, inputs=job.inputs, upright=job.features.upright
    )
    return FitResult(
        network,
        classifier,
        outcome.history,
        outcome.best_epoch,
        digests=[result.digest for result in results],
        watch=outcome.watch,
        phases={**phases, "export": time.monotonic() - exporting},
        trace=outcome.trace,
    )


def _environment(training: TrainingConfig) -> tuple[dict[str, str], str]:
    """Return the workers' environment variables, and what the console says of the launcher."""
    env = {"OMP_NUM_THREADS": str(training.threads), "TF_CPP_MIN_LOG_LEVEL": "2", **KEEP_MEMORY}
    if training.launcher != HOROVOD:
        return env, "torch.distributed"
    # Looking often costs CPU, looking seldom makes small steps wait: measured in docs/results.md.
    cycle_ms = training.cycle_ms or (5.0 if training.batch_size >= 128 else 1.0)
    horovods = {"HOROVOD_CYCLE_TIME": str(cycle_ms), "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(STALL_SECONDS)}
    return env | horovods, f"Horovod's cycle {cycle_ms:g} ms"


def _checked(results: Sequence[WorkerResult]) -> Outcome:
    """Return what rank 0 came to, if there is a model and all ranks hold the same weights."""
    outcome = results[0].outcome
    assert outcome is not None
    if not outcome.best_epoch:
        stop = next(alert for alert in outcome.watch if alert["stopped"])
        raise AslsparkError(f"{in_words(stop)}; no epoch before it left a model to keep")
    if len({result.digest for result in results}) != 1:
        raise AslsparkError(
            "the workers' weights drifted apart, so their gradients were not averaged: "
            + ", ".join(f"rank {result.rank} {result.digest[:12]}" for result in results)
        )
    return outcome


def worker_job(
    spark: SparkSession,
    unfitted: UnfittedNetwork,
    config: Config,
    folders: SampleFolders,
    profile: ResourceProfile | None = None,
    val_batch_size: int | None = None,
) -> tuple[WorkerJob, tuple[int, int]]:
    """Put a fit into terms that its processes take, but for its checkpoints; see `fit_on_folders`.

    Returns
    -------
    WorkerJob
    (int, int)
        Rows to train on, and to validate with.
    """
    training = config.training
    taken = unfitted.input_shapes()
    train_groups = list_row_groups(folders.train)
    if LANDMARKS in taken and train_groups:
        require_hands(folders.train, parquet_file(train_groups[0].path), folders.columns.hand)
    train_rows = sum(group.rows for group in train_groups)
    validation_groups = list_row_groups(folders.validation) if folders.validation else []
    validation_rows = sum(group.rows for group in validation_groups)
    for what, rows in (("training", train_rows), ("validation", validation_rows)):
        if 0 < rows < training.num_proc or (what == "training" and rows == 0):
            raise AslsparkError(
                f"num_proc={training.num_proc}: only {counted(rows, f'{what} sample')}, and each process needs one or "
                "more; give more data or fewer processes"
            )
    validation = folders.validation if validation_rows else None
    groups = {folders.train: train_groups} | ({validation: validation_groups} if validation else {})
    job = WorkerJob(
        spec=unfitted.spec(training),
        folders=replace(folders, validation=validation, groups=groups),
        inputs=tuple(taken),
        shape=taken.get(PICTURE),  # type: ignore[arg-type]
        training=replace(training, threads=training.threads or task_cores(spark, profile)),
        network=config.network,
        features=config.features,
        augment=config.augment,
        val_batch_size=val_batch_size or max(training.batch_size, 256),
        gpu=gpu_source(spark) if training.use_gpu else None,
    )
    return job, (train_rows, validation_rows)


_IN_NAMES = {
    *("training.epochs", "training.patience", "training.schedule", "training.batch_size", "training.seed"),
    *("training.label_smoothing", "training.clip_norm", "network.branch_dropout"),
    *("network.unfreeze_after", "network.unfreeze_rate", "features.stretch", "features.upright"),
}
"""Settings that the names of fits have always held."""


def name_of_fit(job: WorkerJob, *rows: int) -> str:
    """Name the fit by what must stay as it is for a checkpoint to go on, in the words that checkpoints have.

    Any other setting counts where it is not at its default, so that fits from before it was declared keep their names.
    """
    training, network, features, folders = job.training, job.network, job.features, job.folders
    plan = (
        f"Plan(epochs={training.epochs}, patience={training.patience}, schedule={training.schedule!r}, "
        f"unfreeze_after={network.unfreeze_after})"
    )
    changes = str(job.augment).replace(f", landmark_mix_probability={AugmentConfig.landmark_mix_probability}", "")
    read = (folders.labels, job.shape, training.batch_size, plan, training.seed, features.stretch, changes)
    more = (folders.weight_of, job.inputs, features.upright, network.unfreeze_rate)
    steps = (training.label_smoothing, training.clip_norm, network.branch_dropout)
    others = {
        name: value
        for name, setting in declarations("training", "network", "features").items()
        if not (name in _IN_NAMES or setting.metadata.get("built") or setting.metadata.get("resumable"))
        and (value := attrgetter(name)(job)) != setting.default
    }
    return fit_name(rows, job.spec["shapes"], *read, *more, *steps, *([others] if others else []))

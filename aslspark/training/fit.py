"""One fit, whoever starts its processes: Parquet folders and settings in, a fitted network out."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.settings import augment_settings
from aslspark.common.spark_session import require_slots, running_session
from aslspark.models.fitted_network import FittedNetwork
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.attempts import Attempts
from aslspark.training.checkpoint import fit_name
from aslspark.training.console import ConsoleProgress
from aslspark.training.feed import list_row_groups
from aslspark.training.fit_result import fitted_model
from aslspark.training.gpus import gpu_source, gpu_tasks, task_cores
from aslspark.training.hands import require_hands
from aslspark.training.launch.launchers import HOROVOD
from aslspark.training.loop import STALL_SECONDS, Plan
from aslspark.training.training_alerts import in_words
from aslspark.training.worker import WorkerJob

KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""For glibc, of the workers: what a step has freed is kept for the next. Given back to the system and asked for again,
the pages of a batch of 256 are a sixth of torch's time here."""

NO_PICTURES = (0, 0, 0)
"""The shape of pictures for a network that takes none."""


class UnfittedNetwork(Protocol):
    """A network with its loss and its optimizer, in one of the frameworks."""

    def spec(self) -> dict[str, Any]:
        """Put them into terms that the worker takes."""

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the network takes, by the names in `aslspark.common.catalog`, in its order.

        Of pictures: height, width, channels.
        """

    def worker(self) -> Callable[[WorkerJob], dict[str, Any]]:
        """Return the function that each process runs."""

    def fitted(self, weights: bytes) -> tuple[FittedNetwork, bytes]:
        """Build the finished network, and export it as ONNX."""


def fit_on_folders(
    unfitted: UnfittedNetwork,
    params: Mapping[str, Any],
    train_folder: str,
    validation_folder: str,
    scratch: Path,
    *,
    launcher: str = HOROVOD,
    on_epoch: Callable[[dict[str, Any]], bool] | None = None,
) -> SignClassifierModel:
    """Train a network across Spark tasks on Parquet where it lies.

    Parameters
    ----------
    unfitted : UnfittedNetwork
    params : mapping
        By the names of the estimators' params; see `aslspark.training.estimator_params`.
    train_folder, validation_folder : str
    scratch : Path
        For checkpoints, where `params` names no folder for them, and flat copies.
    launcher : {'horovod', 'torch'}
    on_epoch : callable, optional
        Gets each epoch's row of the history; True ends the fit with `aslspark.training.launch.run.StoppedEarly`.

    Raises
    ------
    AslsparkError
    """
    spark = running_session()
    if spark is None:
        raise AslsparkError("there is no running SparkSession; start one before fitting")
    num_proc, use_gpu = params["num_proc"], params["use_gpu"]
    profile = gpu_tasks(spark) if use_gpu else None
    require_slots(spark, num_proc, profile)
    job, rows = worker_job(spark, unfitted, params, train_folder, validation_folder, launcher, profile)
    kept = params["checkpoints"]
    checkpoints = Path(local_path(kept)) if kept else scratch / f"checkpoints-{uuid.uuid4().hex}"
    job = replace(job, fit=_name_of(job, *rows), checkpoints=str(checkpoints.absolute()))
    attempts = Attempts(spark, unfitted.worker(), params["tries"], profile, scratch)
    env = {"OMP_NUM_THREADS": str(job.threads), "TF_CPP_MIN_LOG_LEVEL": "2", **KEEP_MEMORY}
    how = "torch.distributed"
    if launcher == HOROVOD:
        # Looking often costs CPU, looking seldom makes small steps wait: measured in docs/results.md.
        cycle_ms = params["cycle_ms"] or (5.0 if job.batch_size >= 128 else 1.0)
        how = f"Horovod's cycle {cycle_ms:g} ms"
        env |= {
            "HOROVOD_CYCLE_TIME": str(cycle_ms),
            "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(STALL_SECONDS),
        }
    checkpoints.mkdir(parents=True, exist_ok=True)
    try:
        progress = ConsoleProgress(rows[0], num_proc, job.batch_size, job.threads, how)

        def on_event(event: dict[str, Any]) -> None:
            progress(event)
            if event["event"] != "epoch" or on_epoch is None or attempts.stopped.is_set():
                return  # between the request to end and the end, short epochs may still come in
            if on_epoch(event):
                attempts.stopped.set()

        results = attempts.run(job, num_proc, env, on_event)
    finally:
        if not kept:
            shutil.rmtree(checkpoints, ignore_errors=True)
    first = results[0]
    if not first["best_epoch"]:
        stop = next(note for note in first["watch"] if note["stopped"])
        raise AslsparkError(f"{in_words(stop)}; no epoch before it left a model to keep")
    digests = {result["digest"] for result in results}
    if len(digests) != 1:
        raise AslsparkError(
            "the workers' weights drifted apart, so their gradients were not averaged: "
            + ", ".join(f"rank {result['rank']} {result['digest'][:12]}" for result in results)
        )
    # By the clocks of two machines, where the workers are on others: off by as much as those are.
    first["phases"] = {"start": first["began"] - attempts.launched, **first["phases"]}
    exporting = time.monotonic()
    network, onnx = unfitted.fitted(first["weights"])
    classifier = OnnxClassifier(
        onnx, tuple(job.labels), job.shape or NO_PICTURES, inputs=job.inputs, upright=job.upright
    )
    model = fitted_model(network, classifier, results)
    network.phases["export"] = time.monotonic() - exporting
    return model


def worker_job(
    spark: SparkSession,
    unfitted: UnfittedNetwork,
    params: Mapping[str, Any],
    train_folder: str,
    validation_folder: str,
    launcher: str,
    profile: ResourceProfile | None = None,
) -> tuple[WorkerJob, tuple[int, int]]:
    """Put a fit into terms that its processes take, but for its checkpoints; see `fit_on_folders`.

    Returns
    -------
    WorkerJob
    (int, int)
        Rows to train on, and to validate with.
    """
    num_proc = params["num_proc"]
    taken = unfitted.input_shapes()
    train_groups = list_row_groups(train_folder)
    if LANDMARKS in taken and train_groups:
        require_hands(train_folder, train_groups[0].path, params["hand_col"])
    train_rows = sum(group.rows for group in train_groups)
    validation_rows = sum(group.rows for group in list_row_groups(validation_folder))
    for what, rows in (("training", train_rows), ("validation", validation_rows)):
        if 0 < rows < num_proc or (what == "training" and rows == 0):
            raise AslsparkError(
                f"num_proc={num_proc}: there are only {rows} {what} samples, and each process needs one or more; "
                "give more data or fewer processes"
            )
    (feature_col,), (label_col,) = params["feature_cols"], params["label_cols"]
    threads = params["threads"] or task_cores(spark, profile)
    batch_size = params["batch_size"]
    job = WorkerJob(
        network=unfitted.spec(),
        train_folder=train_folder,
        validation_folder=validation_folder if validation_rows else None,
        labels=params["labels"],
        shape=taken.get(PICTURE),  # type: ignore[arg-type]
        columns={"picture_col": feature_col, "label_col": label_col},
        batch_size=batch_size,
        val_batch_size=params.get("val_batch_size") or max(batch_size, 256),
        plan=Plan(
            epochs=params["epochs"],
            patience=params["patience"],
            schedule=params["schedule"],
            unfreeze_after=params["unfreeze_after"],
        ),
        seed=params["random_seed"] or 0,
        threads=threads,
        augment=augment_settings(params["augment"]),
        gpu=gpu_source(spark) if params["use_gpu"] else None,
        budget=params["cache_mb"] << 20,
        weight_of=params["source_weights"],
        inputs=tuple(taken),
        launcher=launcher,
        **{name: params[name] for name in ("stretch", "precision", "feed", "unfreeze_rate", "label_smoothing")},
        **{name: params[name] for name in ("clip_norm", "profile_steps", "hand_col", "upright", "branch_dropout")},
    )
    return job, (train_rows, validation_rows)


def _name_of(job: WorkerJob, *rows: int) -> str:
    """Name the fit by what must stay as it is for a checkpoint to go on."""
    kept = ("labels", "shape", "batch_size", "plan", "seed", "stretch", "augment", "weight_of", "inputs", "upright")
    more = ("unfreeze_rate", "label_smoothing", "clip_norm", "branch_dropout")
    return fit_name(rows, job.network["shapes"], *(getattr(job, name) for name in (*kept, *more)))

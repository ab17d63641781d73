"""What the Keras and the torch estimator have in common: they train on Parquet where it lies.

Horovod's own `fit` turns every row into Python objects and writes the table a second time. These estimators read
the pictures' bytes from the ingested Parquet files, each process its share; a DataFrame is written once, in columns.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructType

from aslspark.config import augment_settings, check_setting
from aslspark.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.models.known import LANDMARKS, PICTURE
from aslspark.paths import local_path, spark_path
from aslspark.samples import PICTURE_TYPE, TRAIN, VALIDATION, no_hands
from aslspark.scoring import OnnxClassifier, SignClassifierModel
from aslspark.session import require_slots, running_session
from aslspark.training.attempts import Attempts
from aslspark.training.checkpoint import fit_name
from aslspark.training.feed import list_row_groups
from aslspark.training.fitted import FittedNetwork, fitted_model
from aslspark.training.gpus import gpu_source, gpu_tasks, task_cores
from aslspark.training.hands import require_feed, require_hands
from aslspark.training.loop import Plan
from aslspark.training.params import NOT_SUPPORTED, InPlaceParams
from aslspark.training.progress import ConsoleProgress
from aslspark.training.watch import in_words
from aslspark.training.worker import WorkerJob

KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""For glibc, of the workers: what a step has freed is kept for the next. Given back to the system and asked for again,
the pages of a batch of 256 are a sixth of torch's time here."""

STALL_SECONDS = 600
"""That some processes may wait in an operation which another has not come to; then Horovod ends them."""

NO_PICTURES = (0, 0, 0)
"""The shape of pictures for a network that takes none."""


class InPlaceTraining(InPlaceParams):
    """Fits on the bytes of pictures in Parquet; to be mixed in before one of Horovod's estimators."""

    on_epoch: Callable[[dict[str, Any]], bool] | None = None
    """Gets each epoch's row of the history; True ends the fit with `aslspark.training.launch.StoppedEarly`."""

    def _check_supported(self) -> None:
        for name, instead in NOT_SUPPORTED.items():
            if self.hasParam(name) and self.isSet(name) and self.getOrDefault(name):
                raise AslsparkError(f"{type(self).__name__}: {name} is not supported; {instead}")
        for name in ("model", "optimizer", "loss", "store", "num_proc"):
            if not self.isDefined(name) or self.getOrDefault(name) is None:
                raise AslsparkError(f"{type(self).__name__}: {name} is not set")
        precision = self.getOrDefault("precision")
        if precision not in ("float32", "mixed"):
            raise AslsparkError(f"{type(self).__name__}: precision={precision}; choose float32 or mixed")
        for name in ("schedule", "label_smoothing", "clip_norm", "profile_steps", "tries"):
            check_setting(f"training.{name}", self.getOrDefault(name))
        check_setting("network.branch_dropout", self.getOrDefault("branch_dropout"))
        if self.getOrDefault("feed") not in ("in_place", "petastorm"):
            raise AslsparkError(f"feed={self.getOrDefault('feed')}: choose in_place or petastorm")
        taken = self._input_shapes()
        if taken.get(LANDMARKS, (FEATURES,)) != (FEATURES,):
            raise AslsparkError(
                f"model: it takes {taken[LANDMARKS]}; give pictures (n, height, width, channels), landmarks "
                f"(n, {FEATURES}), or both"
            )
        require_feed(self.getOrDefault("feed"), taken)

    def _fit(self, dataset: DataFrame) -> SignClassifierModel:
        """Write the DataFrame's pictures and labels into the store, and train on that."""
        self._check_supported()
        feature_col, label_col = self._columns()
        taken = self._input_shapes()
        columns = [label_col, *(["source"] if "source" in dataset.columns else [])]
        if PICTURE in taken:
            kind = dataset.schema[feature_col].dataType
            is_struct = isinstance(kind, StructType) and "data" in kind.names
            if not (is_struct or isinstance(kind, BinaryType)):
                raise AslsparkError(
                    f"feature_cols={feature_col}: {kind.simpleString()} is no picture; give a column of bytes or "
                    f"{PICTURE_TYPE.simpleString()}"
                )
            columns.append(feature_col)
        if LANDMARKS in taken:
            hand_col = self.getOrDefault("hand_col")
            if hand_col not in dataset.columns:
                raise no_hands("the DataFrame", hand_col)
            columns.append(hand_col)
        validation = self.getOrDefault("validation")
        if not isinstance(validation, str):
            raise AslsparkError(
                f"validation={validation}: give the name of a boolean column; "
                "a random share would put a picture's neighbours on both sides"
            )
        split = F.when(F.col(validation).cast("boolean"), VALIDATION).otherwise(TRAIN)
        folder = spark_path(os.path.join(self.getOrDefault("store").prefix_path, f"fit-{uuid.uuid4().hex}"))
        try:
            dataset.select(*columns, split.alias("split")).write.partitionBy("split").parquet(folder)
            return self._fit_on_folders(f"{folder}/split={TRAIN}", f"{folder}/split={VALIDATION}")
        finally:
            shutil.rmtree(local_path(folder), ignore_errors=True)

    def _fit_on_parquet(self, dataset_idx: int | None = None) -> SignClassifierModel:
        """Train on the folders that the store names."""
        self._check_supported()
        store = self.getOrDefault("store")
        return self._fit_on_folders(store.get_train_data_path(dataset_idx), store.get_val_data_path(dataset_idx))

    def _columns(self) -> tuple[str, str]:
        features, labels = self.getOrDefault("feature_cols"), self.getOrDefault("label_cols")
        if len(features) != 1 or len(labels) != 1:
            raise AslsparkError(f"feature_cols={features}, label_cols={labels}: give one column each")
        return features[0], labels[0]

    def _fit_on_folders(self, train_folder: str, validation_folder: str) -> SignClassifierModel:
        spark = running_session()
        if spark is None:
            raise AslsparkError("there is no running SparkSession; start one before fitting")
        num_proc = self.getOrDefault("num_proc")
        use_gpu = self.getOrDefault("use_gpu")
        profile = gpu_tasks(spark) if use_gpu else None
        require_slots(spark, num_proc, profile)
        taken = self._input_shapes()
        train_groups = list_row_groups(train_folder)
        if LANDMARKS in taken and train_groups:
            require_hands(train_folder, train_groups[0].path, self.getOrDefault("hand_col"))
        train_rows = sum(group.rows for group in train_groups)
        validation_rows = sum(group.rows for group in list_row_groups(validation_folder))
        for what, rows in (("training", train_rows), ("validation", validation_rows)):
            if 0 < rows < num_proc or (what == "training" and rows == 0):
                raise AslsparkError(
                    f"num_proc={num_proc}: there are only {rows} {what} samples, and each process needs one or more; "
                    "give more data or fewer processes"
                )
        feature_col, label_col = self._columns()
        threads = self.getOrDefault("threads") or task_cores(spark, profile)
        batch_size = self.getOrDefault("batch_size")
        # Looking often costs CPU, looking seldom makes small steps wait: measured in docs/results.md.
        cycle_ms = self.getOrDefault("cycle_ms") or (5.0 if batch_size >= 128 else 1.0)
        spec = self._network_spec()
        job = WorkerJob(
            network=spec,
            train_folder=train_folder,
            validation_folder=validation_folder if validation_rows else None,
            labels=self.getOrDefault("labels"),
            shape=taken.get(PICTURE),  # type: ignore[arg-type]
            columns={"picture_col": feature_col, "label_col": label_col},
            batch_size=batch_size,
            val_batch_size=self.getOrDefault("val_batch_size") or max(batch_size, 256),
            plan=Plan(
                epochs=self.getOrDefault("epochs"),
                patience=self.getOrDefault("patience"),
                schedule=self.getOrDefault("schedule"),
                unfreeze_after=self.getOrDefault("unfreeze_after"),
            ),
            seed=self.getOrDefault("random_seed") or 0,
            threads=threads,
            stretch=self.getOrDefault("stretch"),
            augment=augment_settings(self.getOrDefault("augment")),
            precision=self.getOrDefault("precision"),
            gpu=gpu_source(spark) if use_gpu else None,
            feed=self.getOrDefault("feed"),
            budget=self.getOrDefault("cache_mb") << 20,
            weight_of=self.getOrDefault("source_weights"),
            unfreeze_rate=self.getOrDefault("unfreeze_rate"),
            label_smoothing=self.getOrDefault("label_smoothing"),
            clip_norm=self.getOrDefault("clip_norm"),
            profile_steps=self.getOrDefault("profile_steps"),
            inputs=tuple(taken),
            hand_col=self.getOrDefault("hand_col"),
            upright=self.getOrDefault("upright"),
            branch_dropout=self.getOrDefault("branch_dropout"),
        )
        scratch = Path(local_path(self.getOrDefault("store").prefix_path))
        kept = self.getOrDefault("checkpoints")
        checkpoints = Path(local_path(kept)) if kept else scratch / f"checkpoints-{uuid.uuid4().hex}"
        job = replace(job, fit=_name_of(job, train_rows, validation_rows), checkpoints=str(checkpoints.absolute()))
        attempts = Attempts(spark, self._worker(), self.getOrDefault("tries"), profile, scratch)
        env = {
            "OMP_NUM_THREADS": str(threads),
            "HOROVOD_CYCLE_TIME": str(cycle_ms),
            "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(STALL_SECONDS),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **KEEP_MEMORY,
        }
        checkpoints.mkdir(parents=True, exist_ok=True)
        try:
            progress = ConsoleProgress(train_rows, num_proc, batch_size, threads, cycle_ms)

            def on_event(event: dict[str, Any]) -> None:
                progress(event)
                if event["event"] == "epoch" and self.on_epoch is not None and self.on_epoch(event):
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
        network, onnx = self._fitted(first["weights"])
        classifier = OnnxClassifier(
            onnx, tuple(job.labels), job.shape or NO_PICTURES, inputs=job.inputs, upright=job.upright
        )
        model = fitted_model(network, classifier, results)
        network.phases["export"] = time.monotonic() - exporting
        return model

    def _network_spec(self) -> dict[str, Any]:
        """Put the network, its loss and its optimizer into terms that the worker takes."""
        raise NotImplementedError

    def _input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the network takes, by the names in `aslspark.models.known`, in its order.

        Of pictures: height, width, channels.
        """
        raise NotImplementedError

    def _worker(self) -> Any:
        """Return the function that each process runs."""
        raise NotImplementedError

    def _fitted(self, weights: bytes) -> tuple[FittedNetwork, bytes]:
        """Build the finished network, and export it as ONNX."""
        raise NotImplementedError


def _name_of(job: WorkerJob, *rows: int) -> str:
    """Name the fit by what must stay as it is for a checkpoint to go on."""
    kept = ("labels", "shape", "batch_size", "plan", "seed", "stretch", "augment", "weight_of", "inputs", "upright")
    more = ("unfreeze_rate", "label_smoothing", "clip_norm", "branch_dropout")
    return fit_name(rows, job.network["shapes"], *(getattr(job, name) for name in (*kept, *more)))

"""Where a Keras worker begins: it imports TensorFlow without what that takes along and a worker never uses."""

from __future__ import annotations

from importlib import import_module

from aslspark.common import tensorflow_start
from aslspark.common.patches import imported_without_unused
from aslspark.training.worker import WorkerJob, WorkerResult


def train(job: WorkerJob) -> WorkerResult:
    """Train this rank's share; see `aslspark.training.keras_worker.train`."""
    import_tensorflow()
    from aslspark.training import keras_worker

    return keras_worker.train(job)


def before_fork() -> None:
    """Import what `train` does; see `aslspark.training.launch.fork_server`."""
    import_tensorflow()
    import_module("aslspark.training.keras_worker")


def import_tensorflow() -> None:
    """Import TensorFlow without what it does not need."""
    with imported_without_unused("tensorflow"):
        tensorflow_start.import_tensorflow()

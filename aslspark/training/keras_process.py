"""Where a Keras worker begins: it imports TensorFlow without what that takes along and a worker never uses."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from aslspark.training.worker import WorkerJob

LEFT_OUT = ("jax", "scipy")
"""What TensorFlow and Keras import where it is installed, for a converter and a kind of input: a fifth of the time."""


def train(job: WorkerJob) -> dict[str, Any]:
    """Train this rank's share; see `aslspark.training.keras_worker.train`."""
    import_tensorflow()
    from aslspark.training import keras_worker

    return keras_worker.train(job)


def import_tensorflow() -> None:
    """Import TensorFlow as it would be without LEFT_OUT; who needs those later can still import them."""
    hidden = [name for name in LEFT_OUT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: as if it were not installed
    try:
        import_module("tensorflow").keras.Model  # noqa: B018  (the rest of Keras comes when it is asked for)
    finally:
        for name in hidden:
            del sys.modules[name]

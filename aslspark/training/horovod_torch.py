"""Horovod's TorchEstimator, imported without TensorFlow."""

from __future__ import annotations

from aslspark.common.patches import imported_without_unused

with imported_without_unused("tensorboard"):
    from horovod.spark.torch import TorchEstimator

__all__ = ["TorchEstimator"]

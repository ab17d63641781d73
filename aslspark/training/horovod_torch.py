"""Horovod's TorchEstimator, imported without TensorFlow."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def _torch_estimator() -> Any:
    """Import it while TensorBoard, which it imports for a log of its own, takes its stand-in for TensorFlow.

    Where it finds the real one, TensorBoard imports it: five seconds of a job that needs none of it.
    """
    asked_for = "tensorboard.compat.notf"  # the module by whose presence TensorBoard decides (tensorboard/compat)
    stands_in = "tensorflow" not in sys.modules and "tensorboard.compat" not in sys.modules
    if stands_in:
        sys.modules[asked_for] = ModuleType(asked_for)
    try:
        from horovod.spark.torch import TorchEstimator as Estimator
    finally:
        if stands_in:
            del sys.modules[asked_for]
    return Estimator


TorchEstimator = _torch_estimator()

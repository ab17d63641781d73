"""Reads the letters of the American manual alphabet from pictures of hands, on Spark.

The public API is what stands in `__all__`; every other name is private, and may change with any version:

- `load_config`: settings from a YAML file and ``key=value`` words;
- `ingest`: pixel tables, picture files and DataFrames become one checked table with its splits;
- `train`: a network across Spark's workers, or one of MLlib's classifiers, becomes a bundle;
- `evaluate`: a bundle and labelled data become figures and plots;
- `compare`: bundles and labelled data become their accuracy, size and speed, side by side;
- `cross_validate`: data become the scores of a model on rows that it has not met, fold by fold;
- `tune`: data and a space of settings become the settings whose model is best;
- `automl`: data and a budget become the best of several kinds of models;
- `load_model`, `score`: a bundle and pictures become letters;
- `monitor`: a bundle and new pictures become how they differ from those that it learned from;
- `SignClassifierModel`: the `pyspark.ml` Model of a bundle;
- `SignKerasEstimator`, `SignTorchEstimator`: Horovod's estimators for networks of your own;
- `AslsparkError`: what these raise where their caller can put something right, in one line.

Each is imported when it is first asked for: ``import aslspark`` loads neither Spark nor a framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aslspark.common import former_names
from aslspark.common.package import VERSION
from aslspark.common.redaction import mask_logs

if TYPE_CHECKING:
    from aslspark.common.errors import AslsparkError
    from aslspark.common.settings import load_config
    from aslspark.scoring.model import SignClassifierModel, load_model
    from aslspark.training.keras_estimator import SignKerasEstimator
    from aslspark.training.torch_estimator import SignTorchEstimator
    from aslspark.workflows.automl import automl
    from aslspark.workflows.compare import compare
    from aslspark.workflows.cross_validate import cross_validate
    from aslspark.workflows.evaluate import evaluate
    from aslspark.workflows.ingest import ingest
    from aslspark.workflows.monitor import monitor
    from aslspark.workflows.score import score
    from aslspark.workflows.train import train
    from aslspark.workflows.tune import tune

__all__ = [
    "AslsparkError",
    "SignClassifierModel",
    "SignKerasEstimator",
    "SignTorchEstimator",
    "automl",
    "compare",
    "cross_validate",
    "evaluate",
    "ingest",
    "load_config",
    "load_model",
    "monitor",
    "score",
    "train",
    "tune",
]
__version__ = VERSION

_MODULES = {
    "AslsparkError": "aslspark.common.errors",
    "SignClassifierModel": "aslspark.scoring.model",
    "SignKerasEstimator": "aslspark.training.keras_estimator",
    "SignTorchEstimator": "aslspark.training.torch_estimator",
    "automl": "aslspark.workflows.automl",
    "compare": "aslspark.workflows.compare",
    "cross_validate": "aslspark.workflows.cross_validate",
    "evaluate": "aslspark.workflows.evaluate",
    "ingest": "aslspark.workflows.ingest",
    "load_config": "aslspark.common.settings",
    "load_model": "aslspark.scoring.model",
    "monitor": "aslspark.workflows.monitor",
    "score": "aslspark.workflows.score",
    "train": "aslspark.workflows.train",
    "tune": "aslspark.workflows.tune",
}

mask_logs()
former_names.install()


def __getattr__(name: str) -> Any:
    """Import what is public when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from aslspark.common.progress import doing

    with doing("loading the package"):  # Spark's Python, pandas, onnxruntime: seconds, on a disk that is cold
        return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""What the ranks of a fit return, and the exported network -> a model that scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aslspark.models.fit_result import FittedNetwork
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel


def fitted_model(
    fitted: FittedNetwork, classifier: OnnxClassifier, results: Sequence[dict[str, Any]]
) -> SignClassifierModel:
    """Put the ranks' results and the exported network together."""
    fitted.history, fitted.best_epoch = results[0]["history"], results[0]["best_epoch"]
    fitted.watch, fitted.phases, fitted.trace = (results[0][name] for name in ("watch", "phases", "trace"))
    fitted.digests = [result["digest"] for result in results]
    model = SignClassifierModel(classifier)
    model.fitted = fitted
    return model

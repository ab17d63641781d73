"""A bundle -> what its model needs: parameters, multiply-adds for one picture, bytes; and why a number is not known."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pyspark.ml.classification import (
    LogisticRegressionModel,
    MultilayerPerceptronClassificationModel,
    OneVsRestModel,
    RandomForestClassificationModel,
)

from aslspark.bundle.files import ONNX, PIPELINE, BundleContents
from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.evaluation.comparison_json import ModelSize
from aslspark.evaluation.multiply_adds import multiply_adds
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier

NO_ONNX = "an MLlib model has no ONNX; it runs in Spark alone"


def network_size(classifier: OnnxClassifier, manifest: Mapping[str, Any], why_empty: dict[str, str]) -> ModelSize:
    """Return what a network needs; `why_empty` gets the reason for each number that is not known."""
    parameters = manifest.get("parameters")
    if parameters is None:
        why_empty["parameters"] = "the bundle does not say"
    operations = None
    try:
        operations = multiply_adds(classifier.onnx)
    except (AslsparkError, ImportError) as error:  # the package onnx is optional
        why_empty["multiply_adds"] = str(error)
    return {
        "model": manifest.get("settings", {}).get("network", {}).get("name", "network"),
        "parameters": parameters,
        "file": ONNX,
        "file_bytes": len(classifier.onnx),
        "multiply_adds": operations,
    }


def mllib_size(
    classifier: MllibClassifier, bundle: BundleContents, settings: Mapping[str, Any], why_empty: dict[str, str]
) -> ModelSize:
    """Return what one of MLlib's models needs; `why_empty` gets the reason for each number that is not known."""
    name = load_config(of_bundle=settings).mllib.classifier
    parameters, operations = _mllib_cost(classifier, why_empty)
    why_empty["ms_a_picture"] = why_empty["pictures_a_second"] = NO_ONNX
    return {
        "model": "MLlib" if name == NO_CLASSIFIER else name,
        "file": f"{PIPELINE}/",
        "file_bytes": sum(size for name, size in bundle.sizes.items() if name.startswith(f"{PIPELINE}/")),
        "parameters": parameters,
        "multiply_adds": operations,
    }


def _mllib_cost(classifier: MllibClassifier, why_empty: dict[str, str]) -> tuple[int | None, int | None]:
    """Count the parameters and the multiply-adds for one picture."""
    last = classifier.pipeline.stages[-1]
    if isinstance(last, MultilayerPerceptronClassificationModel):
        layers = list(last.getLayers())
        return len(last.weights.toArray()), sum(a * b for a, b in pairwise(layers))
    if isinstance(last, LogisticRegressionModel):
        rows = last.coefficientMatrix.numRows
        return rows * (last.numFeatures + 1), rows * last.numFeatures
    if isinstance(last, OneVsRestModel):
        trees: list[Any] = last.models
        why_empty["parameters"] = f"{sum(each.totalNumNodes for each in trees):,} nodes, trees for each of {len(trees)}"
        why_empty["multiply_adds"] = "trees compare, they do not multiply"
    elif isinstance(last, RandomForestClassificationModel):
        why_empty["parameters"] = f"{last.totalNumNodes:,} nodes in {last.getNumTrees} trees"
        why_empty["multiply_adds"] = "trees compare, they do not multiply"
    else:
        why_empty["parameters"] = why_empty["multiply_adds"] = f"not counted for {type(last).__name__}"
    return None, None

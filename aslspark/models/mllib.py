"""Spark MLlib's baselines, built by name: Random Forest and multilayer perceptron."""

from __future__ import annotations

from typing import Any

from pyspark.ml.classification import MultilayerPerceptronClassifier, RandomForestClassifier

from aslspark.errors import AslsparkError

BASELINES = ("forest", "mlp")


def build_baseline(
    name: str,
    *,
    length: int,
    classes: int,
    trees: int,
    depth: int,
    hidden: list[int],
    iterations: int,
    seed: int,
) -> RandomForestClassifier | MultilayerPerceptronClassifier:
    """Build a baseline by its name.

    Parameters
    ----------
    name : {'forest', 'mlp'}
    length : int
        Of `scaled_features`.
    classes : int
        Values of `index_label`.
    trees, depth : int
        Of the forest.
    hidden : list of int
        Units of the perceptron's hidden layers.
    iterations : int
        Of the perceptron's solver (L-BFGS), at most.
    seed : int
    """
    columns: dict[str, Any] = {"featuresCol": "scaled_features", "labelCol": "index_label"}
    if name == "forest":
        return RandomForestClassifier(numTrees=trees, maxDepth=depth, seed=seed, **columns)
    if name == "mlp":
        layers = [length, *hidden, classes]
        return MultilayerPerceptronClassifier(layers=layers, maxIter=iterations, seed=seed, **columns)
    raise AslsparkError(f"--model {name}: choose one of {', '.join(BASELINES)}")

"""Horovod's KerasEstimator, reading pictures from Parquet in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from horovod.spark.keras import KerasEstimator

from aslspark.models import keras_network
from aslspark.models.fitted_network import FittedNetwork
from aslspark.training.estimator_mixin import InPlaceTraining
from aslspark.training.estimator_params import divided_params


class SignKerasEstimator(InPlaceTraining, KerasEstimator):
    """Fits a Keras network on pictures of hands across Spark tasks.

    A Horovod `KerasEstimator`: its params keep their names, and one that means nothing here is refused with what
    to use instead.

    Parameters
    ----------
    model : tf.keras.Model
        From float32 pictures (n, height, width, channels) of 0-1, landmarks (n, FEATURES; see
        `aslspark.features.landmarks.landmark_features`), or both, to probabilities (n, classes).
    labels : list of str
        What the outputs stand for.
    store : horovod.spark.common.store.Store
        Holds the training data while `fit` runs, or names it for `fit_on_parquet`.
    optimizer : tf.keras.optimizers.Optimizer
        Its learning rate is multiplied by `num_proc`; its weight decay leaves biases and BatchNorm alone.
    loss : str or tf.keras.losses.Loss
        Of one-hot labels.
    feature_cols, label_cols : list of one str
        A column of pictures (`samples.PICTURE_TYPE`, or bytes) and one of label names.
    validation : str
        A boolean column.
    num_proc, batch_size, val_batch_size, epochs, random_seed, use_gpu
        As Horovod's.
    augment : bool or dict
        Whether training pictures are changed at random; or how, by the names of
        `aslspark.common.settings.AugmentConfig`, such as ``{"flip_probability": 0.5}``, the others as they are by
        default.
    patience, stretch, schedule, feed, cache_mb, threads, cycle_ms, precision, source_weights, unfreeze_after,
    unfreeze_rate, label_smoothing, clip_norm, profile_steps, tries, checkpoints, hand_col, upright, branch_dropout
        See `aslspark.training.estimator_params.InPlaceParams`.

    Examples
    --------
    >>> import os
    >>> from aslspark import SignKerasEstimator
    >>> from horovod.spark.common.store import Store
    >>> samples = spark.read.parquet("ingested/samples").selectExpr("picture", "label", "split != 'train' AS held_out")
    >>> import tensorflow as tf
    >>> layers = [tf.keras.Input((28, 28, 1)), tf.keras.layers.Flatten(), tf.keras.layers.Dense(24, "softmax")]
    >>> estimator = SignKerasEstimator(
    ...     model=tf.keras.Sequential(layers),
    ...     optimizer=tf.keras.optimizers.Adam(0.001),
    ...     loss="categorical_crossentropy",
    ...     labels=list("ABCDEFGHIKLMNOPQRSTUVWXY"),
    ...     feature_cols=["picture"],
    ...     label_cols=["label"],
    ...     validation="held_out",
    ...     num_proc=2,
    ...     epochs=1,
    ...     batch_size=32,
    ...     store=Store.create(f"file://{os.getcwd()}/store"),
    ... )
    >>> model = estimator.fit(samples)
    >>> model.transform(samples).select("label", "letter", "probability").dtypes
    [('label', 'string'), ('letter', 'string'), ('probability', 'float')]
    """

    def __init__(self, *, labels: list[str], **params: Any) -> None:
        own, horovods = divided_params(params)
        KerasEstimator.__init__(self, **horovods)
        self._set(labels=labels, **own)

    def _network(self) -> KerasNetwork:
        return KerasNetwork(self.getModel(), self.getOptimizer(), self.getLoss(), self.getOrDefault("stretch"))


@dataclass(frozen=True)
class KerasNetwork:
    """A Keras network with its loss and its optimizer; see `aslspark.training.fit.UnfittedNetwork`."""

    model: Any
    optimizer: Any
    loss: Any
    stretch: bool

    def spec(self) -> dict[str, Any]:
        """Put them into terms that the worker takes."""
        weights = self.model.get_weights()
        return {
            "architecture": self.model.to_json(),
            "outputs": self.model.output_names,
            "weights": weights,
            "optimizer": tf.keras.optimizers.serialize(self.optimizer),
            "loss": self.loss,
            "shapes": [list(weight.shape) for weight in weights],
        }

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the network takes, by name; of pictures: height, width, channels."""
        return keras_network.input_shapes(self.model)

    def worker(self) -> Callable[..., dict[str, Any]]:
        """Return the function that each process runs."""
        from aslspark.training import keras_process

        return keras_process.train

    def fitted(self, weights: bytes) -> tuple[FittedNetwork, bytes]:
        """Build the finished network, and export it as ONNX."""
        from aslspark.training.keras_worker import weights_from_bytes

        model = tf.keras.models.clone_model(self.model)
        model.set_weights(weights_from_bytes(weights))
        model.trainable = True  # what was frozen belongs to the run, not to the finished model
        network = FittedNetwork(
            framework="keras",
            network=model,
            parameters=keras_network.count_parameters(model),
            save=lambda folder: keras_network.save(model, folder),
        )
        return network, keras_network.to_onnx(model, self.stretch)

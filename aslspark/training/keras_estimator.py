"""Horovod's KerasEstimator, reading pictures from Parquet in place."""

from __future__ import annotations

from horovod.spark.keras import KerasEstimator

from aslspark.training.estimator_mixin import InPlaceTraining
from aslspark.training.keras_fit import KerasNetwork


class SignKerasEstimator(InPlaceTraining, KerasEstimator):  # type: ignore[misc]
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
    source_weights, checkpoints, hand_col
        See `aslspark.training.estimator_params.InPlaceParams`.
    patience, schedule, stretch, ...
        The settings of a fit by their names and defaults in `aslspark.common.settings`: those of `TrainingConfig`,
        `NetworkConfig` and `FeatureConfig`, but for what the model, the optimizer and `source_weights` are made of.

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

    def _network(self) -> KerasNetwork:
        return KerasNetwork(self.getModel(), self.getOptimizer(), self.getLoss())

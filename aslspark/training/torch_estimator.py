"""Horovod's TorchEstimator, reading pictures from Parquet in place."""

from __future__ import annotations

from aslspark.training.estimator_mixin import InPlaceTraining
from aslspark.training.horovod_torch import TorchEstimator
from aslspark.training.torch_fit import TorchNetwork, taken_apart


class SignTorchEstimator(InPlaceTraining, TorchEstimator):  # type: ignore[misc]
    """Fits a torch network on pictures of hands across Spark tasks.

    A Horovod `TorchEstimator`: its params keep their names, and one that means nothing here is refused with what
    to use instead.

    Parameters
    ----------
    model : torch.nn.Module
        From float32 pictures (n, channels, height, width) of 0-1, landmarks (n, FEATURES; see
        `aslspark.features.landmarks.landmark_features`), or both, to logits (n, classes).
    input_shapes : list of lists
        ``[-1, channels, height, width]`` for pictures and ``[-1, FEATURES]`` for landmarks, in the model's order.
    labels : list of str
        What the outputs stand for.
    store : horovod.spark.common.store.Store
        Holds the training data while `fit` runs, or names it for `fit_on_parquet`.
    optimizer : torch.optim.Optimizer
        Over the model's parameters; its learning rate is multiplied by `num_proc`, its weight decay leaves biases and
        BatchNorm alone.
    loss : torch.nn.Module
        With a `reduction`, of logits and class numbers, such as `torch.nn.CrossEntropyLoss()`.
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
    >>> from aslspark import SignTorchEstimator
    >>> from horovod.spark.common.store import Store
    >>> samples = spark.read.parquet("ingested/samples").selectExpr("picture", "label", "split != 'train' AS held_out")
    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28, 24))
    >>> estimator = SignTorchEstimator(
    ...     model=network,
    ...     input_shapes=[[-1, 1, 28, 28]],
    ...     optimizer=torch.optim.Adam(network.parameters(), lr=0.001),
    ...     loss=torch.nn.CrossEntropyLoss(),
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

    def _network(self) -> TorchNetwork:
        optimizer = taken_apart(self._get_optimizer())
        return TorchNetwork(self.getModel(), optimizer, self.getLoss(), self.getInputShapes())

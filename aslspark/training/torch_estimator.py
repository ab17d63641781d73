"""Horovod's TorchEstimator, reading pictures from Parquet in place."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import cloudpickle
from horovod.spark.torch import TorchEstimator

from aslspark.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.models import torch_network
from aslspark.models.known import PICTURE, inputs_of
from aslspark.training.fitted import FittedNetwork
from aslspark.training.in_place import InPlaceTraining
from aslspark.training.params import divided_params


class SignTorchEstimator(InPlaceTraining, TorchEstimator):
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
        Whether training pictures are changed at random; or how, by the names of `aslspark.config.AugmentConfig`, such
        as ``{"flip_probability": 0.5}``, the others as they are by default.
    patience, stretch, schedule, feed, cache_mb, threads, cycle_ms, precision, source_weights, unfreeze_after,
    unfreeze_rate, label_smoothing, clip_norm, profile_steps, tries, checkpoints, hand_col, upright, branch_dropout
        See `aslspark.training.params.InPlaceParams`.
    """

    def __init__(self, *, labels: list[str], **params: Any) -> None:
        own, horovods = divided_params(params)
        TorchEstimator.__init__(self, **horovods)
        self._set(labels=labels, **own)

    def _network_spec(self) -> dict[str, Any]:
        optimizer = self._get_optimizer()
        if len(optimizer.param_groups) != 1:
            raise AslsparkError("optimizer: give one parameter group; several learning rates are not supported")
        # A group also holds what a class sets for the one that it inherits from, and takes from nobody.
        known = inspect.signature(type(optimizer)).parameters
        settings = {key: value for key, value in optimizer.param_groups[0].items() if key in known and key != "params"}
        loss = self.getLoss()
        if self.getOrDefault("label_smoothing") and not hasattr(loss, "label_smoothing"):
            raise AslsparkError(
                f"label_smoothing={self.getOrDefault('label_smoothing')}: {type(loss).__name__} has none; "
                "give torch.nn.CrossEntropyLoss() as the loss, or label_smoothing=0"
            )
        return {
            "model": cloudpickle.dumps(self.getModel()),
            "optimizer": (type(optimizer), settings),
            "loss": cloudpickle.dumps(loss),
            "shapes": [list(weight.shape) for weight in self.getModel().state_dict().values()],
        }

    def _input_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = self.getInputShapes()
        if not shapes or any(len(shape) not in (2, 4) for shape in shapes):
            raise AslsparkError(
                f"input_shapes={shapes}: give [-1, channels, height, width] for pictures, [-1, {FEATURES}] for "
                "landmarks, in a list of one or both"
            )
        pictures_last = [(*shape[2:], shape[1]) for shape in shapes]
        return dict(zip(inputs_of(shapes), pictures_last, strict=True))

    def _worker(self) -> Any:
        from aslspark.training import torch_worker

        return torch_worker.train

    def _fitted(self, weights: bytes) -> tuple[FittedNetwork, bytes]:
        import safetensors.torch

        model = copy.deepcopy(self.getModel())
        model.load_state_dict(safetensors.torch.load(weights))
        model.requires_grad_(True)  # what was frozen belongs to the run, not to the finished model
        network = FittedNetwork(
            framework="torch",
            network=model.eval(),
            parameters=sum(weight.numel() for weight in model.parameters()),
            save=lambda folder: torch_network.save(model, folder),
        )
        taken = self._input_shapes()
        shape: Any = taken.get(PICTURE)
        return network, torch_network.to_onnx(model, shape, self.getOrDefault("stretch"), tuple(taken))

"""A torch network to fit, and what comes of it. Imports nothing of Horovod."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from aslspark.common.catalog import PICTURE, inputs_of
from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.settings import TrainingConfig
from aslspark.features.landmarks import FEATURES
from aslspark.models import torch_network
from aslspark.models.fit_result import FinishedNetwork
from aslspark.training.outputs import require_one_a_class
from aslspark.training.worker import WorkerJob, WorkerResult


@dataclass(frozen=True)
class TorchNetwork:
    """A torch network with its loss and its optimizer; see `aslspark.training.fit.UnfittedNetwork`.

    The fields are those params of `aslspark.training.torch_estimator.SignTorchEstimator`.
    """

    model: Any
    optimizer: tuple[type, dict[str, Any]]
    """Its class, and what that is given beside the weights."""
    loss: Any
    shapes: Sequence[Sequence[int]]
    """The estimator's `input_shapes`."""

    def spec(self, training: TrainingConfig) -> dict[str, Any]:
        """Put them into terms that the worker takes."""
        if training.label_smoothing and not hasattr(self.loss, "label_smoothing"):
            raise AslsparkError(
                f"label_smoothing={training.label_smoothing}: {type(self.loss).__name__} has none; "
                "give torch.nn.CrossEntropyLoss() as the loss, or label_smoothing=0"
            )
        return {
            "model": cloudpickle.dumps(self.model),
            "optimizer": self.optimizer,
            "loss": cloudpickle.dumps(self.loss),
            "shapes": [list(weight.shape) for weight in self.model.state_dict().values()],
        }

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the network takes, by name; of pictures: height, width, channels."""
        if not self.shapes or any(len(shape) not in (2, 4) for shape in self.shapes):
            raise AslsparkError(
                f"input_shapes={self.shapes}: give [-1, channels, height, width] for pictures, [-1, {FEATURES}] for "
                "landmarks, in a list of one or both"
            )
        pictures_last = [(*shape[2:], shape[1]) for shape in self.shapes]
        return dict(zip(inputs_of(self.shapes), pictures_last, strict=True))

    def require_outputs(self, classes: int) -> None:
        """See that it takes what `input_shapes` says, gives a logit a class, and that the loss takes class numbers."""
        import torch

        blank = [torch.zeros((1, *shape[1:])) for shape in self.shapes]
        model = copy.deepcopy(self.model).eval().cpu()  # of a model with lazy layers, the caller's stays as it is
        with torch.inference_mode():
            try:
                outputs = model(*blank)
            except Exception as error:  # a network may raise anything
                raise AslsparkError(
                    f"input_shapes={list(map(list, self.shapes))}: the model does not take these "
                    f"({first_line(error)}); give the shapes of what it takes, channels first"
                ) from error
            require_one_a_class(tuple(outputs.shape), classes)
            try:
                self.loss(outputs, torch.zeros(1, dtype=torch.long))
            except Exception as error:
                raise AslsparkError(
                    f"loss={self.loss}: it does not take logits and class numbers ({first_line(error)}); give "
                    "torch.nn.CrossEntropyLoss()"
                ) from error

    def worker(self) -> Callable[[WorkerJob], WorkerResult]:
        """Return the function that each process runs."""
        from aslspark.training import torch_worker

        return torch_worker.train

    def finished(self, weights: bytes, stretch: bool) -> tuple[FinishedNetwork, bytes]:
        """Build the finished network, and export it as ONNX."""
        import safetensors.torch

        model = copy.deepcopy(self.model)
        model.load_state_dict(safetensors.torch.load(weights))
        model.requires_grad_(True)  # what was frozen belongs to the run, not to the finished model
        network = FinishedNetwork(
            framework="torch",
            model=model.eval(),
            parameters=sum(weight.numel() for weight in model.parameters()),
            save=lambda folder: torch_network.save(model, folder),
        )
        taken = self.input_shapes()
        shape: Any = taken.get(PICTURE)
        return network, torch_network.to_onnx(model, shape, stretch, tuple(taken))


def taken_apart(optimizer: Any) -> tuple[type, dict[str, Any]]:
    """Return an optimizer's class, and what that was given beside the weights."""
    if len(optimizer.param_groups) != 1:
        raise AslsparkError("optimizer: give one parameter group; several learning rates are not supported")
    # A group also holds what a class sets for the one that it inherits from, and takes from nobody.
    known = inspect.signature(type(optimizer)).parameters
    return type(optimizer), {
        key: value for key, value in optimizer.param_groups[0].items() if key in known and key != "params"
    }

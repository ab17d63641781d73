"""A name and sizes -> a network in torch; a network -> its file, its ONNX export and its parts.

A network takes float32 pictures of shape (n, channels, height, width) with values 0-1, landmarks of shape
(n, FEATURES), or both, and gives logits of shape (n, classes).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aslspark.common.catalog import PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.models import torch_zoo
from aslspark.models.network_builders import build_network

OPSET = 18
build = partial(build_network, "torch")


def head_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of the names of the head's weights; all others belong to the backbone."""
    if isinstance(model, torch_zoo.HandNetwork):
        return ("head.",)
    if isinstance(model, nn.Sequential):
        for place, layer in enumerate(model):
            if isinstance(layer, nn.Flatten):
                return tuple(f"{index}." for index in range(place + 1, len(model)))
    raise AslsparkError(f"{type(model).__name__}: no network of this package: it has no backbone")


def freeze(model: nn.Module) -> None:
    """Train the head only; see `set_training` for BatchNorm in the backbone."""
    head = head_prefixes(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(head))


def set_training(model: nn.Module) -> None:
    """Put a network into training mode, except frozen BatchNorm layers, which stay in inference mode, as in Keras."""
    model.train()
    for layer in _batch_norms(model):
        if not _is_trained(layer):
            layer.eval()


def moving_statistics(model: nn.Module) -> list[torch.Tensor]:
    """Return the moving means and variances of the BatchNorm layers that are trained."""
    trained = [layer for layer in _batch_norms(model) if _is_trained(layer) and layer.running_mean is not None]
    return [buffer for layer in trained for buffer in (layer.running_mean, layer.running_var)]


def _batch_norms(model: nn.Module) -> list[Any]:
    return [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


def _is_trained(layer: nn.Module) -> bool:
    parameters = list(layer.parameters())
    return not parameters or any(parameter.requires_grad for parameter in parameters)


def scale(pictures: torch.Tensor, stretch: bool) -> torch.Tensor:
    """Scale uint8 (n, height, width, channels) to float32 (n, channels, height, width) of 0-1.

    The result is that of `aslspark.features.scaling.scale`.
    """
    numbers = pictures.permute(0, 3, 1, 2).to(torch.float32)
    if not stretch:
        return numbers / 255
    low = numbers.amin(dim=(1, 2, 3), keepdim=True)
    span = numbers.amax(dim=(1, 2, 3), keepdim=True) - low
    return (numbers - low) / span.clamp(min=1)


def save(model: nn.Module, folder: Path) -> str:
    """Write the weights as safetensors, a format without code, and return the file's name."""
    from safetensors.torch import save_file

    name = "network.safetensors"
    save_file({key: value.cpu().contiguous() for key, value in model.state_dict().items()}, folder / name)
    return name


def _examples(shape: tuple[int, int, int] | None, inputs: Sequence[str]) -> tuple[torch.Tensor, ...]:
    return tuple(
        torch.zeros((2, *(shape or ())), dtype=torch.uint8) if name == PICTURE else torch.zeros((2, FEATURES))
        for name in inputs
    )


class _WithScaling(nn.Module):
    def __init__(self, network: nn.Module, stretch: bool, inputs: Sequence[str]) -> None:
        super().__init__()
        self.network, self.stretch, self.inputs = network, stretch, inputs

    def forward(self, *arguments: torch.Tensor) -> torch.Tensor:
        named = zip(self.inputs, arguments, strict=True)
        scaled = [scale(value, self.stretch) if name == PICTURE else value for name, value in named]
        return torch.softmax(self.network(*scaled), dim=1)


def to_onnx(
    model: nn.Module, shape: tuple[int, int, int] | None, stretch: bool, inputs: Sequence[str] = (PICTURE,)
) -> bytes:
    """Export the network, scaling included, as ONNX.

    Parameters
    ----------
    model : nn.Module
    shape : (int, int, int), optional
        Height, width and channels of the pictures, if the network takes pictures.
    inputs : sequence of {'picture', 'landmarks'}
        Of the network, in its order.

    Returns
    -------
    bytes
        As from `keras_network.to_onnx`.
    """
    exported = io.BytesIO()
    torch.onnx.export(
        _WithScaling(model, stretch, inputs).eval().cpu(),
        _examples(shape, inputs),
        exported,  # type: ignore[arg-type]  # the documentation allows a file object
        input_names=list(inputs),
        output_names=["probability"],
        dynamic_axes={name: {0: "n"} for name in (*inputs, "probability")},
        opset_version=OPSET,
        dynamo=False,
    )
    return exported.getvalue()


def to_torchscript(
    model: nn.Module, shape: tuple[int, int, int] | None, stretch: bool, inputs: Sequence[str] = (PICTURE,)
) -> bytes:
    """Export the network, scaling included, as TorchScript, for `torch.jit.load`; see `to_onnx`."""
    traced = torch.jit.trace(_WithScaling(model, stretch, inputs).eval().cpu(), _examples(shape, inputs))  # type: ignore[no-untyped-call]
    exported = io.BytesIO()
    torch.jit.save(traced, exported)
    return exported.getvalue()

"""Networks in torch: built by name, saved, exported to ONNX.

Every network takes float32 pictures of shape (n, channels, height, width) with values 0-1, and gives logits of
shape (n, classes).
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from aslspark.errors import AslsparkError

OPSET = 18


def build(name: str, shape: tuple[int, int, int], classes: int, dropout: float) -> nn.Module:
    """Build a network by its name.

    Parameters
    ----------
    name : {'cnn'}
    shape : (int, int, int)
        Height, width and channels of the pictures; at least 28x28 for 'cnn'.
    classes : int
    dropout : float
    """
    if name != "cnn":
        raise AslsparkError(f"network.name={name}: there is no such network in torch; choose cnn")
    height, width, channels = shape
    if min(height, width) < 28:
        raise AslsparkError(f"network.name=cnn: pictures of {height}x{width} are too small; give 28x28 or more")
    rows, columns = (((((side - 4) // 2) - 4) // 2 - 2) // 2 for side in (height, width))
    network = nn.Sequential(
        nn.Conv2d(channels, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
        nn.Conv2d(64, 128, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(128 * rows * columns, 128),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(128, classes),
    )
    for layer in network:
        # As Keras starts its layers; torch's own start learns more slowly here.
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return network


def scale(pictures: torch.Tensor, stretch: bool) -> torch.Tensor:
    """Scale uint8 (n, height, width, channels) to float32 (n, channels, height, width) of 0-1.

    The numbers are those of `aslspark.features.scaling.scale`.
    """
    numbers = pictures.permute(0, 3, 1, 2).to(torch.float32)
    if not stretch:
        return numbers / 255
    low = numbers.amin(dim=(1, 2, 3), keepdim=True)
    span = numbers.amax(dim=(1, 2, 3), keepdim=True) - low
    return (numbers - low) / span.clamp(min=1)


def save(model: nn.Module, folder: Path) -> str:
    """Write the weights as safetensors, which holds numbers and no code, and return the file's name."""
    from safetensors.torch import save_file

    name = "network.safetensors"
    save_file({key: value.cpu().contiguous() for key, value in model.state_dict().items()}, folder / name)
    return name


class _WithScaling(nn.Module):
    def __init__(self, network: nn.Module, stretch: bool) -> None:
        super().__init__()
        self.network = network
        self.stretch = stretch

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.network(scale(picture, self.stretch)), dim=1)


def to_onnx(model: nn.Module, shape: tuple[int, int, int], stretch: bool) -> bytes:
    """Export the network, scaling included, as ONNX.

    Returns
    -------
    bytes
        Of a model with the input ``picture``, uint8 (n, height, width, channels), and the output
        ``probability``, float32 (n, classes).
    """
    exported = io.BytesIO()
    torch.onnx.export(
        _WithScaling(model, stretch).eval().cpu(),
        (torch.zeros((2, *shape), dtype=torch.uint8),),
        exported,  # type: ignore[arg-type]  # a file object is documented
        input_names=["picture"],
        output_names=["probability"],
        dynamic_axes={"picture": {0: "n"}, "probability": {0: "n"}},
        opset_version=OPSET,
        dynamo=False,
    )
    return exported.getvalue()

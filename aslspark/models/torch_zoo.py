"""Sizes -> networks in torch: this package's small ones, and torchvision's.

Each is a `HandNetwork`, from float32 pictures (n, channels, height, width) of 0-1, landmarks (n, FEATURES), or both in
this order, to logits (n, classes).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from aslspark.common.catalog import LANDMARK_WIDTHS, sides_of_cnn
from aslspark.features.landmarks import FEATURES
from aslspark.models.network_builders import NetworkSizes, network

_TORCHVISION_NAMES = {"squeezenet": "squeezenet1_0"}
LAST_LAYERS = {"resnet18": "fc", "resnet50": "fc", "mobilenet_v2": "classifier", "squeezenet": "classifier"}
"""torchvision's names of the layers that the head replaces."""


class HandNetwork(nn.Module):
    """A backbone, from inputs to features (n, features), and a head, from features to logits.

    Parameters
    ----------
    before : nn.Module
        Applied to the first input; without weights to train.
    backbone, head : nn.Module
    """

    def __init__(self, before: nn.Module, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.before, self.backbone, self.head = before, backbone, head

    def forward(self, first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Return logits, float32 (n, classes), of float32 pictures, landmarks, or both."""
        logits: torch.Tensor = self.head(self.backbone(self.before(first), *others))
        return logits


class AsImageNet(nn.Module):
    """Normalises pictures of 0-1, grey or RGB, to RGB with the mean and spread of torchvision's training."""

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not persistent: constants are no weights.
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("spread", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return float32 (n, 3, height, width)."""
        if pictures.shape[1] == 1:
            pictures = pictures.repeat(1, 3, 1, 1)
        return (pictures - self.mean) / self.spread


def dense_head(features: int, sizes: NetworkSizes) -> nn.Sequential:
    """Build the head from features (n, features) to logits (n, classes), with a dense layer if it has any units."""
    layers: list[nn.Module] = [nn.Dropout(sizes.dropout)]
    if sizes.hidden:
        layers += [nn.Linear(features, sizes.hidden), nn.ReLU(), nn.Dropout(sizes.dropout)]
    layers.append(nn.Linear(sizes.hidden or features, sizes.classes))
    head = nn.Sequential(*layers)
    start_as_keras(head)
    return head


def start_as_keras(network: nn.Module) -> None:
    """Initialise weights as Keras does; torch's defaults learn more slowly here."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class _Residual(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = inputs + self.layers(inputs)
        return outputs


class _SideBySide(nn.Module):
    """Concatenates the features of a picture and of its landmarks."""

    def __init__(self, picture: nn.Module, landmarks: nn.Module) -> None:
        super().__init__()
        self.picture, self.landmarks = picture, landmarks

    def forward(self, pictures: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.picture(pictures), self.landmarks(landmarks)], dim=1)


@network("torch", "cnn")
def cnn(sizes: NetworkSizes) -> nn.Sequential:
    """Build the plain CNN: three convolutions with pooling, and a dense layer."""
    rows, columns = sides_of_cnn(sizes.shape, sizes.kernels)
    channels, kernels, hidden = sizes.channels, sizes.kernels, sizes.hidden
    layers = nn.Sequential(
        nn.Conv2d(sizes.shape[2], channels[0], kernels[0]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels[0], channels[1], kernels[1]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(sizes.dropout),
        nn.Conv2d(channels[1], channels[2], kernels[2]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(sizes.dropout),
        nn.Flatten(),
        nn.Linear(channels[2] * rows * columns, hidden),
        nn.ReLU(),
        nn.Dropout(sizes.dropout),
        nn.Linear(hidden, sizes.classes),
    )
    start_as_keras(layers)
    return layers


@network("torch", "small_cnn")
def small_cnn(sizes: NetworkSizes) -> HandNetwork:
    """Build the small network: each stage has a convolution of stride 2 and, but for the first, a residual one."""
    backbone = _small_features(sizes.shape[2], sizes.channels)
    return HandNetwork(nn.Identity(), backbone, dense_head(sizes.channels[-1], sizes))


@network("torch", "landmark_net")
def landmark_net(sizes: NetworkSizes) -> HandNetwork:
    """Build the dense network over landmarks."""
    backbone = _landmark_features(sizes.dropout)
    return HandNetwork(nn.Identity(), backbone, dense_head(LANDMARK_WIDTHS[-1], sizes))


@network("torch", "two_branch")
def two_branch(sizes: NetworkSizes) -> HandNetwork:
    """Build the network with the branches of `small_cnn` for pictures and of `landmark_net` for landmarks."""
    backbone = _SideBySide(_small_features(sizes.shape[2], sizes.channels), _landmark_features(sizes.dropout))
    head = dense_head(sizes.channels[-1] + LANDMARK_WIDTHS[-1], sizes)
    return HandNetwork(nn.Identity(), backbone, head)


@network("torch", "pooled_cnn")
def pooled_cnn(sizes: NetworkSizes) -> HandNetwork:
    """Build the network for tables of pixels: as `small_cnn`, but stages end in pooling, and the head sees places."""
    stages: list[nn.Module] = []
    rows, columns, channels = sizes.shape
    for width in sizes.channels:
        stages += [_convolution(channels, width, stride=1), nn.MaxPool2d(2)]
        if stages[2:]:
            stages.append(_Residual(_convolution(width, width, stride=1)))
        rows, columns, channels = rows // 2, columns // 2, width
    backbone = nn.Sequential(*stages, nn.Flatten())
    start_as_keras(backbone)
    head = nn.Sequential(
        nn.Dropout(sizes.dropout),
        nn.Linear(rows * columns * channels, sizes.hidden, bias=False),
        nn.BatchNorm1d(sizes.hidden),  # else many units die in the first steps
        nn.ReLU(),
        *dense_head(sizes.hidden, replace(sizes, hidden=0)),
    )
    start_as_keras(head)
    return HandNetwork(nn.Identity(), backbone, head)


def _landmark_features(dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = FEATURES
    for width in LANDMARK_WIDTHS:
        if layers:
            layers.append(nn.Dropout(dropout))
        layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        inputs = width
    features = nn.Sequential(*layers)
    start_as_keras(features)
    return features


def _small_features(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    stages: list[nn.Module] = []
    for width in widths:
        stages.append(_convolution(channels, width, stride=2))
        if stages[1:]:
            stages.append(_Residual(_convolution(width, width, stride=1)))
        channels = width
    features = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    start_as_keras(features)
    return features


def _convolution(channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


@network("torch", "resnet18", "resnet50", "mobilenet_v2", "squeezenet")
def torchvision_network(sizes: NetworkSizes) -> HandNetwork:
    """Build a network of torchvision with this package's head.

    SqueezeNet's features are averaged before the last layer, not after it: the weights are the same, without the ReLU
    that would keep logits above 0.
    """
    from aslspark.models.torchvision_ops import models

    name = sizes.name
    own_name = _TORCHVISION_NAMES.get(name, name)
    backbone = models.get_model(own_name, weights="DEFAULT" if sizes.imagenet else None, progress=False)
    last = getattr(backbone, LAST_LAYERS[name])
    features = next(_inputs(layer) for layer in last.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    setattr(backbone, LAST_LAYERS[name], nn.AdaptiveAvgPool2d(1) if name == "squeezenet" else nn.Identity())
    return HandNetwork(AsImageNet(), backbone, dense_head(features, sizes))


def _inputs(layer: nn.Linear | nn.Conv2d) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels

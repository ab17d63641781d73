"""A bundle's torch network and pictures -> what Grad-CAM needs of them. Imports nothing of TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import nn

from aslspark.evaluation.grad_cam import Explained, chosen_map
from aslspark.models.torch_network import build


def load(folder: Path, manifest: dict[str, Any]) -> nn.Module:
    """Load the network of a bundle."""
    settings = manifest["settings"]["network"]
    named = {name: settings[name] for name in ("name", "dropout", "hidden", "channels", "kernels") if name in settings}
    network = build(shape=tuple(manifest["shape"]), classes=len(manifest["labels"]), **named)
    network.load_state_dict(safetensors.torch.load_file(folder / manifest["network_file"]))
    return network.eval()


def explain(
    network: nn.Module, pictures: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32] | None = None
) -> Explained:
    """Follow the network's answers back to the maps of its last convolution; see `grad_cam.chosen_map`.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, from pictures (n, channels, height, width), and perhaps landmarks, to logits (n, classes).
    pictures : ndarray of float32, shape (n, height, width, channels)
    landmarks : ndarray of float32, shape (n, FEATURES), optional
        Where the network takes them beside the pictures.
    """
    seen: list[tuple[bool, torch.Tensor]] = []

    def remember(layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            seen.append((isinstance(layer, nn.Conv2d), output))

    hooks = [layer.register_forward_hook(remember) for layer in network.modules()]
    try:
        # Gradients flow even where a network was frozen.
        inputs = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).requires_grad_()
        logits = network(inputs, *([] if landmarks is None else [torch.from_numpy(landmarks)]))
    finally:
        for hook in hooks:
            hook.remove()
    place = chosen_map([(is_convolution, (maps.shape[2], maps.shape[3])) for is_convolution, maps in seen])
    maps = seen[place][1]
    answers = logits.argmax(dim=1)
    (gradients,) = torch.autograd.grad(logits.gather(1, answers[:, None]).sum(), maps)
    return Explained(maps.detach().permute(0, 2, 3, 1).numpy(), gradients.permute(0, 2, 3, 1).numpy(), answers.numpy())

"""A bundle's torch network and pictures -> what Grad-CAM needs of them. Imports nothing of TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from torch import nn

from aslspark.common.errors import AslsparkError
from aslspark.common.markdown import reason
from aslspark.evaluation.grad_cam_maps import Explained, chosen_map
from aslspark.models.torch_network import build

_BUILT_FROM = ("name", "dropout", "hidden", "channels", "kernels")


def load(content: bytes, manifest: dict[str, Any], where: str) -> nn.Module:
    """Load the network of a bundle from the bytes of its file; what does not fit is refused, as `where`."""
    try:
        settings = manifest["settings"]["network"]
        known = {name: settings[name] for name in _BUILT_FROM if name in settings}
        network = build(shape=tuple(manifest["shape"]), classes=len(manifest["labels"]), **known)
        network.load_state_dict(safetensors.torch.load(content))
    except Exception as error:  # a damaged or foreign file raises nearly anything
        said = reason((str(error).splitlines() or [type(error).__name__])[0])
        raise AslsparkError(
            f"{where}: it is no network of the bundle's settings ({said}); copy the bundle again"
        ) from error
    return network.eval()


def explain(
    network: nn.Module, pictures: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32] | None = None
) -> Explained:
    """Follow the network's answers back to the maps of its last convolution; see `grad_cam_maps.chosen_map`.

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

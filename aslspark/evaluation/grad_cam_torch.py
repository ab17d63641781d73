"""A bundle's torch network and pictures -> maps, gradients and answers for Grad-CAM. Imports nothing of TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from aslspark.evaluation.grad_cam_maps import Explanation, choose_map


def explain(
    network: nn.Module, pictures: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32] | None = None
) -> Explanation:
    """Compute the maps that `grad_cam_maps.choose_map` chooses, and the gradients of the answers' logits there.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, from pictures (n, channels, height, width), and perhaps landmarks, to logits (n, classes).
    pictures : ndarray of float32, shape (n, height, width, channels)
    landmarks : ndarray of float32, shape (n, FEATURES), optional
        Where the network takes them beside the pictures.
    """
    outputs: list[tuple[bool, torch.Tensor]] = []

    def record(layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            outputs.append((isinstance(layer, nn.Conv2d), output))

    hooks = [layer.register_forward_hook(record) for layer in network.modules()]
    try:
        # Gradients flow even where a network was frozen.
        inputs = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).requires_grad_()
        logits = network(inputs, *([] if landmarks is None else [torch.from_numpy(landmarks)]))
    finally:
        for hook in hooks:
            hook.remove()
    place = choose_map([(is_convolution, (maps.shape[2], maps.shape[3])) for is_convolution, maps in outputs])
    maps = outputs[place][1]
    answers = logits.argmax(dim=1)
    (gradients,) = torch.autograd.grad(logits.gather(1, answers[:, None]).sum(), maps)
    return Explanation(
        maps.detach().permute(0, 2, 3, 1).numpy(), gradients.permute(0, 2, 3, 1).numpy(), answers.numpy()
    )

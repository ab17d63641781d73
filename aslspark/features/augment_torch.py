"""Small random changes of a batch of pictures, in torch: the twin of `augment_keras`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from aslspark.features.augmentation import BRIGHTNESS, CONTRAST, SCALE, SHEAR, SHIFT, TURN_DEGREES


def augment(pictures: torch.Tensor) -> torch.Tensor:
    """Change pictures a little.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, channels, height, width), values 0-1

    Returns
    -------
    tensor of the same shape; values may leave 0-1 a little
    """
    n = len(pictures)

    def draw(most: float) -> torch.Tensor:
        return (torch.rand(n, device=pictures.device) * 2 - 1) * most

    angle, scale = draw(math.radians(TURN_DEGREES)), 1 + draw(SCALE)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    # In affine_grid's units a picture is 2 wide, hence the doubled shift.
    theta = torch.stack([cosine, draw(SHEAR) - sine, 2 * draw(SHIFT), sine, cosine, 2 * draw(SHIFT)], dim=1).reshape(
        n, 2, 3
    )
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    contrast, brightness = 1 + draw(CONTRAST), draw(BRIGHTNESS)
    return (moved - 0.5) * contrast.reshape(n, 1, 1, 1) + 0.5 + brightness.reshape(n, 1, 1, 1)

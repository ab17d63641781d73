"""The maps of a network's layers -> those that Grad-CAM uses, and heat maps from 0 to 1; imports no framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aslspark.common.errors import AslsparkError

SMALLEST_MAP = 4
"""Rows and columns; smaller maps hardly say where. Small pictures end in 2x2, so an earlier map is taken."""


class Explanation(NamedTuple):
    """What Grad-CAM needs of a network; `maps` and `gradients` are float32 (n, rows, columns, filters)."""

    maps: npt.NDArray[np.float32]
    gradients: npt.NDArray[np.float32]
    answers: npt.NDArray[np.int64]


def choose_map(outputs: Sequence[tuple[bool, tuple[int, int]]]) -> int:
    """Choose the layer whose maps are used.

    The search begins at the last convolution whose maps are at least `SMALLEST_MAP` wide and high, or, where there is
    none, at the one with the largest maps. From there it follows the layers after it (normalisation, activation, sums)
    as long as the maps keep their size.

    Parameters
    ----------
    outputs : sequence of (bool, (int, int))
        For each layer in the order in which they ran, whether it is a convolution, and the rows and columns of its
        maps.

    Returns
    -------
    int
        The place in `outputs`.

    Raises
    ------
    AslsparkError
        Where there is no convolution.
    """
    convolutions = [(n, size) for n, (is_convolution, size) in enumerate(outputs) if is_convolution]
    if not convolutions:
        raise AslsparkError("the network has no convolution; Grad-CAM looks at the maps of one")
    wide = [(n, size) for n, size in convolutions if min(size) >= SMALLEST_MAP]
    place, size = wide[-1] if wide else max(convolutions, key=lambda layer: min(layer[1]))
    while place + 1 < len(outputs) and outputs[place + 1][1] == size:
        place += 1
    return place


def heat_maps(explanation: Explanation, height: int, width: int) -> npt.NDArray[np.float32]:
    """Weight the maps by their mean gradients, add them up and enlarge them to the picture's size.

    Returns
    -------
    ndarray of float32, shape (n, height, width)
        From 0 to 1, where 1 is each picture's maximum; all 0 where no map raises the answer's logit.
    """
    from PIL import Image

    weights = explanation.gradients.mean(axis=(1, 2), keepdims=True)
    sums = np.maximum((weights * explanation.maps).sum(axis=3), 0)
    largest = sums.max(axis=(1, 2), keepdims=True)
    small = (sums / np.where(largest > 0, largest, 1)).astype(np.float32)
    large = [Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR) for heat in small]
    return np.stack([np.asarray(heat, np.float32) for heat in large])

"""What a network's layers put out -> the maps that Grad-CAM looks at, and where in a picture they are warm.

In: maps of the layers as one of the frameworks gives them; neither is imported here. Out: heat from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aslspark.common.errors import AslsparkError

SMALLEST_MAP = 4
"""A map of fewer rows or columns hardly says where: small pictures end in 2x2, and then an earlier one is taken."""


class Explained(NamedTuple):
    """What a network hands over; `maps` and `gradients` are float32 (n, rows, columns, filters)."""

    maps: npt.NDArray[np.float32]
    gradients: npt.NDArray[np.float32]
    answers: npt.NDArray[np.int64]


def chosen_map(outputs: Sequence[tuple[bool, tuple[int, int]]]) -> int:
    """Choose the layer whose maps are looked at.

    It is the last convolution whose maps are 4x4 or larger (the one with the largest maps, where all are smaller),
    and then what comes out of the layers behind it while it keeps that size: normalised, activated, added up.

    Parameters
    ----------
    outputs : sequence of (bool, (int, int))
        Of each layer in the order in which they ran: whether it is a convolution; rows and columns of its maps.

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
    place, size = wide[-1] if wide else max(convolutions, key=lambda found: min(found[1]))
    while place + 1 < len(outputs) and outputs[place + 1][1] == size:
        place += 1
    return place


def heat_maps(explained: Explained, height: int, width: int) -> npt.NDArray[np.float32]:
    """Weight and add up the maps.

    Returns
    -------
    ndarray of float32, shape (n, height, width)
        From 0 to 1, each picture's warmest place 1; all 0 where nothing speaks for the answer.
    """
    from PIL import Image

    weights = explained.gradients.mean(axis=(1, 2), keepdims=True)
    sums = np.maximum((weights * explained.maps).sum(axis=3), 0)
    warmest = sums.max(axis=(1, 2), keepdims=True)
    small = (sums / np.where(warmest > 0, warmest, 1)).astype(np.float32)
    large = [Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR) for heat in small]
    return np.stack([np.asarray(heat, np.float32) for heat in large])

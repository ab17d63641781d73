"""The landmarks of a hand -> further squares around it, of other sizes and mirrored, whose landmarks are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aslspark.images.hands.landmark_network import tracked_square
from aslspark.images.hands.square import Points, Square

VIEWS = ((False, 1.0), (False, 0.85), (True, 1.15))
"""Of each look after the first: whether it is mirrored, and its side as a multiple of that of the square that follows
from the first look's landmarks. Chosen on sets of pictures that were left out: docs/hands.md."""


def look_squares(points: Points, count: int) -> list[Square]:
    """Return squares around a hand.

    Parameters
    ----------
    points : ndarray, shape (21, 3)
        In pixels of the picture.
    count : int
        Of squares, at most `len(VIEWS)`.
    """
    around = tracked_square(points)
    return [replace(around, side=around.side * side, mirrored=mirrored) for mirrored, side in VIEWS[:count]]


def consensus(detections: Sequence[Points]) -> Points:
    """Combine the points of several detections: the median of each coordinate."""
    return np.asarray(np.median(np.stack(detections), axis=0))

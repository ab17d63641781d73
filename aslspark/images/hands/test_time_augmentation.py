"""The landmarks of a hand -> further squares around it, turned and mirrored, whose landmarks are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aslspark.images.hands.landmark_network import tracked_square
from aslspark.images.hands.square import Points, Square

VIEWS = ((False, 14.0, 1.0), (True, 0.0, 0.9), (False, -14.0, 1.15))
"""Of each look after the first: whether it is mirrored, its rotation in degrees, and its side as a multiple of that of
the square that follows from the first look's landmarks."""


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
    return [
        replace(around, side=around.side * side, angle=around.angle + np.radians(degrees), mirrored=mirrored)
        for mirrored, degrees, side in VIEWS[:count]
    ]


def consensus(detections: Sequence[Points]) -> Points:
    """Combine the points of several detections: the median of each coordinate."""
    return np.asarray(np.median(np.stack(detections), axis=0))

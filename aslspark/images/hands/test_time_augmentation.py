"""More looks at a hand that was found: larger, turned, mirrored; together they say better where its points are.

In: a picture and where the hand is. Out: what to show to the landmark model, and the way back into the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

VIEWS = ((False, 14.0, 2.0), (True, 0.0, 1.7), (False, -14.0, 2.4))
"""Mirrored or not, degrees turned, and the side of what is shown as a multiple of the hand's."""
SIDE = 256
"""Pixels of what is shown: the landmark model looks at 224."""


@dataclass(frozen=True)
class AugmentedView:
    """A hand as it is shown once more.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (SIDE, SIDE, 3)
    matrix : ndarray, shape (2, 2)
        From pixels of the picture, counted from the hand's middle, to pixels of the look.
    centre : ndarray, shape (2,)
        The hand's middle in the picture.
    mirrored : bool
    """

    pixels: Pixels
    matrix: Points
    centre: Points
    mirrored: bool

    def in_picture(self, points: Points) -> Points:
        """Bring points (21, 3), in pixels of the look, into the picture."""
        back = np.linalg.inv(self.matrix)
        flat = (points[:, :2] - SIDE / 2) @ back.T + self.centre
        return np.column_stack([flat, points[:, 2] * np.sqrt(abs(np.linalg.det(back)))])

    def in_space(self, points: Points) -> Points:
        """Turn points (21, 3) in metres, as they were believed in the look, as they are in the picture."""
        turn = self.matrix / np.sqrt(abs(np.linalg.det(self.matrix)))
        return np.column_stack([points[:, :2] @ turn, points[:, 2]])  # of a turn or mirror the transpose is the inverse


def augmented_views(picture: Pixels, points: Points, count: int) -> Iterator[AugmentedView]:
    """Show a hand again.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width, 3)
    points : ndarray, shape (21, 3)
        In pixels of the picture.
    count : int
        How often, at most as there are VIEWS.
    """
    import cv2

    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    centre, size = (low + high) / 2, max(float((high - low).max()), 1.0)
    for mirrored, degrees, side in VIEWS[:count]:
        scale = SIDE / (size * side)
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        matrix = scale * np.array([[cosine, -sine], [sine, cosine]])
        if mirrored:
            matrix = np.diag([-1.0, 1.0]) @ matrix
        way = np.column_stack([matrix, SIDE / 2 - matrix @ centre])
        smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        shown = cv2.warpAffine(picture, way, (SIDE, SIDE), flags=smooth).astype(np.uint8, copy=False)
        yield AugmentedView(shown, matrix, centre, mirrored)


def same_hand(points: Points, first: Points) -> bool:
    """Tell whether a look saw the hand that it was shown for, and not another beside it."""
    size = float(np.ptp(first[:, :2], axis=0).max())
    return bool(np.linalg.norm(points[:, :2].mean(axis=0) - first[:, :2].mean(axis=0)) < size / 2)


def consensus(seen: Sequence[Points]) -> Points:
    """Return what all looks together say of each point: the median, of two the mean."""
    return np.asarray(np.median(np.stack(seen), axis=0))

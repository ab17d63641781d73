"""A picture and its hand -> enlarged, turned and mirrored views of the hand, whose landmarks are combined.

In: a picture and the landmarks. Out: pixels for the landmark model, and the transform back to the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

VIEWS = ((False, 14.0, 2.0), (True, 0.0, 1.7), (False, -14.0, 2.4))
"""Of each view: whether it is mirrored, its rotation in degrees, and its side as a multiple of the hand's."""
SIDE = 256
"""Pixels of a view's side; the landmark model's input is 224."""


@dataclass(frozen=True)
class AugmentedView:
    """An augmented view of a hand.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (SIDE, SIDE, 3)
    matrix : ndarray, shape (2, 2)
        From pixels of the picture, relative to the hand's middle, to pixels of the view.
    centre : ndarray, shape (2,)
        The hand's middle in the picture.
    mirrored : bool
    """

    pixels: Pixels
    matrix: Points
    centre: Points
    mirrored: bool

    def in_picture(self, points: Points) -> Points:
        """Transform points (21, 3) from pixels of the view to pixels of the picture."""
        inverse = np.linalg.inv(self.matrix)
        flat = (points[:, :2] - SIDE / 2) @ inverse.T + self.centre
        return np.column_stack([flat, points[:, 2] * np.sqrt(abs(np.linalg.det(inverse)))])

    def in_space(self, points: Points) -> Points:
        """Rotate world points (21, 3), in metres, from the view's axes to the picture's."""
        turn = self.matrix / np.sqrt(abs(np.linalg.det(self.matrix)))
        return np.column_stack(
            [points[:, :2] @ turn, points[:, 2]]
        )  # the transpose is the inverse of a rotation or reflection


def augmented_views(picture: Pixels, points: Points, count: int) -> Iterator[AugmentedView]:
    """Give augmented views of a hand.

    Parameters
    ----------
    picture : ndarray of uint8, shape (height, width, 3)
    points : ndarray, shape (21, 3)
        In pixels of the picture.
    count : int
        Of views, at most `len(VIEWS)`.
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
        affine = np.column_stack([matrix, SIDE / 2 - matrix @ centre])
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pixels = cv2.warpAffine(picture, affine, (SIDE, SIDE), flags=interpolation).astype(np.uint8, copy=False)
        yield AugmentedView(pixels, matrix, centre, mirrored)


def same_hand(points: Points, first: Points) -> bool:
    """Tell whether a detection in a view is the hand that was found first, and not another beside it."""
    size = float(np.ptp(first[:, :2], axis=0).max())
    return bool(np.linalg.norm(points[:, :2].mean(axis=0) - first[:, :2].mean(axis=0)) < size / 2)


def consensus(detections: Sequence[Points]) -> Points:
    """Combine the points of several detections: the median of each coordinate."""
    return np.asarray(np.median(np.stack(detections), axis=0))

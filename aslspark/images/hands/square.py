"""A picture and squares in it, turned and mirrored -> their pixels; and points of a square -> points of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]


def angle_of(up: Points) -> float:
    """Return the angle of a hand whose up, (x, y), is known: from the picture's up, clockwise, in radians."""
    return math.atan2(up[0], -up[1])


@dataclass(frozen=True)
class Square:
    """A square of a picture, which may extend beyond it."""

    x: float
    y: float
    """Its middle, in pixels of the picture."""
    side: float
    """In pixels of the picture."""
    angle: float = 0.0
    """From the picture's up to the square's, clockwise, in radians."""
    mirrored: bool = False
    """Its left and right are exchanged."""

    @property
    def axes(self) -> Points:
        """The directions of its x and y in the picture, as the columns of a matrix; shape (2, 2)."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        across = -1.0 if self.mirrored else 1.0
        return np.array([[across * cosine, -sine], [across * sine, cosine]])

    def is_near(self, other: Square) -> bool:
        """Tell whether the middles are nearer to each other than a quarter of the other's side."""
        return math.hypot(self.x - other.x, self.y - other.y) < other.side / 4

    def in_picture(self, points: Points) -> Points:
        """Transform points, shape (n, 2) or (n, 3), from shares of the square's side to pixels of the picture."""
        flat = (points[:, :2] - 0.5) * self.side @ self.axes.T + (self.x, self.y)
        return np.column_stack([flat, points[:, 2:] * self.side])

    def in_space(self, points: Points) -> Points:
        """Turn points (n, 3) in metres from the square's axes to the picture's."""
        return np.column_stack([points[:, :2] @ self.axes.T, points[:, 2]])


class Picture:
    """A picture that squares are cut from; its smaller copies are made once.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    """

    def __init__(self, pixels: Pixels) -> None:
        from PIL import Image

        self.height, self.width = map(int, pixels.shape[:2])
        self._copies = {1: Image.fromarray(pixels)}

    @property
    def longer_side(self) -> int:
        """In pixels."""
        return max(self.height, self.width)

    def cut(self, square: Square, pixels: int) -> Pixels:
        """Cut a square out; what lies outside of the picture is black.

        Parameters
        ----------
        pixels : int
            Of the result's side.

        Returns
        -------
        ndarray of uint8, shape (pixels, pixels, 3)
        """
        from PIL import Image

        factor = max(1, int(square.side / pixels))  # single pixels of a large picture would be noise
        if factor not in self._copies:
            self._copies[factor] = self._copies[1].reduce(factor)
        step = square.axes * square.side / pixels / factor
        corner = np.array([square.x, square.y]) / factor - step @ [pixels / 2, pixels / 2]
        corner += 0.5 / factor - step @ [0.5, 0.5]  # the first pixel's middle lies at the corner, as in MediaPipe
        matrix = tuple(np.column_stack([step, corner]).ravel())
        return np.asarray(
            self._copies[factor].transform((pixels, pixels), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        )

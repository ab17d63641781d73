"""The points of a table of landmarks -> hands like those of pictures.

Such tables do not say how wide the pictures were for their height, nor whose hand it is: both are estimated from the
rows of a table together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aslspark.data.synthetic.skeleton import AVERAGE_HAND
from aslspark.images.hands.hand import LEFT, RIGHT, Hand, hand_column

IN_TABLE = "table"
"""The step that found a hand whose landmarks were in a table."""
PALM_METRES = 0.09
"""From the wrist to the middle finger's knuckle, of a grown hand."""
PIXELS_FROM = 4.0
"""Coordinates that reach farther are pixels: shares of a picture stay within it, or nearly so."""
ASPECTS = tuple(map(Fraction, ("9/16", "3/4", "1", "4/3", "16/9")))
"""Widths of pictures as multiples of their heights."""
ROWS = 4000
"""Rows of a table that are looked at for the estimate."""

_WRIST, _INDEX, _MIDDLE, _LITTLE = 0, 5, 9, 17
_PALM = (0, 5, 9, 13, 17)

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TableHands:
    """What the rows of a table say together."""

    aspect: Fraction = Fraction(1)
    """The pictures' width as a multiple of their height; 1 where coordinates are pixels."""
    side: str = RIGHT
    """'left' or 'right': of most of its hands."""
    score: float = 1.0
    """How sure that is, 0.5-1."""
    letters: Mapping[int, str] = field(default_factory=dict)
    """See `landmark_layout.letters_of`."""

    def __str__(self) -> str:
        aspect = f"{self.aspect.numerator}:{self.aspect.denominator}"
        return f"{self.side} hands, x and y of pictures of about {aspect}, as estimated from all its rows"


def table_hands(points: Points) -> TableHands:
    """Estimate what is the same in all rows of a table.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 21, 2 or 3)
    """
    aspect = _aspect(points)
    side, score = _side(points)
    return TableHands(aspect, side, score)


def hands_of_points(points: Points, about: TableHands) -> pa.StructArray:
    """Make a column of `samples.HAND_TYPE`.

    The landmarks are from wherever the table has its origin. Their z, where there is one, is in units of x. The world
    points are those of the picture, made as large as a hand.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 21, 2 or 3)
    """
    space = np.zeros((len(points), points.shape[1], 3))
    space[:, :, : points.shape[2]] = points
    space *= (float(about.aspect), 1.0, float(about.aspect))
    palm = np.linalg.norm(space[:, _MIDDLE] - space[:, _WRIST], axis=1)
    world = (space - space.mean(axis=1, keepdims=True)) * (PALM_METRES / np.maximum(palm, 1e-9))[:, None, None]
    return hand_column(
        [
            Hand(IN_TABLE, flat.astype(np.float32), metres.astype(np.float32), about.side, about.score)
            for flat, metres in zip(space, world, strict=True)
        ]
    )


def _side(points: Points) -> tuple[str, float]:
    """Tell the side by how the palm is wound: of 24 letters, 20 show the palm or the back of the fingers' roots."""
    palm = points[:, (_INDEX, _LITTLE), :2] - points[:, [_WRIST], :2]
    wound = palm[:, 0, 0] * palm[:, 1, 1] - palm[:, 0, 1] * palm[:, 1, 0]
    right = float((wound < 0).mean()) if len(points) else 1.0
    return (RIGHT, right) if right >= 0.5 else (LEFT, 1 - right)


def _aspect(points: Points) -> Fraction:
    """Choose the form of the pictures in which palms are least squeezed.

    The wrist and four knuckles of an average hand, turned in space and seen from afar, are squeezed by the cosine of
    their tilt. Most people hold most letters with the palm or its back to the camera, and other forms of the picture
    squeeze these palms more.
    """
    if not len(points) or np.ptp(points[:, :, :2], axis=1).max() > PIXELS_FROM:
        return Fraction(1)
    palm = np.array([[0.0, 0.0], *AVERAGE_HAND.roots[1:, :2]])
    to_palm = np.linalg.pinv(palm - palm.mean(axis=0))
    seen = points[:, _PALM, :2]
    seen = seen - seen.mean(axis=1, keepdims=True)

    def squeezed(aspect: Fraction) -> float:
        maps = np.einsum("dp,npc->ndc", to_palm, seen * (float(aspect), 1.0))
        large, small = np.linalg.svd(maps, compute_uv=False).T
        return float(np.median(small / np.maximum(large, 1e-12)))

    return max(ASPECTS, key=squeezed)

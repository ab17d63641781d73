"""The size of a picture -> the squares in which its palms are searched for."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from aslspark.images.hands.square import Square

PLAIN, PADDED, FRAMED, ENLARGED = "plain", "padded", "framed", "enlarged"
SEARCH_STEPS = (PLAIN, PADDED, FRAMED, ENLARGED)
BORDERS = {PADDED: 3.0, FRAMED: 1.7}
"""Sides, as multiples of the picture's longer one: a hand that fills the picture is too large to be found."""
PARTS = (0.6, 0.35)
"""Sides of overlapping squares in which a small hand is larger, as shares of the picture's shorter side; of a strip, as
shares of half its longer side: squares as high as the strip would be thousands."""
OVERLAP = 0.25
"""Least share of their sides by which neighbours overlap."""


def search_squares(width: int, height: int) -> Iterator[list[tuple[str, Square]]]:
    """Give the searches of a picture, until one finds a hand: squares, each with the name of its step."""
    x, y, longer = width / 2, height / 2, float(max(width, height))
    yield [(PLAIN, Square(x, y, longer))]
    yield [(name, Square(x, y, longer * side)) for name, side in BORDERS.items()]
    squares = []
    for part in PARTS:
        side = max(min(width, height), longer / 2) * part
        squares += [
            (ENLARGED, Square(left + side / 2, top + side / 2, side))
            for top in _offsets(height, side)
            for left in _offsets(width, side)
        ]
    yield squares


def _offsets(length: float, side: float) -> list[float]:
    if length <= side:
        return [(length - side) / 2]
    count = math.ceil((length - side) / (side * (1 - OVERLAP))) + 1
    return list(np.linspace(0, length - side, count))

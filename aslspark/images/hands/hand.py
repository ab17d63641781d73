"""What is known of a hand in a picture, and its column in the sample table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LEFT, RIGHT = "left", "right"
SIDES = (LEFT, RIGHT)

NUMBERS = 63
"""x, y, z of 21 points."""

TIME_LIMIT = "time limit"
CRASHED = "crashed"

_TYPE = pa.struct(
    [
        ("found", pa.string()),
        ("landmarks", pa.list_(pa.field("element", pa.float32(), nullable=False))),
        ("world", pa.list_(pa.field("element", pa.float32(), nullable=False))),
        ("side", pa.string()),
        ("score", pa.float32()),
        ("trouble", pa.string()),
        ("looks", pa.list_(pa.field("element", pa.float32(), nullable=False))),
    ]
)


@dataclass(frozen=True)
class Hand:
    """A hand in a picture, or that there is none; `samples.HAND_TYPE` as Python holds it.

    Parameters
    ----------
    found : str, optional
        The try that found it; None where none did, and then all else but `trouble` is None.
    landmarks : ndarray of float32, shape (21, 3), optional
        x, y, z from the top left of the picture, as shares of its longer side.
    world : ndarray of float32, shape (21, 3), optional
        In metres, around the middle of the hand.
    side : {'left', 'right'}, optional
        Whose hand it is if the picture is not mirrored: 'right' is the signer's right hand.
    score : float, optional
        The detector's certainty of the side, 0-1.
    trouble : {'time limit', 'crashed'}, optional
        What befell the detector at this picture, twice.
    looks : ndarray of float32, shape (looks, 126), optional
        Landmarks and world of each look at the hand, of which those above are the median.
    """

    found: str | None = None
    landmarks: npt.NDArray[np.float32] | None = None
    world: npt.NDArray[np.float32] | None = None
    side: str | None = None
    score: float | None = None
    trouble: str | None = None
    looks: npt.NDArray[np.float32] | None = None


NO_HAND = Hand()


def hand_column(hands: Sequence[Hand]) -> pa.StructArray:
    """Lay hands out as a column of `samples.HAND_TYPE`, without a null among them."""
    rows = [
        {
            "found": hand.found,
            "landmarks": None if hand.landmarks is None else hand.landmarks.ravel(),
            "world": None if hand.world is None else hand.world.ravel(),
            "side": hand.side,
            "score": hand.score,
            "trouble": hand.trouble,
            "looks": None if hand.looks is None else hand.looks.ravel(),
        }
        for hand in hands
    ]
    return pa.array(rows, _TYPE)


def null_hands(count: int) -> pa.StructArray:
    """Make a column of nulls, for rows that the stage has not seen."""
    return pa.nulls(count, _TYPE)

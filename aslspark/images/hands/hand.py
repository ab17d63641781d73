"""A hand in a picture, and its column in the sample table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LEFT, RIGHT = "left", "right"

NUMBERS = 63
"""x, y, z of 21 landmarks."""

HAND_FIELDS = {
    "found": "string",
    "landmarks": "array<float>",
    "world": "array<float>",
    "side": "string",
    "score": "float",
    "looks": "array<float>",
}
"""The fields of `Hand` as a struct, with Spark's names of their types; `samples.HAND_TYPE` is made from them."""

_ARROW_TYPES = {
    "string": pa.string(),
    "float": pa.float32(),
    "array<float>": pa.list_(pa.field("element", pa.float32(), nullable=False)),
}
HAND_STRUCT = pa.struct([(name, _ARROW_TYPES[kind]) for name, kind in HAND_FIELDS.items()])


@dataclass(frozen=True)
class Hand:
    """A hand in a picture, or none: a value of `samples.HAND_TYPE` in Python.

    Parameters
    ----------
    found : str, optional
        The search step of the detector that found it; None where no hand was found: then all else is None too.
    landmarks : ndarray of float32, shape (21, 3), optional
        x, y, z from the top left of the picture, as shares of its longer side.
    world : ndarray of float32, shape (21, 3), optional
        In metres, from the middle of the hand.
    side : {'left', 'right'}, optional
        The signer's hand, if the picture is not mirrored.
    score : float, optional
        Of the side, 0-1.
    looks : ndarray of float32, shape (looks, 126), optional
        Landmarks and world points of each view of the hand; those above are their median.
    """

    found: str | None = None
    landmarks: npt.NDArray[np.float32] | None = None
    world: npt.NDArray[np.float32] | None = None
    side: str | None = None
    score: float | None = None
    looks: npt.NDArray[np.float32] | None = None

    def values(self) -> dict[str, Any]:
        """Return the fields by name, arrays flat."""
        return {name: value.ravel() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


NO_HAND = Hand()


def hand_column(hands: Sequence[Hand]) -> pa.StructArray:
    """Make a column of `samples.HAND_TYPE` without nulls."""
    return pa.array([hand.values() for hand in hands], HAND_STRUCT)


def null_hands(count: int) -> pa.StructArray:
    """Make a column of nulls, for rows that the hand stage has not processed."""
    return pa.nulls(count, HAND_STRUCT)

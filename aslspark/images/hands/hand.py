"""A hand in a picture, and its column in the sample table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LEFT, RIGHT = "left", "right"

NUMBERS = 63
"""x, y, z of 21 landmarks."""
MOST_LOOKS = 4
"""Most views of a hand that are combined, and read."""

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
        Landmarks and world points of each view of the hand; those above are their median. After the first MOST_LOOKS,
        those of the hand in a small copy of the picture: `with_small`.
    """

    found: str | None = None
    landmarks: npt.NDArray[np.float32] | None = None
    world: npt.NDArray[np.float32] | None = None
    side: str | None = None
    score: float | None = None
    looks: npt.NDArray[np.float32] | None = None

    @property
    def extent(self) -> float:
        """The longer side of the box around the landmarks, as a share of the picture's longer side."""
        assert self.landmarks is not None
        return float(np.ptp(self.landmarks[:, :2], axis=0).max())

    def with_small(self, small: Hand) -> Hand:
        """Add what was seen of this hand in a small copy of its picture, for networks to learn from.

        Parameters
        ----------
        small : Hand
            What was found in the copy. It is passed over where it is no hand, or has its middle farther from this
            hand's than half of this hand's extent.
        """
        if self.looks is None or self.landmarks is None or small.looks is None or small.landmarks is None:
            return self
        apart = np.abs(small.landmarks[:, :2].mean(axis=0) - self.landmarks[:, :2].mean(axis=0)).max()
        if apart > self.extent / 2:
            return self
        return replace(self, looks=np.concatenate([_filled(self), _filled(small)]))

    def values(self) -> dict[str, Any]:
        """Return the fields by name, arrays flat."""
        return {name: value.ravel() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


def _filled(hand: Hand) -> npt.NDArray[np.float32]:
    """Return MOST_LOOKS views: those of a hand, then what they agree on."""
    assert hand.looks is not None
    assert hand.landmarks is not None
    assert hand.world is not None
    agreed = np.concatenate([hand.landmarks.ravel(), hand.world.ravel()])
    views = hand.looks[:MOST_LOOKS]
    return np.concatenate([views, np.tile(agreed, (MOST_LOOKS - len(views), 1))])


NO_HAND = Hand()


def hand_column(hands: Sequence[Hand]) -> pa.StructArray:
    """Make a column of `samples.HAND_TYPE` without nulls."""
    return pa.array([hand.values() for hand in hands], HAND_STRUCT)


def null_hands(count: int) -> pa.StructArray:
    """Make a column of nulls, for rows that the hand stage has not processed."""
    return pa.nulls(count, HAND_STRUCT)

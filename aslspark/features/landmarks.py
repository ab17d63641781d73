"""The 21 landmarks of a hand -> numbers that depend on its shape alone, not on where and how large it is.

In: the column `hand` of a sample table, or vectors of `HAND_NUMBERS`. Out: float32 features. numpy only: the same
numbers in training, in Spark and in a service.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

POINTS = 21
"""MediaPipe's: the wrist, then four of each finger from thumb to little finger, from its root to its tip."""

PICTURE = slice(0, 63)
"""Of a hand's vector: x (rightwards), y (down), z (away) of each point, as shares of the picture's longer side."""
WORLD = slice(63, 126)
"""The same points in metres, around the middle of the hand, as the landmark model believes them in space."""
RIGHT = 126
"""1 for a right hand, 0 for a left one, as the detector says."""
SEEN = 127
"""1 where a hand was found; otherwise the whole vector is 0."""
HAND_NUMBERS = 128

FloatArray = npt.NDArray[np.float32]


def hand_vectors(hands: pa.Array | pa.ChunkedArray) -> FloatArray:
    """Lay a column of `samples.HAND_TYPE` out as an array.

    Parameters
    ----------
    hands : pyarrow array of struct
        Null, or with a null `found`, where no hand was found.

    Returns
    -------
    ndarray of float32, shape (n, HAND_NUMBERS)
    """
    if isinstance(hands, pa.ChunkedArray):
        parts = [hand_vectors(chunk) for chunk in hands.chunks]
        return np.concatenate(parts) if parts else np.zeros((0, HAND_NUMBERS), np.float32)
    vectors = np.zeros((len(hands), HAND_NUMBERS), np.float32)
    columns = dict(zip((field.name for field in hands.type), hands.flatten(), strict=True))
    seen = np.asarray(columns["found"].is_valid())
    if seen.any():
        at = np.flatnonzero(seen)
        for name, place in (("landmarks", PICTURE), ("world", WORLD)):
            vectors[at, place] = columns[name].take(pa.array(at)).flatten().to_numpy().reshape(len(at), -1)
        vectors[at, RIGHT] = [side == "right" for side in columns["side"].take(pa.array(at)).to_pylist()]
        vectors[at, SEEN] = 1
    return vectors

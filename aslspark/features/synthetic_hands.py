"""Letters -> the landmarks of drawn hands, as the detector would lay them out; nothing is painted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.synthetic.picture import landmarks_in
from aslspark.data.synthetic.variation import scene_of
from aslspark.features.landmarks import HAND_FOUND, HAND_NUMBERS, PICTURE_POINTS, RIGHT_HAND, WORLD_POINTS


def drawn_hands(labels: Sequence[str], count: int, seed: int) -> npt.NDArray[np.float32]:
    """Draw right hands of each label, every one another person's.

    Parameters
    ----------
    labels : sequence of str
    count : int
        Hands of each.
    seed : int
        The same numbers give the same hands.

    Returns
    -------
    ndarray of float32, shape (len(labels), count, HAND_NUMBERS)
        Hands as `aslspark.features.landmarks` knows them; not seen, and 0, where a label is none of
        `labels.STATIC_LETTERS`.
    """
    hands = np.zeros((len(labels), count, HAND_NUMBERS), np.float32)
    for place, label in enumerate(labels):
        if label not in STATIC_LETTERS:
            continue
        for index in range(count):
            scene = scene_of(label, seed=seed, index=index, signer=index, size=1, channels=1, left_handed=False)
            hand = hands[place, index]
            hand[PICTURE_POINTS] = landmarks_in(scene).ravel()
            metres = (scene.joints - scene.joints.mean(axis=0)) / 100
            hand[WORLD_POINTS] = (metres * (1, -1, -1)).ravel()  # down and away, where the drawing has up and towards
            hand[[RIGHT_HAND, HAND_FOUND]] = 1
    return hands

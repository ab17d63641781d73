"""Labels -> landmarks of synthetic hands, laid out like the detector's, without drawing pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.synthetic.picture import landmarks_in
from aslspark.data.synthetic.variation import scene_of
from aslspark.features.landmarks import HAND_FOUND, HAND_NUMBERS, PICTURE_POINTS, RIGHT_HAND, WORLD_POINTS


def drawn_hands(labels: Sequence[str], count: int, seed: int) -> npt.NDArray[np.float32]:
    """Make right hands of each label, each of another signer, in all the ways that people form a letter.

    Parameters
    ----------
    count : int
        Hands of each label.
    seed : int
        The same numbers give the same hands.

    Returns
    -------
    ndarray of float32, shape (len(labels), count, HAND_NUMBERS)
        Vectors of hands; see `aslspark.features.landmarks`. All 0 for labels that are not in `labels.STATIC_LETTERS`.
    """
    hands = np.zeros((len(labels), count, HAND_NUMBERS), np.float32)
    for place, label in enumerate(labels):
        if label not in STATIC_LETTERS:
            continue
        for index in range(count):
            scene = scene_of(label, seed=seed, index=index, signer=index, size=1, channels=1, varied=True)
            hand = hands[place, index]
            hand[PICTURE_POINTS] = landmarks_in(scene).ravel()
            metres = (scene.joints - scene.joints.mean(axis=0)) / 100
            hand[WORLD_POINTS] = (
                metres * (1, -1, -1)
            ).ravel()  # y down and z away from the viewer; in the scene, up and towards
            hand[[RIGHT_HAND, HAND_FOUND]] = 1
    return hands

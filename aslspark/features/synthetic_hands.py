"""Labels -> landmarks of synthetic hands, laid out like the detector's, without drawing pictures.

Where the joints of drawn hands are is known. Where the detector finds them in pictures of such hands is kept in a file
that `python benchmarks/studies/found_hands.py` makes: what fingers hide is guessed there, as in photographs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.synthetic.picture import landmarks_in
from aslspark.data.synthetic.variation import Scene, scene_of
from aslspark.features.landmarks import (
    HAND_FOUND,
    HAND_NUMBERS,
    PICTURE_POINTS,
    RIGHT_HAND,
    WORLD_POINTS,
    FloatArray,
    mixed_hands,
)

DRAWN_OF_EACH = 180
"""Hands of each label with their joints where they are, in `hands_to_learn_from`."""
FOUND = "found_hands.npy"
"""int16 (letters, FOUND_OF_EACH, 1 + 126): number of the picture, and where its points were found, in STEPS."""
FOUND_OF_EACH = 60
FOUND_SEED = 0
"""Of the pictures in which they were found."""
STEPS = np.repeat([1 / 8192, 1 / 65536], 63)
"""Of landmarks, which are shares of the picture's side, and of points in space, in metres."""


def hands_to_learn_from(labels: Sequence[str], seed: int) -> npt.NDArray[np.float32]:
    """Make the hands of each label that stand in for others in training; see `drawn_hands`.

    DRAWN_OF_EACH are as they are drawn; FOUND_OF_EACH are partly as the detector finds them.

    Examples
    --------
    >>> hands_to_learn_from(["A", "space"], seed=0).shape
    (2, 240, 128)
    """
    found = half_found_hands(labels, FOUND_OF_EACH, seed)
    return np.concatenate([drawn_hands(labels, DRAWN_OF_EACH, seed), found], axis=1)


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
            hands[place, index] = exact_hand(varied_scene(label, seed, index, size=1))
    return hands


def half_found_hands(labels: Sequence[str], count: int, seed: int) -> npt.NDArray[np.float32]:
    """Make right hands of each label between where a drawn hand's joints are and where the detector finds them.

    Parameters
    ----------
    count : int
        Hands of each label; above FOUND_OF_EACH some are of the same picture, and another part of the way.
    seed : int
        Of how much of the way; the same numbers give the same hands.

    Returns
    -------
    ndarray of float32, shape (len(labels), count, HAND_NUMBERS)
        As for `drawn_hands`; all have the wrist at one place, and one size.
    """
    hands = np.zeros((len(labels), count, HAND_NUMBERS), np.float32)
    random = np.random.default_rng((seed, FOUND_OF_EACH))
    for place, label in enumerate(labels):
        if label in STATIC_LETTERS:
            exact, found = (half[np.arange(count) % FOUND_OF_EACH] for half in _drawn_and_found(label))
            hands[place] = mixed_hands(exact, found, random.random(count))
    return hands


def varied_scene(letter: str, seed: int, index: int, *, size: int) -> Scene:
    """Return the scene of a picture for hands that are learned from; `size` does not change what it shows."""
    return scene_of(letter, seed=seed, index=index, signer=index, size=size, channels=3 if size > 1 else 1, varied=True)


def exact_hand(scene: Scene) -> FloatArray:
    """Return the vector, shape (HAND_NUMBERS,), of the joints of a scene."""
    hand = np.zeros(HAND_NUMBERS, np.float32)
    hand[PICTURE_POINTS] = landmarks_in(scene).ravel()
    metres = (scene.joints - scene.joints.mean(axis=0)) / 100
    hand[WORLD_POINTS] = (
        metres * (1, -1, -1)
    ).ravel()  # y down and z away from the viewer; in the scene, up and towards
    hand[[RIGHT_HAND, HAND_FOUND]] = 1
    return hand


@lru_cache(maxsize=len(STATIC_LETTERS))
def _drawn_and_found(letter: str) -> tuple[FloatArray, FloatArray]:
    """Return the joints of a letter's pictures, and where they were found, each (FOUND_OF_EACH, HAND_NUMBERS)."""
    kept = _found()[STATIC_LETTERS.index(letter)]
    exact = np.stack([exact_hand(varied_scene(letter, FOUND_SEED, int(index), size=1)) for index in kept[:, 0]])
    found = np.ones((FOUND_OF_EACH, HAND_NUMBERS), np.float32)
    found[:, : WORLD_POINTS.stop] = kept[:, 1:] * STEPS
    return exact, found


@lru_cache(maxsize=1)
def _found() -> npt.NDArray[np.int16]:
    data = resources.files(__package__).joinpath(FOUND).read_bytes()
    found: npt.NDArray[np.int16] = np.load(io.BytesIO(data), allow_pickle=False)
    return found

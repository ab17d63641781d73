"""Makes aslspark/features/found_hands.npy: where the package's detector finds the points of hands that are drawn.

python benchmarks/studies/found_hands.py

Pictures are drawn of each letter until FOUND_OF_EACH are found well enough: as a right hand, and with wrist and
knuckles near where they are. The fingers may be anywhere: where they hide each other, the detector guesses, and a
network has to know its guesses. The same settings and packages on the same kind of processor give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.settings import HandConfig
from aslspark.data.synthetic.picture import picture_of
from aslspark.features.landmarks import HAND_FOUND, PICTURE_POINTS, RIGHT_HAND, WORLD_POINTS, hand_vectors
from aslspark.features.synthetic_hands import (
    FOUND,
    FOUND_OF_EACH,
    FOUND_SEED,
    STEPS,
    exact_hand,
    varied_scene,
)
from aslspark.images.hands.detector import HandDetector, hand_detector
from aslspark.images.hands.hand import hand_column

OUT = Path(__file__).resolve().parents[2] / "aslspark" / "features" / FOUND
SIDE = 128
"""Of the pictures, in pixels."""
NEAR = 0.25
"""Most mean distance of wrist and knuckles from where they are, as a share of the palm's length and width together."""
AT_ONCE = 8
PALM = (0, 5, 9, 13, 17)


def found_hands(letter: str, detector: HandDetector, count: int = FOUND_OF_EACH) -> npt.NDArray[np.int16]:
    """Draw a letter and find it, until so many are kept; see `aslspark.features.synthetic_hands.FOUND`."""
    kept: list[npt.NDArray[np.int16]] = []
    index = 0
    while len(kept) < count:
        numbers = range(index, index + AT_ONCE)
        index += AT_ONCE
        scenes = [varied_scene(letter, FOUND_SEED, number, size=SIDE) for number in numbers]
        exact = np.stack([exact_hand(scene) for scene in scenes])
        found = hand_vectors(hand_column(detector([picture_of(scene) for scene in scenes])))
        for number, is_good, hand in zip(numbers, is_found_well(exact, found), found, strict=True):
            if is_good:
                steps = np.rint(hand[: WORLD_POINTS.stop] / STEPS)
                kept.append(np.concatenate([[number], np.clip(steps, -32768, 32767)]).astype(np.int16))
    return np.stack(kept[:count])


def is_found_well(exact: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Tell which hands (n, HAND_NUMBERS) were found as right ones, wrist and knuckles near where they are."""
    points, others = (hands[:, PICTURE_POINTS].reshape(-1, 21, 3)[:, :, :2] for hands in (exact, found))
    palm = np.linalg.norm(points[:, 9] - points[:, 0], axis=1) + np.linalg.norm(points[:, 5] - points[:, 17], axis=1)
    away = np.linalg.norm((points - others)[:, PALM], axis=2).mean(axis=1)
    return np.asarray((found[:, HAND_FOUND] > 0) & (found[:, RIGHT_HAND] > 0) & (away < NEAR * palm))


def main(argv: Sequence[str] | None = None) -> None:
    """Make the file, and print its digest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=OUT, metavar="FILE", type=Path)
    options = parser.parse_args(argv)
    detector = hand_detector(HandConfig(on=True))
    assert detector is not None
    np.save(options.out, np.stack([found_hands(letter, detector) for letter in STATIC_LETTERS]), allow_pickle=False)
    print(hashlib.sha256(options.out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()

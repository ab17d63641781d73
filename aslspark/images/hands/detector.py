"""MediaPipe's hand detector, with further tries where it finds nothing at once. Runs in the guarded child alone.

In: a picture, uint8 (height, width, 3), RGB. Out: a `Hand`, in the picture's own coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.common.patches import imported_without_unused
from aslspark.images.hands.hand import LEFT, NO_HAND, RIGHT, Hand
from aslspark.images.hands.test_time_augmentation import augmented_views, consensus, same_hand

Pixels = npt.NDArray[np.uint8]

PLAIN, PADDED, FRAMED, ENLARGED = "plain", "padded", "framed", "enlarged"
SEARCH_STEPS = (PLAIN, PADDED, FRAMED, ENLARGED)

PADDED_SIDE = 320
"""Longer side, in pixels, that a picture is shrunk to before it is padded: the landmark model looks at 224."""


@dataclass(frozen=True)
class DetectorInput:
    """What the detector is shown, and how its coordinates lie in the picture.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    left, top : float
        Where the view's corner lies, in pixels of the picture; may be outside.
    scale : float
        Pixels of the picture for each of the view.
    """

    pixels: Pixels
    left: float = 0.0
    top: float = 0.0
    scale: float = 1.0


class HandDetector:
    """Finds the hand that signs: of those in the picture, the one that is largest and surest.

    Parameters
    ----------
    confidence : float
        What the palm detector must be sure of.
    looks : int
        How often a hand that was found is looked at, 1 or more; see `aslspark.images.hands.test_time_augmentation`.
    """

    def __init__(self, confidence: float, looks: int) -> None:
        with imported_without_unused("mediapipe"):
            from mediapipe.python.solutions.hands import Hands

        self._looks = looks
        self._hands = Hands(
            static_image_mode=True, max_num_hands=2, model_complexity=1, min_detection_confidence=confidence
        )

    def __call__(self, picture: Pixels) -> Hand:
        """AugmentedView for the hand, in the order of SEARCH_STEPS, until one finds it; then look at it again."""
        for name in SEARCH_STEPS:
            found = [seen for view in _views(name, picture) for seen in self._in_view(view)]
            if found:
                return self._looked_at_again(name, picture, max(found, key=_weight))
        return NO_HAND

    def _in_view(self, view: DetectorInput) -> list[_Seen]:
        corner = np.array([view.left, view.top, 0])
        return [replace(seen, points=seen.points * view.scale + corner) for seen in self._shown(view.pixels)]

    def _shown(self, pixels: Pixels) -> list[_Seen]:
        """Return the hands in what is shown, in its pixels."""
        result: Any = self._hands.process(pixels)
        if not result.multi_hand_landmarks:
            return []
        height, width = pixels.shape[:2]
        triples = zip(
            result.multi_hand_landmarks, result.multi_hand_world_landmarks, result.multi_handedness, strict=True
        )
        return [
            _Seen(
                _array(points.landmark) * (width, height, width),  # z is in units of the width, as x is
                _array(world.landmark),
                # MediaPipe takes every picture for a mirrored one, as of a selfie camera; ours are not.
                1.0 if handedness.classification[0].label == "Left" else -1.0,
                float(handedness.classification[0].score),
            )
            for points, world, handedness in triples
        ]

    def _looked_at_again(self, name: str, picture: Pixels, first: _Seen) -> Hand:
        seen = [first]
        for look in augmented_views(picture, first.points, self._looks - 1):
            again = [
                _Seen(
                    look.in_picture(one.points),
                    look.in_space(one.world),
                    -one.side if look.mirrored else one.side,
                    one.score,
                )
                for one in self._shown(look.pixels)
            ]
            seen += sorted((one for one in again if same_hand(one.points, first.points)), key=_weight)[-1:]
        longer = max(picture.shape[:2])
        side = sum(one.side * one.score for one in seen)
        return Hand(
            found=name,
            landmarks=(consensus([one.points for one in seen]) / longer).astype(np.float32),
            world=consensus([one.world for one in seen]).astype(np.float32),
            side=RIGHT if side > 0 else LEFT,
            score=abs(side) / len(seen),
            looks=np.stack([np.concatenate([one.points.ravel() / longer, one.world.ravel()]) for one in seen]).astype(
                np.float32
            ),
        )


@dataclass(frozen=True)
class _Seen:
    """A hand as it was seen once: points in pixels, points in metres, side (1: right, -1: left) and its certainty."""

    points: npt.NDArray[np.float64]
    world: npt.NDArray[np.float64]
    side: float
    score: float


def _array(points: Any) -> npt.NDArray[np.float64]:
    return np.array([(point.x, point.y, point.z) for point in points])


def _weight(seen: _Seen) -> float:
    """Size times certainty: who signs into a camera holds that hand nearest to it; the certainty alone is often 1."""
    width, height = np.ptp(seen.points[:, :2], axis=0)
    return float(width * height) * seen.score


def _views(name: str, picture: Pixels) -> Iterator[DetectorInput]:
    if name == PLAIN:
        yield DetectorInput(np.ascontiguousarray(picture))
    elif name == PADDED:
        yield _padded(picture, 1.0)
    elif name == FRAMED:
        yield _padded(picture, 0.35)
    elif name == ENLARGED:
        yield from _squares(picture)


def _padded(picture: Pixels, share: float) -> DetectorInput:
    """Put the picture in the middle of a black one, with a border of so many of its sides: a near hand is too large."""
    from PIL import Image

    height, width = picture.shape[:2]
    scale = max(1.0, max(height, width) / PADDED_SIDE)
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    border = max(1, round(max(size) * share))
    canvas = np.zeros((size[1] + 2 * border, size[0] + 2 * border, 3), np.uint8)
    canvas[border : border + size[1], border : border + size[0]] = small
    return DetectorInput(canvas, -border * scale, -border * scale, scale)


def _squares(picture: Pixels) -> Iterator[DetectorInput]:
    """Cut overlapping squares out of the picture: in each, a small hand is larger."""
    height, width = picture.shape[:2]
    side = max(1, round(min(height, width) * 0.6))
    for top in _steps(height, side):
        for left in _steps(width, side):
            yield DetectorInput(np.ascontiguousarray(picture[top : top + side, left : left + side]), left, top)


def _steps(length: int, side: int) -> list[int]:
    count = -(-(length - side) * 5 // (side * 3)) + 1  # each overlaps the next by two fifths at least
    return [round(place) for place in np.linspace(0, length - side, count)]

"""A picture -> its hand, by MediaPipe's detector. Runs only in the child of `detector_process`.

In: uint8 (height, width, 3), RGB. Out: a `Hand` in the picture's coordinates. Where the detector finds nothing at once,
it searches padded and enlarged versions of the picture.
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
"""Longer side, in pixels, of a picture before it is padded; the landmark model's input is 224."""


@dataclass(frozen=True)
class DetectorInput:
    """Pixels for the detector, and their place in the picture.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    left, top : float
        Of these pixels' corner, in pixels of the picture; may lie outside of it.
    scale : float
        Pixels of the picture for each of these pixels.
    """

    pixels: Pixels
    left: float = 0.0
    top: float = 0.0
    scale: float = 1.0


class HandDetector:
    """Finds the signing hand: of those in the picture, the one with the largest area times score.

    Parameters
    ----------
    confidence : float
        Least score of the palm detector.
    looks : int
        Views of a found hand, 1 or more; see `aslspark.images.hands.test_time_augmentation`.
    """

    def __init__(self, confidence: float, looks: int) -> None:
        with imported_without_unused("mediapipe"):
            from mediapipe.python.solutions.hands import Hands

        self._looks = looks
        self._hands = Hands(
            static_image_mode=True, max_num_hands=2, model_complexity=1, min_detection_confidence=confidence
        )

    def __call__(self, picture: Pixels) -> Hand:
        """Search in the order of SEARCH_STEPS until a step finds a hand; then refine it by further views."""
        for step in SEARCH_STEPS:
            detections = [found for source in _inputs(step, picture) for found in self._in_picture(source)]
            if detections:
                return self._refined(step, picture, max(detections, key=_weight))
        return NO_HAND

    def _in_picture(self, source: DetectorInput) -> list[_Detection]:
        """Detect hands, in coordinates of the picture."""
        corner = np.array([source.left, source.top, 0])
        return [replace(hand, points=hand.points * source.scale + corner) for hand in self._detect(source.pixels)]

    def _detect(self, pixels: Pixels) -> list[_Detection]:
        """Detect hands, in coordinates of these pixels."""
        result: Any = self._hands.process(pixels)
        if not result.multi_hand_landmarks:
            return []
        height, width = pixels.shape[:2]
        triples = zip(
            result.multi_hand_landmarks, result.multi_hand_world_landmarks, result.multi_handedness, strict=True
        )
        return [
            _Detection(
                _array(points.landmark) * (width, height, width),  # z has the unit of x
                _array(world.landmark),
                # MediaPipe assumes a mirrored picture, as of a selfie camera; these are not.
                1.0 if handedness.classification[0].label == "Left" else -1.0,
                float(handedness.classification[0].score),
            )
            for points, world, handedness in triples
        ]

    def _refined(self, step: str, picture: Pixels, first: _Detection) -> Hand:
        """Detect the hand again in augmented views, and combine all detections."""
        hands = [first]
        for view in augmented_views(picture, first.points, self._looks - 1):
            detections = [
                _Detection(
                    view.in_picture(hand.points),
                    view.in_space(hand.world),
                    -hand.side if view.mirrored else hand.side,
                    hand.score,
                )
                for hand in self._detect(view.pixels)
            ]
            hands += sorted((hand for hand in detections if same_hand(hand.points, first.points)), key=_weight)[-1:]
        longer_side = max(picture.shape[:2])
        side = sum(hand.side * hand.score for hand in hands)
        looks = [np.concatenate([hand.points.ravel() / longer_side, hand.world.ravel()]) for hand in hands]
        return Hand(
            found=step,
            landmarks=(consensus([hand.points for hand in hands]) / longer_side).astype(np.float32),
            world=consensus([hand.world for hand in hands]).astype(np.float32),
            side=RIGHT if side > 0 else LEFT,
            score=abs(side) / len(hands),
            looks=np.stack(looks).astype(np.float32),
        )


@dataclass(frozen=True)
class _Detection:
    """One detection of a hand: points in pixels, points in metres, side (1: right, -1: left) and its score."""

    points: npt.NDArray[np.float64]
    world: npt.NDArray[np.float64]
    side: float
    score: float


def _array(points: Any) -> npt.NDArray[np.float64]:
    return np.array([(point.x, point.y, point.z) for point in points])


def _weight(hand: _Detection) -> float:
    """Return area times score: the signing hand is nearest to the camera; the score alone is often 1."""
    width, height = np.ptp(hand.points[:, :2], axis=0)
    return float(width * height) * hand.score


def _inputs(step: str, picture: Pixels) -> Iterator[DetectorInput]:
    if step == PLAIN:
        yield DetectorInput(np.ascontiguousarray(picture))
    elif step == PADDED:
        yield _padded(picture, 1.0)
    elif step == FRAMED:
        yield _padded(picture, 0.35)
    elif step == ENLARGED:
        yield from _squares(picture)


def _padded(picture: Pixels, share: float) -> DetectorInput:
    """Add a black border of a share of the longer side: a hand that fills the picture is too large to be found."""
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
    """Give overlapping squares of the picture, in which a small hand is larger."""
    height, width = picture.shape[:2]
    side = max(1, round(min(height, width) * 0.6))
    for top in _offsets(height, side):
        for left in _offsets(width, side):
            yield DetectorInput(np.ascontiguousarray(picture[top : top + side, left : left + side]), left, top)


def _offsets(length: int, side: int) -> list[int]:
    count = -(-(length - side) * 5 // (side * 3)) + 1  # neighbours overlap by two fifths or more
    return [round(place) for place in np.linspace(0, length - side, count)]

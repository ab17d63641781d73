"""Cut-outs around hands -> their 21 landmarks; and landmarks -> the square in which to look again.

The scales are those of MediaPipe's graphs `hand_landmark_cpu.pbtxt` and `hand_landmark_landmarks_to_roi.pbtxt`
(Apache-2.0), after Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking" (2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aslspark.common.onnx_sessions import run_on_pictures
from aslspark.images.hands.square import Pixels, Points, Square, angle_of

SIDE = 224
"""Pixels of the network's input."""
DEPTH = 0.4
"""The network's unit of z, as a share of x's and y's."""
PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
"""The landmarks that the square around a hand is made from: without the fingers' ends."""
WRIST, INDEX, MIDDLE, RING = 0, 5, 9, 13
"""The wrist, and the knuckles of three fingers."""
TRACKED_SIDE, TRACKED_UP = 2.0, 0.1
"""The square around PALM, as multiples of its box: its side, and how far its middle is moved toward the fingers."""


@dataclass(frozen=True)
class Detection:
    """A hand in a picture.

    Parameters
    ----------
    points : ndarray of float64, shape (21, 3)
        In pixels of the picture.
    world : ndarray of float64, shape (21, 3)
        In metres, from the middle of the hand.
    presence : float
        The score of there being a hand, 0-1.
    right : float
        The score of its being a right hand, 0-1.
    """

    points: Points
    world: Points
    presence: float
    right: float

    @property
    def area(self) -> float:
        """Of the box around the points, in pixels of the picture."""
        width, height = np.ptp(self.points[:, :2], axis=0)
        return float(width * height)


def find_landmarks(session: Any, cut_outs: Pixels, squares: list[Square]) -> list[Detection]:
    """Find the landmarks in cut-outs.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Of `HandNetworks.landmarks`.
    cut_outs : ndarray of uint8, shape (n, SIDE, SIDE, 3)
    squares : list of Square
        Where in their pictures the cut-outs are from.
    """
    points, presence, right, world = run_on_pictures(session, cut_outs)
    shares = points.reshape(-1, 21, 3).astype(np.float64) / SIDE / (1, 1, DEPTH)
    metres = world.reshape(-1, 21, 3).astype(np.float64)
    return [
        Detection(
            square.in_picture(shares[n]),
            square.in_space(metres[n]),
            float(presence[n, 0]),
            float(1 - right[n, 0] if square.mirrored else right[n, 0]),
        )
        for n, square in enumerate(squares)
    ]


def tracked_square(points: Points) -> Square:
    """Return the square around a hand whose landmarks (21, 3) are known, as for the next frame of a video."""
    flat = points[:, :2]
    angle = angle_of((flat[INDEX] + flat[RING]) / 4 + flat[MIDDLE] / 2 - flat[WRIST])
    turned = Square(0, 0, 1, angle).axes
    box = flat[PALM] @ turned  # the hand upright
    low, high = box.min(axis=0), box.max(axis=0)
    side = high - low
    middle = (low + high) / 2 - (0, TRACKED_UP * side[1])
    x, y = turned @ middle
    return Square(float(x), float(y), TRACKED_SIDE * float(side.max()), angle)

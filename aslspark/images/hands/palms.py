"""Cut-outs of pictures -> the palms in them, and the turned square around each palm's hand.

The anchors, the decoding, the averaging of boxes and the square are those of MediaPipe's graphs
`palm_detection_cpu.pbtxt` and `palm_detection_detection_to_roi.pbtxt` (Apache-2.0), after Bazarevsky et al.,
"BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (2019), section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.common.onnx_sessions import run_on_pictures
from aslspark.images.hands.square import Pixels, Points, Square, angle_of

SIDE = 192
"""Pixels of the network's input."""
GRIDS = ((8, 2), (16, 6))
"""Stride in pixels, and anchors at the middle of each cell."""
SAME_PALM = 0.3
"""Boxes that overlap by more, as intersection over union, are of the same palm."""
FAINT = 1 / 3
"""Share of the least score that a palm must have where no other is seen: whether it is a hand's, its landmarks tell."""
WRIST, MIDDLE_KNUCKLE = 0, 2
"""Of the seven keypoints."""
HAND_SIDE, TOWARD_FINGERS = 2.6, 0.5
"""The hand's square, as multiples of the palm's box: its side, and how far its middle is moved."""


@dataclass(frozen=True)
class Palm:
    """A palm in a picture.

    Parameters
    ----------
    score : float
        0-1.
    box : ndarray of float64, shape (4,)
        Left, top, right and bottom in shares of the cut-out.
    hand : Square
        Around its hand, in the picture.
    """

    score: float
    box: Points
    hand: Square


def find_palms(session: Any, cut_outs: Pixels, squares: list[Square], confidence: float) -> list[list[Palm]]:
    """Find the palms in cut-outs.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Of `HandNetworks.palm`.
    cut_outs : ndarray of uint8, shape (n, SIDE, SIDE, 3)
    squares : list of Square
        Where in their pictures the cut-outs are from.
    confidence : float
        Least score of a palm; where none has it, a third of it is enough.

    Returns
    -------
    list of list of Palm
        For each cut-out, best first.
    """
    raw, logits = run_on_pictures(session, cut_outs)
    scores = 1 / (1 + np.exp(-np.clip(logits[..., 0].astype(np.float64), -100, 100)))
    return [
        _palms(numbers[sure].astype(np.float64), anchors()[sure], score[sure], square)
        for numbers, score, square in zip(raw, scores, squares, strict=True)
        for sure in [score >= (confidence if score.max() >= confidence else FAINT * confidence)]
    ]


@cache
def anchors() -> Points:
    """Return x and y of the anchors, shape (2016, 2), in shares of the cut-out."""
    rows = []
    for stride, count in GRIDS:
        middles = (np.arange(SIDE // stride) + 0.5) * stride / SIDE
        y, x = np.meshgrid(middles, middles, indexing="ij")
        rows.append(np.repeat(np.column_stack([x.ravel(), y.ravel()]), count, axis=0))
    return np.concatenate(rows)


def _palms(raw: Points, places: Points, scores: Points, square: Square) -> list[Palm]:
    middles, sizes = raw[:, :2] / SIDE + places, raw[:, 2:4] / SIDE
    keypoints = raw[:, 4:].reshape(-1, 7, 2) / SIDE + places[:, None]
    boxes = np.column_stack([middles - sizes / 2, middles + sizes / 2])
    palms = []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        same = overlaps(boxes[left[0]], boxes[left]) > SAME_PALM
        same[0] = True  # even a box without an area
        group = left[same]
        weights = scores[group] / scores[group].sum()
        box, points = weights @ boxes[group], np.tensordot(weights, keypoints[group], 1)
        palms.append(Palm(float(scores[left[0]]), box, _hand(square, box, points)))
        left = left[~same]
    return palms


def overlaps(box: Points, boxes: Points) -> npt.NDArray[np.float64]:
    """Compute the intersection over union of a box with each of others, shape (n, 4)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - shared
    return np.asarray(shared / np.maximum(areas, 1e-12))


def _hand(square: Square, box: Points, keypoints: Points) -> Square:
    """Return the square around the hand, its wrist below."""
    width, height = (box[2:] - box[:2]) * square.side
    (middle,) = square.in_picture(((box[:2] + box[2:]) / 2)[None])
    wrist, knuckle = square.in_picture(keypoints[[WRIST, MIDDLE_KNUCKLE]])
    angle = angle_of(knuckle - wrist)
    x, y = middle + TOWARD_FINGERS * height * np.array([math.sin(angle), -math.cos(angle)])
    return Square(float(x), float(y), HAND_SIDE * max(width, height), angle)

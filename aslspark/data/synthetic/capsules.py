"""The joints of a hand -> capsules (round cones) along its bones, from which it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aslspark.data.synthetic.skeleton import (
    INDEX,
    LITTLE,
    THUMB,
    WRIST,
    FloatArray,
    Proportions,
    turn_about_x,
    turn_about_z,
)

FINGER_CONES = 15
_NAMES = (
    *(f"finger {finger}, bone {bone}" for finger in range(5) for bone in range(3)),
    "palm to the index",
    "palm to the middle finger",
    "palm to the ring finger",
    "palm to the little finger",
    "knuckles",
    "ball of the thumb",
    "web of the thumb",
    "heel of the hand",
    "wrist, thumb's side",
    "wrist, little finger's side",
    "sleeve, thumb's side",
    "sleeve, little finger's side",
)
CONE_COUNT = len(_NAMES)
SLEEVE = np.array([name.startswith("sleeve") for name in _NAMES])


def _joined() -> npt.NDArray[np.bool_]:
    """Return which cones are joined smoothly: neighbours along a finger, and all of the palm."""
    joined = np.eye(CONE_COUNT, dtype=bool)
    palm = np.flatnonzero(~SLEEVE & (np.arange(CONE_COUNT) >= FINGER_CONES))
    joined[np.ix_(palm, palm)] = True
    joined[np.ix_(SLEEVE, SLEEVE)] = True
    for finger in range(5):
        for bone in range(2):
            joined[3 * finger + bone, 3 * finger + bone + 1] = True
        joined[3 * finger, palm] = True
    joined[3 * THUMB + 1, [_NAMES.index("ball of the thumb"), _NAMES.index("web of the thumb")]] = True
    return np.logical_or(joined, joined.T)


JOINED = _joined()
"""Shape (CONE_COUNT, CONE_COUNT). Joined cones are shaded as one surface; others keep the crease between them."""


@dataclass(frozen=True)
class Capsules:
    """Round cones: each a sphere of radius `start_radii` at `starts`, swept to one of `end_radii` at `ends`."""

    starts: FloatArray
    ends: FloatArray
    start_radii: FloatArray
    end_radii: FloatArray


def hand_capsules(joints: FloatArray, proportions: Proportions, wrist_bend: float, wrist_sway: float) -> Capsules:
    """Return the round cones of fingers, palm, forearm and sleeve.

    Parameters
    ----------
    joints : np.ndarray
        Shape (21, 3), in the hand's frame.
    wrist_bend, wrist_sway : float
        Angles between forearm and palm, in degrees: out of the palm's plane, and within it.

    Returns
    -------
    Capsules
        In the hand's frame.
    """
    cones: list[tuple[FloatArray, FloatArray, float, float]] = []
    radii = proportions.radii
    for finger in range(5):
        for bone in range(3):
            k = 4 * finger + 1 + bone
            cones.append((joints[k], joints[k + 1], radii[finger, bone], radii[finger, bone + 1]))

    knuckles = joints[[5, 9, 13, 17]]
    width = (knuckles[0, 0] - knuckles[3, 0]) / 5.7
    # Carpal bones: the palm's four rays start from a row somewhat narrower than the knuckles.
    for x, knuckle, finger in zip((1.45, 0.5, -0.5, -1.45), knuckles, range(INDEX, LITTLE + 1), strict=True):
        carpal = np.array([x * width, 0.8, 0.0])
        cones.append((carpal, knuckle - [0, 0.2, 0.1], 1.3 * width, radii[finger, 0] * 1.04))
    front = np.array([0.0, -0.5, 0.45])
    cones.append((knuckles[0] + front, knuckles[3] + front, 0.8 * width, 0.75 * width))
    ball, thumb_knuckle = joints[1], joints[2]
    cones.append((ball * [0.75, 1, 1], 0.35 * ball + 0.65 * thumb_knuckle, radii[THUMB, 0], radii[THUMB, 1] * 1.12))
    web = 0.45 * ball + 0.55 * thumb_knuckle
    cones.append((web, 0.3 * web + 0.7 * knuckles[0] - [0.1, 0.6, 0], 0.85 * width, 0.7 * width))
    heel = np.array([-1.75 * width, 1.6, 0.55])
    cones.append((heel, 0.3 * heel + 0.7 * knuckles[3], 1.3 * width, 1.05 * width))

    forearm = turn_about_z(wrist_sway) @ turn_about_x(wrist_bend)
    for side in (1.0, -1.0):
        top, bottom = forearm @ [side * 1.15 * width, 0, 0], forearm @ [side * 1.4 * width, -9.0, 0]
        cones.append((joints[WRIST] + [0, 0.4, 0] + top, bottom, 1.5 * width, 1.9 * width))
    for side in (1.0, -1.0):
        top, bottom = forearm @ [side * 1.4 * width, -5.0, 0], forearm @ [side * 1.9 * width, -22.0, 0]
        cones.append((top, bottom, 2.2 * width, 3.2 * width))

    starts, ends, start_radii, end_radii = zip(*cones, strict=True)
    return Capsules(np.array(starts), np.array(ends), np.array(start_radii), np.array(end_radii))

"""Joint angles and the proportions of a hand -> the positions of its 21 joints, by forward kinematics.

The frame of a right hand: x to the thumb's side, y from the wrist to the fingers, z out of the palm; the wrist is the
origin, lengths are in centimetres. Joints are numbered like MediaPipe's hand landmarks (Zhang et al. 2020, "MediaPipe
Hands: On-device Real-time Hand Tracking"): the wrist, then four each for the thumb, index, middle, ring and little
finger, from root to tip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

WRIST = 0
THUMB, INDEX, MIDDLE, RING, LITTLE = range(5)
JOINT_COUNT = 21
BONES = tuple((WRIST if k == 0 else 4 * f + k, 4 * f + k + 1) for f in range(5) for k in range(4))
"""Pairs of joints at a fixed distance: each joint and the one before it."""

ANGLES_PER_FINGER = 5
"""In degrees. Thumb: `out` from the y axis in the palm's plane; `forward` out of that plane; `turn` of the pad, from
facing like the palm (0) to facing the little finger (90); flexion of the middle and end joints. Finger: spread to the
thumb's side; flexion of the root, middle and end joints; and a zero that fills the row."""

FINGER_LIMITS = ((-28.0, 28.0), (-25.0, 100.0), (-5.0, 118.0), (-12.0, 88.0), (0.0, 0.0))
THUMB_LIMITS = ((-40.0, 85.0), (-15.0, 75.0), (-10.0, 130.0), (-15.0, 65.0), (-25.0, 85.0))
JOINT_LIMITS = np.array([THUMB_LIMITS] + [FINGER_LIMITS] * 4)
"""Lowest and highest angle of each joint, shape (5, ANGLES_PER_FINGER, 2)."""


@dataclass(frozen=True)
class Proportions:
    """The sizes of a hand, in centimetres.

    Attributes
    ----------
    roots : np.ndarray
        Places of the thumb's base joint and of the four knuckles, shape (5, 3).
    bones : np.ndarray
        Lengths of each finger's three bones from root to tip, shape (5, 3).
    radii : np.ndarray
        Half the thickness at each finger's four joints, shape (5, 4).
    """

    roots: FloatArray
    bones: FloatArray
    radii: FloatArray


AVERAGE_HAND = Proportions(
    roots=np.array([[2.2, 1.9, 0.9], [2.75, 8.9, 0.1], [0.75, 9.1, -0.15], [-1.2, 8.6, -0.1], [-2.95, 7.7, 0.15]]),
    bones=np.array([[4.3, 3.1, 2.1], [4.4, 2.6, 1.8], [4.9, 3.0, 1.9], [4.5, 2.8, 1.9], [3.5, 2.0, 1.6]]),
    radii=np.array(
        [
            [1.6, 1.2, 1.05, 0.8],
            [1.06, 0.95, 0.85, 0.7],
            [1.06, 0.97, 0.87, 0.72],
            [1.02, 0.93, 0.83, 0.68],
            [0.93, 0.82, 0.73, 0.6],
        ]
    ),
)


def turn_about_x(degrees: float) -> FloatArray:
    """Return the rotation from y to z: the flexion of a finger's joint."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def turn_about_y(degrees: float) -> FloatArray:
    """Return the rotation from z to x: of an upright palm to the viewer's right."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def turn_about_z(degrees: float) -> FloatArray:
    """Return the rotation from x to y: anticlockwise in the picture."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def within_limits(angles: FloatArray) -> FloatArray:
    """Clip joint angles (5, ANGLES_PER_FINGER) to `JOINT_LIMITS`."""
    return np.clip(angles, JOINT_LIMITS[..., 0], JOINT_LIMITS[..., 1])


def joint_positions(proportions: Proportions, angles: FloatArray) -> FloatArray:
    """Return the positions of the joints at these angles, by forward kinematics.

    Parameters
    ----------
    angles : np.ndarray
        Shape (5, ANGLES_PER_FINGER), in degrees; clipped to the joints' limits.

    Returns
    -------
    np.ndarray
        Shape (21, 3), in the hand's frame.
    """
    joints = np.zeros((JOINT_COUNT, 3))
    for finger, turns in enumerate(within_limits(angles)):
        if finger == THUMB:
            out, forward, turn, middle, end = turns
            frame = turn_about_z(-out) @ turn_about_x(forward) @ turn_about_y(-turn)
        else:
            spread, root, middle, end, _ = turns
            frame = turn_about_z(-spread) @ turn_about_x(root)
        place = proportions.roots[finger]
        joints[4 * finger + 1] = place
        for k, flexion in enumerate((0.0, middle, end)):
            frame = frame @ turn_about_x(flexion)
            place = place + proportions.bones[finger, k] * frame[:, 1]
            joints[4 * finger + 2 + k] = place
    return joints

"""A letter -> its handshapes: joint angles, and the views from which it is drawn.

The handshapes are those of charts of the American manual alphabet; the views are those of a camera in front of the
signer. Angles are in degrees; see `skeleton.ANGLES_PER_FINGER`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.synthetic.skeleton import FloatArray

Finger = tuple[float, float, float, float]
Thumb = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class View:
    """Rotation of the hand relative to the viewer, from an upright palm that faces the viewer.

    First `yaw` turns the palm to the viewer's right, then `pitch` tilts the fingertips towards the viewer, then `roll`
    turns the picture anticlockwise. `bend` and `sway` are the angles between forearm and palm.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    bend: float = 0.0
    sway: float = 0.0


@dataclass(frozen=True)
class Handshape:
    """A way to form a letter, and its views.

    `thumb` is (out, forward, turn, middle, end); the fingers are (spread, root, middle, end). Where the thumb touches a
    finger, the angles were fitted to the average hand.
    """

    thumb: Thumb
    index: Finger
    middle: Finger
    ring: Finger
    little: Finger
    views: tuple[View, ...]

    def angles(self) -> FloatArray:
        """Return the joint angles, shape (5, ANGLES_PER_FINGER)."""
        fingers = [(*finger, 0.0) for finger in (self.index, self.middle, self.ring, self.little)]
        return np.array([self.thumb, *fingers])


_FOLDED_INDEX: Finger = (-3, 82, 103, 68)
_FOLDED_MIDDLE: Finger = (-1, 84, 103, 68)
_FOLDED_RING: Finger = (2, 84, 104, 68)
_FOLDED_LITTLE: Finger = (5, 84, 104, 66)

_TO_THE_RIGHT = View(yaw=180, roll=-80)
_UP_TO_THE_RIGHT = View(yaw=160, roll=-65, sway=-20)
_TO_THE_LEFT = View(yaw=10, roll=85)

HANDSHAPES: dict[str, tuple[Handshape, ...]] = {
    "A": (
        Handshape((40, 6, 84, 42, 5), _FOLDED_INDEX, _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=-8, roll=-4), View(yaw=12, pitch=8, roll=-20))),
    ),
    "B": (Handshape((14, 40, 90, 55, 45), (-4, 2, 3, 2), (-1, 2, 3, 2), (3, 2, 3, 2), (7, 2, 4, 2), (View(),)),),
    "C": (
        Handshape((27, 45, 62, 20, 38), (-4, 36, 46, 28), (-1, 36, 46, 28), (3, 37, 46, 28), (8, 40, 46, 28),
             (View(yaw=62, roll=-8), View(yaw=75, roll=-15))),
    ),
    "D": (
        Handshape((41, 65, 90, 50, 34), (0, 4, 5, 4), (0, 62, 72, 35), (2, 66, 75, 40), (4, 72, 78, 45),
             (View(yaw=20), View(yaw=0))),
    ),
    "E": (
        Handshape((14, 44, 100, 58, 62), (-2, 54, 114, 58), (-1, 54, 114, 58), (2, 54, 114, 58), (6, 54, 114, 58),
             (View(), View(pitch=5, yaw=8))),
    ),
    "F": (
        Handshape((35, 38, 60, 15, 41), (-2, 58, 62, 30), (1, 10, 10, 6), (-7, 6, 8, 5), (-16, 4, 8, 5),
             (View(yaw=5), View(yaw=25, roll=-5))),
    ),
    "G": (
        Handshape((40, 2, 86, 40, 14), (0, 10, 6, 4), _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (_TO_THE_RIGHT, _UP_TO_THE_RIGHT, _TO_THE_LEFT)),
    ),
    "H": (
        Handshape((4, 40, 89, 37, 30), (-4, 8, 6, 4), (3, 8, 6, 4), _FOLDED_RING, _FOLDED_LITTLE,
             (_TO_THE_RIGHT, _UP_TO_THE_RIGHT, _TO_THE_LEFT)),
    ),
    "I": (
        Handshape((25, 56, 107, 41, 35), _FOLDED_INDEX, _FOLDED_MIDDLE, _FOLDED_RING, (-8, 4, 6, 4),
             (View(), View(yaw=-8, roll=-5))),
    ),
    "K": (
        Handshape((-6, 16, 50, 0, 0), (5, 4, 5, 4), (-7, 38, 8, 6), _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=-35), View(yaw=-20, pitch=-5))),
    ),
    "L": (
        Handshape((62, 8, 60, -5, -10), (2, 3, 4, 3), _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (View(), View(yaw=10, roll=8))),
    ),
    "M": (
        Handshape((-18, 33, 107, 35, -20), (-4, 72, 76, 22), (-1, 72, 76, 22), (3, 72, 76, 22), (0, 92, 108, 70),
             (View(pitch=5), View(pitch=-8, yaw=-5), View(yaw=12, roll=-18))),
    ),
    "N": (
        Handshape((9, 41, 104, 54, -15), (-3, 72, 76, 24), (1, 72, 76, 24), (-3, 90, 108, 70), (0, 90, 108, 70),
             (View(pitch=5), View(pitch=-8, yaw=-5), View(yaw=12, roll=-18))),
    ),
    "O": (
        Handshape((20, 42, 73, 24, 20), (-4, 52, 55, 38), (-1, 55, 58, 38), (3, 57, 58, 38), (8, 58, 58, 38),
             (View(yaw=58, roll=-8), View(yaw=72, roll=-10))),
    ),
    "P": (
        Handshape((20, 14, 86, 30, 0), (2, 8, 6, 4), (-3, 72, 8, 6), _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=-75, roll=85), View(yaw=-60, roll=70), View(yaw=-105, roll=72))),
    ),
    "Q": (
        Handshape((25, 40, 60, 0, 2), (0, 35, 10, 8), (-1, 84, 95, 60), _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=-70, roll=130), View(yaw=180, roll=175, sway=-25))),
    ),
    "R": (
        Handshape((4, 40, 89, 37, 30), (-13, 17, 4, 3), (18, -3, 12, 8), _FOLDED_RING, _FOLDED_LITTLE,
             (View(), View(yaw=12))),
    ),
    "S": (
        Handshape((15, 54, 110, 30, 45), _FOLDED_INDEX, _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (View(roll=-4), View(yaw=14, roll=-20))),
    ),
    "T": (
        Handshape((8, 21, 113, 25, -6), (7, 70, 88, 50), (-5, 84, 103, 68), _FOLDED_RING, _FOLDED_LITTLE,
             (View(pitch=4), View(yaw=8, roll=-16))),
        Handshape((0, 10, 60, 0, -8), (5, 82, 15, 10), (-5, 84, 103, 68), _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=72), View(yaw=95, roll=-5))),
    ),
    "U": (
        Handshape((4, 40, 89, 37, 30), (-4, 3, 4, 3), (3, 3, 4, 3), _FOLDED_RING, _FOLDED_LITTLE,
             (View(), View(yaw=15))),
    ),
    "V": (
        Handshape((4, 40, 89, 37, 30), (9, 3, 4, 3), (-8, 3, 4, 3), _FOLDED_RING, _FOLDED_LITTLE,
             (View(), View(yaw=15))),
    ),
    "W": (
        Handshape((-8, 37, 92, 38, 34), (12, 3, 4, 3), (0, 3, 4, 3), (-12, 3, 4, 3), (4, 78, 90, 60),
             (View(), View(yaw=12))),
    ),
    "X": (
        Handshape((22, 47, 92, 35, 39), (0, 12, 85, 55), _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=50, roll=-5), View(yaw=35, roll=-8))),
    ),
    "Y": (
        Handshape((62, 10, 50, -8, -12), _FOLDED_INDEX, _FOLDED_MIDDLE, _FOLDED_RING, (-20, 3, 5, 4),
             (View(), View(yaw=10, roll=-10))),
    ),
}  # fmt: skip
"""The ways to form each letter."""

_HANGING = (View(yaw=180, pitch=50, roll=180), View(yaw=168, pitch=30, roll=170), View(yaw=195, pitch=40, roll=190))
_FROM_ABOVE = (View(pitch=35), View(pitch=45, yaw=8))

MORE_VIEWS: dict[str, tuple[View, ...]] = {
    "H": (View(roll=-82), View(yaw=25, roll=-78)),
    "M": _FROM_ABOVE,
    "N": _FROM_ABOVE,
    "O": (View(yaw=10), View(yaw=30)),
    "P": (
        View(yaw=-40, roll=50),
        View(yaw=-60, roll=120),
        View(yaw=-30, roll=145),
        View(yaw=120, pitch=40, roll=-130),
        View(yaw=105, pitch=25, roll=-90),
        View(yaw=150, pitch=40, roll=-90),
    ),
    "Q": (
        View(yaw=-60, roll=160),
        View(yaw=110, roll=180),
        View(yaw=-90, roll=105),
        View(yaw=150, pitch=45, roll=-140),
        View(yaw=180, pitch=50, roll=180),
    ),
}
"""Further views of the first way to form a letter: P and Q from sideways to straight down and from the back of the
hand, O from the front, M and N from above, the palm of H."""

MORE_HANDSHAPES: dict[str, tuple[Handshape, ...]] = {
    # Wider.
    "C": (
        Handshape((40, 45, 60, 10, 20), (-4, 22, 38, 24), (-1, 22, 38, 24), (3, 23, 38, 24), (8, 26, 38, 24),
             (View(yaw=62, roll=-8), View(yaw=40, roll=-10), View(yaw=75, roll=-15))),
    ),
    # The thumb stretched.
    "G": (
        Handshape((52, 4, 70, 5, 0), (0, 10, 6, 4), _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (_TO_THE_RIGHT, _UP_TO_THE_RIGHT, _TO_THE_LEFT)),
    ),
    # The thumb beside the fingers, which make a V.
    "K": (
        Handshape((8, 30, 80, 10, 0), (9, 3, 4, 3), (-8, 10, 6, 4), _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=-10), View(yaw=5))),
    ),
    # The middle finger bent, its tip at the thumb's.
    "P": (
        Handshape((25, 30, 70, 20, 10), (2, 8, 6, 4), (-3, 62, 48, 32), _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=-75, roll=85), View(yaw=-60, roll=70), View(yaw=-100, roll=85))),
    ),
    # Three and two fingers that hang down before the back of the hand.
    "M": (
        Handshape((10, 30, 100, 40, 0), (-4, 55, 12, 8), (-1, 55, 12, 8), (3, 55, 12, 8), (0, 92, 108, 70), _HANGING),
    ),
    "N": (
        Handshape((10, 30, 100, 40, 0), (-3, 55, 12, 8), (1, 55, 12, 8), (-3, 90, 108, 70), (0, 90, 108, 70), _HANGING),
    ),
    # The thumb high.
    "S": (
        Handshape((22, 48, 110, 15, 20), _FOLDED_INDEX, _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (View(roll=-4), View(yaw=14, roll=-20))),
    ),
    # The tip of the thumb in front.
    "T": (
        Handshape((12, 30, 95, 0, -10), (7, 70, 88, 50), (-5, 84, 103, 68), _FOLDED_RING, _FOLDED_LITTLE,
             (View(pitch=4), View(yaw=8, roll=-16))),
    ),
    # The index finger less bent.
    "X": (
        Handshape((22, 47, 92, 35, 39), (0, 8, 58, 38), _FOLDED_MIDDLE, _FOLDED_RING, _FOLDED_LITTLE,
             (View(yaw=40, roll=-5), View(yaw=20, roll=-5))),
    ),
}  # fmt: skip
"""Further ways to form a letter, as some people do and charts do not show."""


def varied_handshapes_of(letter: str) -> tuple[Handshape, ...]:
    """Return the ways to form a letter and those that some people have, of which one in three comes to be drawn."""
    first, *others = handshapes_of(letter)
    first = replace(first, views=(*first.views, *MORE_VIEWS.get(letter, ())))
    more = MORE_HANDSHAPES.get(letter, ())
    return (first, *others, *more) if others or not more else (first, first, *more)


def handshapes_of(letter: str) -> tuple[Handshape, ...]:
    """Return the ways to form a letter; raise for anything but the 24 static letters."""
    if letter not in HANDSHAPES:
        raise AslsparkError(
            f"letter {letter!r} cannot be drawn; the letters that a still hand shows are "
            f"{''.join(STATIC_LETTERS)}, as single capitals (J and Z are movements)"
        )
    return HANDSHAPES[letter]

"""Seeds -> the scene of a picture: all that varies between signers and between pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from aslspark.data.synthetic.capsules import Capsules, hand_capsules
from aslspark.data.synthetic.letters import handshapes_of, varied_handshapes_of
from aslspark.data.synthetic.render import SUPERSAMPLING, Camera, Light
from aslspark.data.synthetic.skeleton import (
    AVERAGE_HAND,
    INDEX,
    FloatArray,
    Proportions,
    joint_positions,
    turn_about_x,
    turn_about_y,
    turn_about_z,
)

_OF_SIGNER, _OF_PICTURE = 0, 1

SKIN_TONES = np.array(
    [
        [246, 237, 228],
        [243, 231, 219],
        [247, 234, 208],
        [234, 218, 186],
        [215, 189, 150],
        [160, 126, 86],
        [130, 92, 67],
        [96, 65, 52],
        [58, 49, 42],
        [41, 36, 32],
    ]
)
"""The Monk Skin Tone scale (Ellis Monk 2022, skintone.google) in sRGB, from very light to very dark."""

_GAMMA = 2.2
_GREY_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])
_JOINT_WOBBLE = np.array([[5.0, 5.0, 6.0, 5.0, 6.0]] + [[1.5, 5.0, 5.0, 4.0, 0.0]] * 4)


@dataclass(frozen=True)
class Signer:
    """A person: the proportions of the hand, and the colour of the skin (linear RGB reflectance)."""

    proportions: Proportions
    skin: FloatArray


@lru_cache(maxsize=1024)
def signer_of(seed: int, signer: int) -> Signer:
    """Return signer number `signer` of a seed."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_OF_SIGNER, signer)))
    length, width, thickness = rng.uniform(0.88, 1.12), rng.uniform(0.9, 1.1), rng.uniform(0.88, 1.15)
    fingers = length * rng.normal(1, 0.03, (5, 1)) * rng.normal(1, 0.015, (5, 3))
    slimness = thickness * rng.normal(1, 0.03, (5, 4))
    proportions = Proportions(
        roots=AVERAGE_HAND.roots * [width, rng.normal(1, 0.03), 1],
        bones=AVERAGE_HAND.bones * fingers,
        radii=AVERAGE_HAND.radii * slimness,
    )
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    skin = [np.interp(tone, range(len(SKIN_TONES)), SKIN_TONES[:, c]) for c in range(3)]
    return Signer(proportions, (np.array(skin) / 255) ** _GAMMA)


@dataclass(frozen=True)
class Scene:
    """The content of a picture, in the picture's frame (x right, y up, z to the viewer)."""

    joints: FloatArray
    flesh: Capsules
    camera: Camera
    light: Light
    skin: FloatArray
    sleeve: FloatArray
    background: FloatArray
    exposure: tuple[float, float]
    blur: float
    noise: float
    noise_rng: np.random.Generator

    def developed(self, linear: FloatArray) -> npt.NDArray[np.uint8]:
        """Convert linear light (size, size, channels) to uint8: blur, gamma, contrast and noise."""
        for axis in (0, 1):
            last = np.take(linear, [0, *range(len(linear) - 1)], axis)
            following = np.take(linear, [*range(1, len(linear)), -1], axis)
            linear = self.blur * (last + following) + (1 - 2 * self.blur) * linear
        contrast, brightness = self.exposure
        picture = np.clip(linear, 0, None) ** (1 / _GAMMA)
        picture = (picture - 0.5) * contrast + 0.5 + brightness
        picture = picture + self.noise_rng.normal(0, self.noise, picture.shape)
        return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def scene_of(
    letter: str,
    *,
    seed: int,
    index: int,
    signer: int,
    size: int,
    channels: int,
    varied: bool = False,
) -> Scene:
    """Return the scene of picture number `index` of a seed; size and channels do not change what it shows.

    `varied`: letters are also formed as some people do, and charts do not show.
    """
    forms = varied_handshapes_of(letter) if varied else handshapes_of(letter)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_OF_PICTURE, index)))
    person = signer_of(seed, signer)
    form = forms[rng.integers(len(forms))]
    view = form.views[rng.integers(len(form.views))]

    angles = form.angles() + rng.normal(0, 1, _JOINT_WOBBLE.shape) * _JOINT_WOBBLE
    angles[INDEX:, 1:3] += rng.normal(0, 3)  # of all fingers together
    joints = joint_positions(person.proportions, angles)
    bend, sway = view.bend + rng.normal(0, 8), view.sway + rng.normal(0, 8)
    flesh = hand_capsules(joints, person.proportions, bend, sway)

    turn = (
        turn_about_z(view.roll + rng.normal(0, 9))
        @ turn_about_x(view.pitch + rng.normal(0, 7))
        @ turn_about_y(view.yaw + rng.normal(0, 9))
    )
    middle = joints.mean(axis=0)
    joints = (joints - middle) @ turn.T
    flesh = Capsules(
        (flesh.starts - middle) @ turn.T, (flesh.ends - middle) @ turn.T, flesh.start_radii, flesh.end_radii
    )
    camera = _framed(joints, rng)

    sleeve = rng.uniform(0.01, 0.5) * rng.uniform(0.4, 1, 3) if rng.random() < 0.45 else person.skin
    background = _background(rng, size * SUPERSAMPLING, person.skin)
    to_channels = np.eye(3) if channels == 3 else _GREY_WEIGHTS[:, None]
    return Scene(
        joints=joints,
        flesh=flesh,
        camera=camera,
        light=_light(rng),
        skin=person.skin @ to_channels,
        sleeve=sleeve @ to_channels,
        background=background @ to_channels,
        exposure=(rng.uniform(0.8, 1.15), rng.uniform(-0.06, 0.08)),
        blur=rng.uniform(0, 0.15),
        noise=rng.uniform(0, 0.018),
        noise_rng=rng,
    )


def _framed(joints: FloatArray, rng: np.random.Generator) -> Camera:
    """Return a camera with which the hand fills most of the picture, as in a crop around a detected hand."""
    distance = rng.uniform(35, 80)
    seen = Camera(distance, 1.0, (0.0, 0.0)).project(joints)
    flesh_margin = 1.1 / distance
    low, high = seen.min(axis=0) - flesh_margin, seen.max(axis=0) + flesh_margin
    zoom = rng.uniform(0.8, 0.98) / (high - low).max()
    spare = np.clip(1 - zoom * (high - low), 0.02, None)
    shift = 0.5 + rng.uniform(-0.3, 0.3, 2) * spare
    x, y = shift - zoom * (low + high) / 2
    return Camera(distance, zoom, (float(x), float(y)))


def _light(rng: np.random.Generator) -> Light:
    """Return a lamp above and in front of the hand, to either side."""
    side, height = np.radians(rng.uniform(-65, 65)), np.radians(rng.uniform(5, 65))
    direction = np.array(
        [np.cos(height) * np.sin(side), np.sin(height), np.cos(height) * np.cos(side)],
    )
    return Light(direction, strength=rng.uniform(0.6, 1.3), ambient=rng.uniform(0.2, 0.6))


def _background(rng: np.random.Generator, side: int, skin: FloatArray) -> FloatArray:
    """Return linear light (side, side, 3) for the background: flat, a gradient, blurred blobs or an edge."""
    # A background as bright as the hand would hide it: both its colours are darker, or both are brighter.
    clearance, shade = 0.12, 0.8
    of_skin = shade * (skin @ _GREY_WEIGHTS) ** (1 / _GAMMA)
    darker, brighter = max(of_skin - clearance, 0), max(1 - of_skin - clearance, 0)
    low, high = (0, darker) if rng.uniform(0, darker + brighter) < darker else (1 - brighter, 1)
    one, other = ((rng.uniform(low, high) * rng.uniform(0.88, 1, 3)) ** _GAMMA for _ in range(2))
    kind = rng.integers(4)
    place = (np.arange(side) + 0.5) / side
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (place - 0.5) * np.cos(angle) + ((place - 0.5) * np.sin(angle))[:, None]
    if kind == 0:
        share = np.zeros((side, side))
    elif kind == 1:
        share = np.clip(0.5 + ramp * rng.uniform(0.2, 0.8), 0, 1)
    elif kind == 2:
        grid = rng.uniform(0, 1, (rng.integers(3, 8),) * 2)
        knots = np.linspace(0, 1, len(grid))
        hats = np.clip(1 - np.abs(place[:, None] - knots) * (len(grid) - 1), 0, 1)
        share = hats @ grid @ hats.T * rng.uniform(0.2, 0.9)
    else:
        share = np.clip(0.5 + (ramp - rng.uniform(-0.4, 0.4)) * rng.uniform(5, 40), 0, 1)
    return one + share[..., None] * (other - one)

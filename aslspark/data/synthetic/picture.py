"""A letter and seeds -> one picture of a hand, and its landmarks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aslspark.common.errors import AslsparkError
from aslspark.data.synthetic.render import render
from aslspark.data.synthetic.skeleton import WRIST
from aslspark.data.synthetic.variation import Scene, scene_of

GREY, RGB = 1, 3


def check_picture_shape(size: int, channels: int) -> None:
    """Raise where the size or channels of a picture are not possible."""
    if size < 1:
        raise AslsparkError(f"size {size} of drawn pictures does not work; give 1 or more, such as 28 or 224")
    if channels not in (GREY, RGB):
        raise AslsparkError(f"channels {channels} of drawn pictures does not work; give 1 (grey) or 3 (RGB)")


def draw_hand(
    letter: str,
    *,
    seed: int,
    index: int,
    signer: int,
    size: int = 28,
    channels: int = 1,
) -> npt.NDArray[np.uint8]:
    """Draw a hand that forms a letter.

    Parameters
    ----------
    letter : str
        One of `labels.STATIC_LETTERS`.
    seed, index : int
        Together they decide all that varies from picture to picture: the same numbers give the same bytes.
    signer : int
        With the seed, decides the proportions of the hand and the skin tone.
    size : int
        Height and width in pixels.
    channels : int
        1 for grey, 3 for RGB.

    Returns
    -------
    np.ndarray
        uint8, shape (size, size, channels).
    """
    check_picture_shape(size, channels)
    return picture_of(scene_of(letter, seed=seed, index=index, signer=signer, size=size, channels=channels))


def picture_of(scene: Scene) -> npt.NDArray[np.uint8]:
    """Return the picture of a scene, uint8, of its size and channels."""
    linear = render(
        scene.flesh,
        scene.camera,
        scene.light,
        skin=scene.skin,
        sleeve=scene.sleeve,
        background=scene.background,
    )
    return scene.developed(linear)


def draw_landmarks(letter: str, *, seed: int, index: int, signer: int) -> npt.NDArray[np.float32]:
    """Return the 21 landmarks of the picture that `draw_hand` draws from the same numbers.

    Parameters
    ----------
    letter, seed, index, signer
        As for `draw_hand`.

    Returns
    -------
    np.ndarray
        float32, shape (21, 3): x (rightwards) and y (downwards) as fractions of the picture, and the depth behind the
        wrist on about the same scale, negative towards the viewer. This is MediaPipe's convention.
    """
    return landmarks_in(scene_of(letter, seed=seed, index=index, signer=signer, size=1, channels=1))


def landmarks_in(scene: Scene) -> npt.NDArray[np.float32]:
    """Return the landmarks of a scene; see `draw_landmarks`."""
    depth = scene.joints[WRIST, 2] - scene.joints[:, 2]
    scale = scene.camera.zoom / (scene.camera.distance - scene.joints[WRIST, 2])
    return np.column_stack([scene.camera.project(scene.joints), depth * scale]).astype(np.float32)

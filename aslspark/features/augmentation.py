"""Augmentation of training pictures: what `augment_keras` and `augment_torch` have in common.

Every change has its own random numbers for each picture, and is applied to the whole batch at once on the training
device. In this order, each with its probability (`settings.AugmentConfig`):

background
    Replaced by a plain colour, a gradient of four colours, or noise. Only in studio pictures: at least `DARK_RIM` of
    the pixels along the four sides are dark, that is, all their channels are below `background_darkness`. Background is
    what is dark and near an entirely dark square (`square_side`): the gap between two fingers is, a dark crease of the
    palm is not. The new colour is added in proportion to a pixel's darkness, which keeps the soft edge of the hand.
flip, rotation, scale, shear, shift
    One affine resampling about the picture's middle; outside of it, the edge is repeated.
brightness, contrast; and in RGB hue, saturation, channel shuffle
    One linear map of the channels for each picture. Hue rotates colours about the grey diagonal of the RGB cube (by 120
    degrees, red becomes green); saturation scales their distance from it. Both leave grey unchanged, and are left out
    for grey pictures. A shuffle is one of the five other orders of the channels.
blur
    The mean over a square of pixels, with a random side for each picture; the edges are mirrored.
coarse dropout
    Rectangular holes of value 0 within the picture; they may overlap.

Landmarks are augmented separately, in the feed (`aslspark.features.landmarks.augmented_hands`); mirroring a picture
does not change their features.

torchvision.transforms and tf.image.random_* are not used, since they draw one set of random numbers for the whole
batch. The work is done by kernels that take parameters for each picture: affine resampling, grouped convolution,
products of small matrices.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from aslspark.common.settings import AugmentConfig

DARK_RIM = 0.5

GREY = np.full((3, 3), 1 / 3, np.float32)
"""From RGB to its grey: the nearest point of the cube's diagonal."""
COLOUR = np.eye(3, dtype=np.float32) - GREY
"""From RGB to its difference from grey."""
QUARTER_TURN = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / np.float32(np.sqrt(3))
"""From RGB to its difference from grey, rotated about the diagonal by 90 degrees."""
ORDERS = np.eye(3, dtype=np.float32)[list(permutations(range(3)))]
"""The orders of three channels as matrices, shape (6, 3, 3); the first changes nothing."""


def square_side(height: int, width: int) -> int:
    """Return the side of the square that must be entirely dark in a background: about a twelfth of the picture's."""
    return 2 * (min(height, width) // 24) + 1


def moves(settings: AugmentConfig) -> bool:
    """Tell whether any change needs resampling."""
    return any(
        (
            settings.rotation_probability,
            settings.scale_probability,
            settings.shear_probability,
            settings.shift_probability,
            settings.flip_probability,
        )
    )


def mixes_channels(settings: AugmentConfig, channels: int) -> bool:
    """Tell whether any change mixes the channels."""
    return channels == 3 and any(
        (settings.hue_probability, settings.saturation_probability, settings.channel_shuffle_probability)
    )


def blur_sides(settings: AugmentConfig) -> list[int]:
    """Return the possible sides of the square of a blur."""
    return list(range(settings.blur_least, settings.blur_most + 1, 2))

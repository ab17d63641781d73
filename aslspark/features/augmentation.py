"""Random changes of training pictures: what `augment_keras` and `augment_torch` have in common.

Every change is drawn for each picture alone and done to the whole batch at once, in the worker, on the device that
trains. In this order, each with its probability (`settings.AugmentConfig`):

background
    Replaced by a plain colour, a gradient of four colours, or noise, drawn here. Only in pictures that look like
    studio shots: at least `DARK_RIM` of the pixels along the four sides are dark, which means that all their channels
    are below `background_darkness`. Background is what is dark and near a wholly dark square (`square_side`): the gap
    between two fingers is, a dark crease of the palm is not. The new colour is added in so far as a pixel is dark,
    which keeps the soft edge of the hand.
flip, rotation, scale, shear, shift
    One affine resampling about the picture's middle; what comes in from outside repeats the edge.
brightness, contrast; and in RGB hue, saturation, channel shuffle
    One linear map of the channels a picture. Hue turns colours about the grey diagonal of the RGB cube (by 120 degrees
    red becomes green), saturation scales their distance from it: both leave grey as it is, and are not done to grey
    pictures at all. A shuffle is one of the five orders of the channels that change something.
blur
    The mean over a square of pixels; its side is drawn for each picture. Beyond its edge a picture goes on as its own
    mirror.
coarse dropout
    Rectangular holes of value 0, wholly within the picture; they may overlap.

Landmarks are changed apart from the picture, in the feed (`aslspark.features.landmarks.augmented_hands`); what mirrors
a picture leaves their features as they are.

The operations are not those of torchvision.transforms and tf.image.random_*: these draw once for all pictures of a
batch, and one call a picture would be a loop in Python over the batch. Where a library's kernel takes parameters for
each picture (affine resampling, a convolution in groups, products of small matrices), that is what does the work.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from aslspark.common.settings import AugmentConfig

DARK_RIM = 0.5

GREY = np.full((3, 3), 1 / 3, np.float32)
"""RGB to its grey: the nearest point of the cube's diagonal."""
COLOUR = np.eye(3, dtype=np.float32) - GREY
"""RGB to its distance from grey."""
QUARTER_TURN = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / np.float32(np.sqrt(3))
"""RGB to its distance from grey, turned about the diagonal by 90 degrees."""
ORDERS = np.eye(3, dtype=np.float32)[list(permutations(range(3)))]
"""The orders of three channels as matrices, shape (6, 3, 3); the first changes nothing."""


def square_side(height: int, width: int) -> int:
    """Return the side of the square that must be dark all over for a background: about a twelfth of the picture's."""
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
    """Tell whether any change lets a channel depend on the others."""
    return channels == 3 and any(
        (settings.hue_probability, settings.saturation_probability, settings.channel_shuffle_probability)
    )


def blur_sides(settings: AugmentConfig) -> list[int]:
    """Return the sides of the squares that a blur may have."""
    return list(range(settings.blur_least, settings.blur_most + 1, 2))

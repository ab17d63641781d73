"""A batch of scaled pictures -> the batch augmented, in TensorFlow; see `augmentation`. `augment_torch` does the same.

The settings are constants of the graph: changes that are off are not in it, and TensorFlow does not trace it again.
"""

from __future__ import annotations

import math

import tensorflow as tf

from aslspark.common.settings import AugmentConfig
from aslspark.features.augmentation import (
    COLOUR,
    DARK_RIM,
    GREY,
    ORDERS,
    QUARTER_TURN,
    blur_sides,
    mixes_channels,
    moves,
    square_side,
)


def augment(pictures: tf.Tensor, settings: AugmentConfig) -> tf.Tensor:
    """Augment pictures, each with its own random numbers.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, height, width, channels), values 0-1
        All but n must be known when the graph is built.

    Returns
    -------
    tensor of the same shape; brightness, contrast and colour may take values out of 0-1
    """
    n = tf.shape(pictures)[0]
    height, width, channels = pictures.shape[1:]

    def chosen(probability: float) -> tf.Tensor:
        return tf.random.uniform([n]) < probability if 0 < probability < 1 else tf.fill([n], probability == 1)

    def draw(probability: float, most: float, count: int = 1) -> tf.Tensor:
        if not probability:
            return tf.zeros([count, n])
        amounts = tf.random.uniform([count, n], -most, most)
        return tf.where(chosen(probability), amounts, 0.0)

    if settings.background_probability:
        ground, replaced = backgrounds(n, height, width, channels), chosen(settings.background_probability)
        pictures = replace_background(pictures, ground, replaced, settings.background_darkness)
    if moves(settings):
        angle = draw(settings.rotation_probability, math.radians(settings.rotation_degrees))[0]
        scale = 1.0 + draw(settings.scale_probability, settings.scale)[0]
        shear = draw(settings.shear_probability, settings.shear)[0]
        shift = draw(settings.shift_probability, settings.shift, count=2)
        pictures = move(pictures, angle, scale, shear, shift, chosen(settings.flip_probability))
    contrast = 1.0 + draw(settings.contrast_probability, settings.contrast)[0]
    brightness = draw(settings.brightness_probability, settings.brightness)[0]
    if mixes_channels(settings, channels):
        hue = draw(settings.hue_probability, math.radians(settings.hue_degrees))[0]
        saturation = 1.0 + draw(settings.saturation_probability, settings.saturation)[0]
        order = tf.random.uniform([n], 1, len(ORDERS), tf.int32)
        order = tf.where(chosen(settings.channel_shuffle_probability), order, 0)
        pictures = recolour(pictures, contrast, brightness, colour_matrices(hue, saturation, order))
    elif settings.contrast_probability or settings.brightness_probability:
        pictures = recolour(pictures, contrast, brightness)
    if settings.blur_probability:
        sides = blur_sides(settings)
        side = tf.gather(sides, tf.random.uniform([n], 0, len(sides), tf.int32))
        pictures = blur(pictures, tf.where(chosen(settings.blur_probability), side, 1))
    if settings.coarse_dropout_probability:
        count = tf.random.uniform([n], settings.holes_least, settings.holes_most + 1, tf.int32)
        count = tf.where(chosen(settings.coarse_dropout_probability), count, 0)
        pictures = tf.where(holes(count, height, width, settings), 0.0, pictures)
    return tf.ensure_shape(pictures, [None, height, width, channels])


def move(
    pictures: tf.Tensor, angle: tf.Tensor, scale: tf.Tensor, shear: tf.Tensor, shift: tf.Tensor, flip: tf.Tensor
) -> tf.Tensor:
    """Resample pictures by affine maps about their middle.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, height, width, channels)
    angle, scale, shear : tensor of float32, shape (n,)
        Radians; pixels of the input for each of the output; horizontal shift for each pixel of height.
    shift : tensor of float32, shape (2, n)
        Shares of the width and of the height.
    flip : tensor of bool, shape (n,)
        Whether the picture is mirrored left to right.
    """
    height, width = pictures.shape[1:3]
    cosine, sine = tf.cos(angle) * scale, tf.sin(angle) * scale
    # Output (x, y) reads input (a x + b y + c, d x + e y + f).
    side = tf.where(flip, -1.0, 1.0)
    a, b, d, e = cosine * side, (shear - sine) * side, sine, cosine
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    c = middle_x - a * middle_x - b * middle_y + shift[0] * width * side
    f = middle_y - d * middle_x - e * middle_y + shift[1] * height
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def colour_matrices(hue: tf.Tensor, saturation: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Build the linear maps of the RGB channels.

    Parameters
    ----------
    hue, saturation : tensor of float32, shape (n,)
        Radians; factor.
    order : tensor of int32, shape (n,)
        Places in `ORDERS`.

    Returns
    -------
    tensor of float32, shape (n, 3, 3): from input to output channels
    """
    along, across = saturation * tf.cos(hue), saturation * tf.sin(hue)
    turned = GREY + tf.reshape(along, [-1, 1, 1]) * COLOUR + tf.reshape(across, [-1, 1, 1]) * QUARTER_TURN
    return tf.gather(ORDERS, order) @ turned


def recolour(
    pictures: tf.Tensor, contrast: tf.Tensor, brightness: tf.Tensor, matrices: tf.Tensor | None = None
) -> tf.Tensor:
    """Map the channels of each picture linearly.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, height, width, channels)
    contrast, brightness : tensor of float32, shape (n,)
        Factor about 0.5; offset.
    matrices : tensor of float32, shape (n, 3, 3), optional
        See `colour_matrices`.
    """
    offset = brightness + 0.5 - 0.5 * contrast
    if matrices is None:
        return pictures * _a_picture(contrast) + _a_picture(offset)
    height, width = pictures.shape[1:3]
    pixels = tf.reshape(pictures, [-1, height * width, 3])
    mixed = tf.matmul(pixels, matrices * tf.reshape(contrast, [-1, 1, 1]), transpose_b=True)
    return tf.reshape(mixed + tf.reshape(offset, [-1, 1, 1]), [-1, height, width, 3])


def blur(pictures: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Blur pictures by the mean over a square of pixels.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, height, width, channels)
    sides : tensor of int32, shape (n,)
        1, 3, 5 or 7; 1 changes nothing.
    """
    height, width, channels = pictures.shape[1:]
    distance = tf.abs(tf.range(-3, 4))
    sides = tf.repeat(sides, channels)
    line = tf.where(2 * distance[:, None] < sides, 1.0 / tf.cast(sides, tf.float32), 0.0)
    # All channels of all pictures become channels of one picture, each with its own kernel.
    padded = tf.pad(pictures, [[0, 0], [3, 3], [3, 3], [0, 0]], "REFLECT")
    merged = tf.reshape(tf.transpose(padded, [1, 2, 0, 3]), [1, height + 6, width + 6, tf.size(sides)])
    merged = tf.nn.depthwise_conv2d(merged, line[:, None, :, None], [1, 1, 1, 1], "VALID")
    merged = tf.nn.depthwise_conv2d(merged, line[None, :, :, None], [1, 1, 1, 1], "VALID")
    return tf.transpose(tf.reshape(merged, [height, width, -1, channels]), [2, 0, 1, 3])


def holes(count: tf.Tensor, height: int, width: int, settings: AugmentConfig) -> tf.Tensor:
    """Draw masks of rectangular holes.

    Parameters
    ----------
    count : tensor of int32, shape (n,)
        Holes of each picture.

    Returns
    -------
    tensor of bool, shape (n, height, width, 1): True in holes
    """
    n, most = tf.size(count), settings.holes_most

    def spans(side: int) -> tf.Tensor:
        size = tf.random.uniform([n, most, 1], settings.hole_size_least, settings.hole_size_most)
        start = tf.random.uniform([n, most, 1]) * (1.0 - size)
        middle = (tf.range(side, dtype=tf.float32) + 0.5) / side
        return (middle >= start) & (middle < start + size)

    exists = tf.range(most) < count[:, None]
    rows, columns = tf.cast(spans(height) & exists[:, :, None], tf.float32), tf.cast(spans(width), tf.float32)
    return (tf.matmul(rows, columns, transpose_a=True) > 0)[..., None]


def replace_background(pictures: tf.Tensor, ground: tf.Tensor, chosen: tf.Tensor, darkness: float) -> tf.Tensor:
    """Replace dark backgrounds of hands.

    Parameters
    ----------
    pictures, ground : tensor of float32, shape (n, height, width, channels)
    chosen : tensor of bool, shape (n,)
    darkness : float
        Brightness below which a pixel may be background.
    """
    side = square_side(*pictures.shape[1:3])
    brightest = tf.reduce_max(pictures, axis=3, keepdims=True)
    dark = tf.cast(brightest < darkness, tf.float32)
    middles = tf.cast(_box_sum(dark, side) > side * side - 0.5, tf.float32)
    ground_share = tf.where(_box_sum(middles, 2 * side + 1) > 0.5, dark * (1.0 - brightest / darkness), 0.0)
    rim = tf.concat([dark[:, 0, :, 0], dark[:, -1, :, 0], dark[:, :, 0, 0], dark[:, :, -1, 0]], axis=1)
    studio = tf.reduce_mean(rim, axis=1) >= DARK_RIM
    return pictures + tf.where(_a_picture(chosen & studio), ground_share, 0.0) * ground


def backgrounds(n: tf.Tensor, height: int, width: int, channels: int) -> tf.Tensor:
    """Draw backgrounds: each a plain colour, a gradient or noise, shape (n, height, width, channels), values 0-1."""
    kind = _a_picture(tf.random.uniform([n], 0, 3, tf.int32))
    corners = tf.random.uniform([n, 2, 2, channels])
    corners = tf.where(kind == 0, corners[:, :1, :1], corners)
    smooth = tf.image.resize(corners, [height, width])
    return tf.where(kind == 2, tf.random.uniform(tf.shape(smooth)), smooth)


def _box_sum(values: tf.Tensor, side: int) -> tf.Tensor:
    """Sum over the square around each pixel, shape (n, height, width, 1); outside the picture values are 0."""
    columns = tf.nn.conv2d(values, tf.ones([side, 1, 1, 1]), 1, "SAME")
    return tf.nn.conv2d(columns, tf.ones([1, side, 1, 1]), 1, "SAME")


def _a_picture(values: tf.Tensor) -> tf.Tensor:
    """Reshape (n,) to (n, 1, 1, 1)."""
    return tf.reshape(values, [-1, 1, 1, 1])

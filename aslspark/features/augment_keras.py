"""Small random changes of a batch of pictures, in TensorFlow.

Each picture is turned, scaled and shifted by one resampling, and its brightness and contrast moved, by amounts
drawn for it alone. `augment_torch` does the same in torch.
"""

from __future__ import annotations

import math

import tensorflow as tf

from aslspark.features.augmentation import BRIGHTNESS, CONTRAST, SCALE, SHEAR, SHIFT, TURN_DEGREES


def augment(pictures: tf.Tensor) -> tf.Tensor:
    """Change pictures a little.

    Parameters
    ----------
    pictures : tensor of float32, shape (n, height, width, channels), values 0-1

    Returns
    -------
    tensor of the same shape; values may leave 0-1 a little
    """
    shape = tf.shape(pictures)
    n, height, width = shape[0], tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32)

    def draw(most: float) -> tf.Tensor:
        return tf.random.uniform([n], -most, most)

    angle, scale, shear = draw(math.radians(TURN_DEGREES)), 1.0 + draw(SCALE), draw(SHEAR)
    cosine, sine = tf.cos(angle) * scale, tf.sin(angle) * scale
    # Output (x, y) reads input (a x + b y + c, d x + e y + f); turned about the middle of the picture.
    a, b, d, e = cosine, shear - sine, sine, cosine
    middle_x, middle_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    c = middle_x - a * middle_x - b * middle_y + draw(SHIFT) * width
    f = middle_y - d * middle_x - e * middle_y + draw(SHIFT) * height
    zero = tf.zeros_like(a)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    contrast, brightness = 1.0 + draw(CONTRAST), draw(BRIGHTNESS)
    per_picture = [-1, 1, 1, 1]
    moved = (moved - 0.5) * tf.reshape(contrast, per_picture) + 0.5 + tf.reshape(brightness, per_picture)
    return tf.ensure_shape(moved, pictures.shape)

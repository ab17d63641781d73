"""Sizes -> networks in Keras: this package's small ones, and those of keras.applications.

They take float32 pictures (n, height, width, channels) of 0-1, landmarks (n, FEATURES), or both in this order, and give
probabilities (n, classes). They have Keras' own layers alone, so that their files need no code. The nested model
`backbone` computes features (n, features); the layers after it are the head.
"""

from __future__ import annotations

import tensorflow as tf

from aslspark.common.catalog import JOINED_UNITS, LANDMARK_WIDTHS, LANDMARKS, PICTURE
from aslspark.features.landmarks import FEATURES

BACKBONE = "backbone"

_APPLICATIONS = {"resnet50": "ResNet50", "mobilenet_v2": "MobileNetV2"}


def small_cnn(
    shape: tuple[int, int, int], classes: int, dropout: float, hidden: int, widths: tuple[int, ...]
) -> tf.keras.Model:
    """Build the small network: each stage has a convolution of stride 2 and, but for the first, a residual one."""
    inside = tf.keras.layers.Input(shape)
    backbone = tf.keras.Model(inside, _small_features(inside, widths), name=BACKBONE)
    picture = tf.keras.layers.Input(shape, name=PICTURE)
    return _with_head(picture, backbone(picture), classes, dropout, hidden, "small_cnn")


def _small_features(picture: tf.Tensor, widths: tuple[int, ...]) -> tf.Tensor:
    layers = tf.keras.layers
    outputs = picture
    for stage, width in enumerate(widths):
        outputs = _convolution(outputs, width, strides=2)
        if stage:
            outputs = layers.Add()([outputs, _convolution(outputs, width, strides=1)])
    return layers.GlobalAveragePooling2D()(outputs)


def landmark_net(classes: int, dropout: float, hidden: int) -> tf.keras.Model:
    """Build the dense network over landmarks."""
    inside = tf.keras.layers.Input((FEATURES,))
    backbone = tf.keras.Model(inside, _landmark_features(inside, dropout), name=BACKBONE)
    landmarks = tf.keras.layers.Input((FEATURES,), name=LANDMARKS)
    return _with_head(landmarks, backbone(landmarks), classes, dropout, hidden, "landmark_net")


def two_branch(
    shape: tuple[int, int, int], classes: int, dropout: float, hidden: int, widths: tuple[int, ...]
) -> tf.keras.Model:
    """Build the network with the branches of `small_cnn` for pictures and of `landmark_net` for landmarks."""
    layers = tf.keras.layers
    inside = [layers.Input(shape), layers.Input((FEATURES,))]
    features = layers.Concatenate()([_small_features(inside[0], widths), _landmark_features(inside[1], dropout)])
    backbone = tf.keras.Model(inside, features, name=BACKBONE)
    inputs = [layers.Input(shape, name=PICTURE), layers.Input((FEATURES,), name=LANDMARKS)]
    return _with_head(inputs, backbone(inputs), classes, dropout, hidden or JOINED_UNITS, "two_branch")


def _landmark_features(landmarks: tf.Tensor, dropout: float) -> tf.Tensor:
    layers = tf.keras.layers
    outputs = landmarks
    for place, width in enumerate(LANDMARK_WIDTHS):
        if place:
            outputs = layers.Dropout(dropout)(outputs)
        outputs = _normalised(layers.Dense(width, use_bias=False)(outputs))
    return outputs


def _convolution(inputs: tf.Tensor, width: int, strides: int) -> tf.Tensor:
    return _normalised(tf.keras.layers.Conv2D(width, 3, strides=strides, padding="same", use_bias=False)(inputs))


def _normalised(outputs: tf.Tensor) -> tf.Tensor:
    layers = tf.keras.layers
    # torch's defaults: with Keras' momentum of 0.99 the statistics lag behind the weights for hundreds of steps.
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(outputs))


def application(
    name: str, shape: tuple[int, int, int], classes: int, dropout: float, hidden: int, weights: str | None = None
) -> tf.keras.Model:
    """Build a network of keras.applications with this package's head.

    Parameters
    ----------
    name : {'resnet50', 'mobilenet_v2'}
    shape, classes, dropout, hidden
        See `keras_network.build`.
    weights : {None, 'imagenet'}
        Random, or downloaded by Keras.
    """
    layers = tf.keras.layers
    colours = (*shape[:2], 3)
    make = getattr(tf.keras.applications, _APPLICATIONS[name])
    made = make(include_top=False, weights=weights, input_shape=colours, pooling="avg")
    backbone = tf.keras.Model(made.input, made.output, name=BACKBONE)
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            # The defaults are up to 0.999: after some hundred steps, validation would still use the initial statistics.
            layer.momentum = 0.9
    picture = layers.Input(shape, name=PICTURE)
    inputs = layers.Concatenate()([picture] * 3) if shape[2] == 1 else picture
    return _with_head(picture, backbone(_as_pretrained(name, inputs)), classes, dropout, hidden, name)


def _as_pretrained(name: str, pictures: tf.Tensor) -> tf.Tensor:
    """Convert RGB of 0-1 as the library's `preprocess_input` converts RGB of 0-255."""
    if name == "mobilenet_v2":
        return tf.keras.layers.Rescaling(2.0, offset=-1.0)(pictures)
    blue_first = tf.reverse(pictures, axis=[-1])
    return tf.keras.layers.Rescaling(255.0, offset=[-103.939, -116.779, -123.68])(blue_first)


def _with_head(
    inputs: tf.Tensor | list[tf.Tensor], features: tf.Tensor, classes: int, dropout: float, hidden: int, name: str
) -> tf.keras.Model:
    layers = tf.keras.layers
    outputs = layers.Dropout(dropout)(features)
    if hidden:
        outputs = layers.Dropout(dropout)(layers.Dense(hidden, activation="relu")(outputs))
    outputs = layers.Dense(classes, activation="softmax", name="probability")(outputs)
    return tf.keras.Model(inputs, outputs, name=name)

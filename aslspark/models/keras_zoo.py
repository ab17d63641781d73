"""Sizes -> networks in Keras: this package's small ones, and those of keras.applications.

They take float32 pictures (n, height, width, channels) of 0-1, landmarks (n, FEATURES), or both in this order, and give
probabilities (n, classes). They have Keras' own layers alone, so that their files need no code. The nested model
`backbone` computes features (n, features); the layers after it are the head.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import tensorflow as tf

from aslspark.common.catalog import LANDMARK_WIDTHS, LANDMARKS, PICTURE, sides_of_cnn
from aslspark.features.landmarks import FEATURES
from aslspark.models.network_builders import NetworkSizes, network

BACKBONE = "backbone"

_APPLICATIONS = {"resnet50": "ResNet50", "mobilenet_v2": "MobileNetV2"}


@network("keras", "cnn")
def cnn(sizes: NetworkSizes) -> tf.keras.Model:
    """Build the plain CNN: three convolutions with pooling, and a dense layer."""
    layers = tf.keras.layers
    sides_of_cnn(sizes.shape, sizes.kernels)
    channels, kernels = sizes.channels, sizes.kernels
    inside = [
        layers.Conv2D(channels[0], kernels[0], activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(channels[1], kernels[1], activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(sizes.dropout),
        layers.Conv2D(channels[2], kernels[2], activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(sizes.dropout),
        layers.Flatten(),
        layers.Dense(sizes.hidden, activation="relu"),
        layers.Dropout(sizes.dropout),
        layers.Dense(sizes.classes, activation="softmax", name="probability"),
    ]
    picture = layers.Input(sizes.shape, name=PICTURE)
    return tf.keras.Model(picture, reduce(lambda outputs, layer: layer(outputs), inside, picture), name=sizes.name)


@network("keras", "small_cnn")
def small_cnn(sizes: NetworkSizes) -> tf.keras.Model:
    """Build the small network: each stage has a convolution of stride 2 and, but for the first, a residual one."""
    inside = tf.keras.layers.Input(sizes.shape)
    backbone = tf.keras.Model(inside, _small_features(inside, sizes.channels), name=BACKBONE)
    picture = tf.keras.layers.Input(sizes.shape, name=PICTURE)
    return _with_head(picture, backbone(picture), sizes)


def _small_features(picture: tf.Tensor, widths: tuple[int, ...]) -> tf.Tensor:
    layers = tf.keras.layers
    outputs = picture
    for stage, width in enumerate(widths):
        outputs = _convolution(outputs, width, strides=2)
        if stage:
            outputs = layers.Add()([outputs, _convolution(outputs, width, strides=1)])
    return layers.GlobalAveragePooling2D()(outputs)


@network("keras", "landmark_net")
def landmark_net(sizes: NetworkSizes) -> tf.keras.Model:
    """Build the dense network over landmarks."""
    inside = tf.keras.layers.Input((FEATURES,))
    backbone = tf.keras.Model(inside, _landmark_features(inside, sizes.dropout), name=BACKBONE)
    landmarks = tf.keras.layers.Input((FEATURES,), name=LANDMARKS)
    return _with_head(landmarks, backbone(landmarks), sizes)


@network("keras", "two_branch")
def two_branch(sizes: NetworkSizes) -> tf.keras.Model:
    """Build the network with the branches of `small_cnn` for pictures and of `landmark_net` for landmarks."""
    layers = tf.keras.layers
    inside = [layers.Input(sizes.shape), layers.Input((FEATURES,))]
    branches = [_small_features(inside[0], sizes.channels), _landmark_features(inside[1], sizes.dropout)]
    features = layers.Concatenate()(branches)
    backbone = tf.keras.Model(inside, features, name=BACKBONE)
    inputs = [layers.Input(sizes.shape, name=PICTURE), layers.Input((FEATURES,), name=LANDMARKS)]
    return _with_head(inputs, backbone(inputs), sizes)


@network("keras", "pooled_cnn")
def pooled_cnn(sizes: NetworkSizes) -> tf.keras.Model:
    """Build the network for tables of pixels: as `small_cnn`, but stages end in pooling, and the head sees places."""
    layers = tf.keras.layers
    inside = layers.Input(sizes.shape)
    outputs = inside
    for stage, width in enumerate(sizes.channels):
        outputs = layers.MaxPooling2D()(_convolution(outputs, width, strides=1))
        if stage:
            outputs = layers.Add()([outputs, _convolution(outputs, width, strides=1)])
    backbone = tf.keras.Model(inside, layers.Flatten()(outputs), name=BACKBONE)
    picture = layers.Input(sizes.shape, name=PICTURE)
    features = layers.Dropout(sizes.dropout)(backbone(picture))
    # Normalised, since many of the units would die in the first steps.
    features = _normalised(layers.Dense(sizes.hidden, use_bias=False)(features))
    return _with_head(picture, features, replace(sizes, hidden=0))


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


@network("keras", *_APPLICATIONS)
def application(sizes: NetworkSizes) -> tf.keras.Model:
    """Build a network of keras.applications with this package's head."""
    layers = tf.keras.layers
    colours = (*sizes.shape[:2], 3)
    make = getattr(tf.keras.applications, _APPLICATIONS[sizes.name])
    weights = "imagenet" if sizes.imagenet else None
    library_model = make(include_top=False, weights=weights, input_shape=colours, pooling="avg")
    backbone = tf.keras.Model(library_model.input, library_model.output, name=BACKBONE)
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            # The defaults are up to 0.999: after some hundred steps, validation would still use the initial statistics.
            layer.momentum = 0.9
    picture = layers.Input(sizes.shape, name=PICTURE)
    inputs = layers.Concatenate()([picture] * 3) if sizes.shape[2] == 1 else picture
    return _with_head(picture, backbone(_as_pretrained(sizes.name, inputs)), sizes)


def _as_pretrained(name: str, pictures: tf.Tensor) -> tf.Tensor:
    """Convert RGB of 0-1 as the library's `preprocess_input` converts RGB of 0-255."""
    if name == "mobilenet_v2":
        return tf.keras.layers.Rescaling(2.0, offset=-1.0)(pictures)
    # Keras 3 has operations of its own for what its layers give; before, TensorFlow's were taken.
    ops = getattr(tf.keras, "ops", None)
    blue_first = ops.flip(pictures, axis=-1) if ops else tf.reverse(pictures, axis=[-1])
    return tf.keras.layers.Rescaling(255.0, offset=[-103.939, -116.779, -123.68])(blue_first)


def _with_head(inputs: tf.Tensor | list[tf.Tensor], features: tf.Tensor, sizes: NetworkSizes) -> tf.keras.Model:
    layers = tf.keras.layers
    outputs = layers.Dropout(sizes.dropout)(features)
    if sizes.hidden:
        outputs = layers.Dropout(sizes.dropout)(layers.Dense(sizes.hidden, activation="relu")(outputs))
    outputs = layers.Dense(sizes.classes, activation="softmax", name="probability")(outputs)
    return tf.keras.Model(inputs, outputs, name=sizes.name)

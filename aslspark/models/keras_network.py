"""A name and sizes -> a network in Keras; a network -> its file, its ONNX export and its parts.

A network takes float32 pictures of shape (n, height, width, channels) with values 0-1, landmarks of shape
(n, FEATURES), or both, and gives probabilities of shape (n, classes).
"""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import tensorflow as tf

from aslspark.common.catalog import PICTURE, inputs_of
from aslspark.common.errors import AslsparkError
from aslspark.models import keras_zoo
from aslspark.models.network_builders import build_network

OPSET = 17
build = partial(build_network, "keras")


def input_shapes(model: tf.keras.Model) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's inputs, without n, by their names in `aslspark.common.catalog`, in its order."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    return {name: shape[1:] for name, shape in zip(inputs_of(shapes), shapes, strict=True)}


def backbone_of(model: tf.keras.Model) -> tf.keras.Model:
    """Return the part of a network from inputs to features; it shares the network's layers."""
    for layer in model.layers:
        if layer.name == keras_zoo.BACKBONE:
            return layer
        if isinstance(layer, tf.keras.layers.Flatten):
            return tf.keras.Model(model.inputs if len(model.inputs) > 1 else model.inputs[0], layer.input)
    raise AslsparkError(f"{model.name}: no network of this package: it has no backbone")


def freeze(model: tf.keras.Model) -> None:
    """Train the head only; BatchNorm in the backbone then works as in inference."""
    set_trainable(backbone_of(model), False)


def set_trainable(model: tf.keras.Model, value: bool) -> None:
    """Freeze or thaw each layer: Keras 3 leaves most layers of a nested network as they were, and does not say so."""
    model.trainable = value
    for layer in _all_layers(model):
        layer.trainable = value


def _all_layers(model: tf.keras.Model) -> Iterator[tf.keras.layers.Layer]:
    """Go over a network's layers, nested networks and the layers in these among them."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, tf.keras.Model):
            yield from _all_layers(layer)


def _statistics(model: tf.keras.Model, trained: bool) -> list[tf.Variable]:
    layers = [layer for layer in _all_layers(model) if isinstance(layer, tf.keras.layers.BatchNormalization)]
    chosen = [layer for layer in layers if layer.trainable or not trained]
    return [variable for layer in chosen for variable in (layer.moving_mean, layer.moving_variance)]


def moving_statistics(model: tf.keras.Model) -> list[tf.Variable]:
    """Return the moving means and variances of the BatchNorm layers that are trained."""
    return _statistics(model, trained=True)


def count_parameters(model: tf.keras.Model) -> int:
    """Count the parameters without BatchNorm's statistics, as torch does."""
    return int(model.count_params()) - sum(int(math.prod(each.shape)) for each in _statistics(model, trained=False))


def scale(pictures: tf.Tensor, stretch: bool) -> tf.Tensor:
    """Scale uint8 pictures to 0-1: `aslspark.features.scaling.scale` in TensorFlow."""
    numbers = tf.cast(pictures, tf.float32)
    if not stretch:
        return numbers / 255.0
    low = tf.reduce_min(numbers, axis=[1, 2, 3], keepdims=True)
    high = tf.reduce_max(numbers, axis=[1, 2, 3], keepdims=True)
    return (numbers - low) / tf.maximum(high - low, 1.0)


def save(model: tf.keras.Model, folder: Path) -> str:
    """Write the network in Keras' format, and return the file's name."""
    name = "network.keras"
    # A clone without the optimizer, which is no part of the finished model.
    clone = tf.keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory(prefix="aslspark-") as scratch:  # Keras seeks in the file while it writes
        # By the ending alone Keras 2 chooses HDF5 from the second time on, where another thread than this imported it.
        # Keras 3 has this format alone, and no such parameter.
        by_name = "save_format" in signature(clone.save).parameters
        clone.save(Path(scratch) / name, **({"save_format": "keras_v3"} if by_name else {}))
        shutil.copyfile(Path(scratch) / name, folder / name)
    return name


def to_onnx(model: tf.keras.Model, stretch: bool) -> bytes:
    """Export the network, scaling included, as ONNX.

    By tf2onnx, which Keras' own ``model.export(format="onnx")`` calls as well, for the network alone.

    Returns
    -------
    bytes
        Of a model with the inputs of the network (``picture``, uint8 (n, height, width, channels); ``landmarks``,
        float32 (n, FEATURES)) and the output ``probability``, float32 (n, classes).
    """
    import tf2onnx

    names = input_shapes(model)
    inputs = [
        tf.TensorSpec([None, *shape], tf.uint8 if name == PICTURE else tf.float32, name=name)
        for name, shape in names.items()
    ]

    def network(*arguments: tf.Tensor) -> dict[str, Any]:
        ready = [
            scale(value, stretch) if name == PICTURE else value for name, value in zip(names, arguments, strict=True)
        ]
        return {"probability": model(ready if len(ready) > 1 else ready[0], training=False)}

    graph = tf.function(network, input_signature=inputs, autograph=False)
    exported, _ = tf2onnx.convert.from_function(graph, input_signature=inputs, opset=OPSET)
    return bytes(exported.SerializeToString())


def to_tflite(model: tf.keras.Model, stretch: bool) -> bytes:
    """Export the network, scaling included, as TensorFlow Lite.

    Returns
    -------
    bytes
        Of a model whose one signature has the inputs and the output of `to_onnx`.
    """
    layers = tf.keras.layers
    inputs = [
        tf.keras.Input(shape, dtype="uint8" if name == PICTURE else "float32", name=name)
        for name, shape in input_shapes(model).items()
    ]
    ready = [
        layers.Lambda(lambda pictures: scale(pictures, stretch), output_shape=tuple(value.shape[1:]))(value)
        if value.dtype == "uint8"
        else value
        for value in inputs
    ]
    given = model(ready if len(ready) > 1 else ready[0], training=False)
    whole = tf.keras.Model(inputs if len(inputs) > 1 else inputs[0], {"probability": given})
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints the number of each weight
        return bytes(tf.lite.TFLiteConverter.from_keras_model(whole).convert())

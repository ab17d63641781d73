"""Networks in Keras: built by name, saved, exported to ONNX.

Every network takes float32 pictures of shape (n, height, width, channels) with values 0-1, and gives
probabilities of shape (n, classes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from aslspark.errors import AslsparkError

OPSET = 17


def build(name: str, shape: tuple[int, int, int], classes: int, dropout: float) -> tf.keras.Model:
    """Build a network by its name.

    Parameters
    ----------
    name : {'cnn'}
    shape : (int, int, int)
        Height, width and channels of the pictures; at least 28x28 for 'cnn'.
    classes : int
    dropout : float
    """
    if name != "cnn":
        raise AslsparkError(f"network.name={name}: there is no such network in Keras; choose cnn")
    if min(shape[:2]) < 28:
        raise AslsparkError(f"network.name=cnn: pictures of {shape[0]}x{shape[1]} are too small; give 28x28 or more")
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input(shape, name="picture"),
            layers.Conv2D(32, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(dropout),
            layers.Conv2D(128, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(classes, activation="softmax", name="probability"),
        ],
        name=name,
    )


def scale(pictures: tf.Tensor, stretch: bool) -> tf.Tensor:
    """Scale uint8 pictures to 0-1: `aslspark.features.scaling.scale` in TensorFlow."""
    numbers = tf.cast(pictures, tf.float32)
    if not stretch:
        return numbers / 255.0
    low = tf.reduce_min(numbers, axis=[1, 2, 3], keepdims=True)
    high = tf.reduce_max(numbers, axis=[1, 2, 3], keepdims=True)
    return (numbers - low) / tf.maximum(high - low, 1.0)


def save(model: tf.keras.Model, folder: Path) -> str:
    """Write the network in Keras' own format and return the file's name."""
    name = "network.keras"
    # Without the optimizer: it belongs to the run, not to the finished model.
    bare = tf.keras.models.clone_model(model)
    bare.set_weights(model.get_weights())
    bare.save(folder / name)
    return name


def to_onnx(model: tf.keras.Model, stretch: bool) -> bytes:
    """Export the network, scaling included, as ONNX.

    Returns
    -------
    bytes
        Of a model with the input ``picture``, uint8 (n, height, width, channels), and the output
        ``probability``, float32 (n, classes).
    """
    import tf2onnx

    shape = model.input_shape[1:]

    @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.uint8, name="picture")])
    def network(picture: tf.Tensor) -> dict[str, Any]:
        return {"probability": model(scale(picture, stretch), training=False)}

    exported, _ = tf2onnx.convert.from_function(network, input_signature=network.input_signature, opset=OPSET)
    return bytes(exported.SerializeToString())

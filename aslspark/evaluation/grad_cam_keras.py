"""A bundle's Keras network and pictures -> what Grad-CAM needs of them. Imports nothing of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from aslspark.common.errors import AslsparkError
from aslspark.common.load_refused import LoadRefused
from aslspark.evaluation.grad_cam_maps import Explained, chosen_map
from aslspark.models.keras_files import load_model

Seen = list[tuple[bool, tf.Tensor]]


def load(content: bytes, manifest: dict[str, Any], where: str) -> tf.keras.Model:
    """Load the network of a bundle from the bytes of its file; one with code in it is refused, as `where`."""
    try:
        return load_model(content)
    except LoadRefused as refused:
        raise AslsparkError(f"{where}: {refused}; copy the bundle again from where it was trained") from refused


def explain(
    network: tf.keras.Model, pictures: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32] | None = None
) -> Explained:
    """Follow the network's answers back to the maps of its last convolution; see `grad_cam_maps.chosen_map`.

    Parameters
    ----------
    network : tf.keras.Model
        From pictures (n, height, width, channels), and perhaps landmarks, to probabilities (n, classes).
    pictures : ndarray of float32, shape (n, height, width, channels)
    landmarks : ndarray of float32, shape (n, FEATURES), optional
        Where the network takes them beside the pictures.

    Raises
    ------
    AslsparkError
        Where the last layer is no softmax whose logits can be had.
    """
    last = network.layers[-1]
    if getattr(last, "activation", None) is not tf.keras.activations.softmax:
        raise AslsparkError(f"{network.name}: its last layer {last.name} has no softmax activation to look behind")
    inputs = tf.constant(pictures)
    seen: Seen = []
    telling = _telling(network, seen)
    with tf.GradientTape() as tape:
        tape.watch(inputs)  # gradients flow even where a network was frozen
        # The paper follows logits: where the network is sure, probabilities hardly depend on anything.
        last.activation = tf.keras.activations.linear
        try:
            logits = telling(inputs if landmarks is None else [inputs, landmarks], training=False)
        finally:
            last.activation = tf.keras.activations.softmax
        best = tf.reduce_sum(tf.reduce_max(logits, axis=1))
    place = chosen_map([(is_convolution, (maps.shape[1], maps.shape[2])) for is_convolution, maps in seen])
    maps = seen[place][1]
    gradients = tape.gradient(best, maps)
    return Explained(maps.numpy(), gradients.numpy(), np.argmax(logits.numpy(), axis=1))


def _telling(network: tf.keras.Model, seen: Seen) -> tf.keras.Model:
    """Copy a network, whose layers then say what they put out, in the order in which they run; nested ones too."""

    def telling(layer: Any) -> Any:
        return _telling(layer, seen) if isinstance(layer, tf.keras.Model) else _Telling(layer, seen)

    copy = tf.keras.models.clone_model(network, clone_function=telling)
    seen.clear()  # of what the copy was made with
    return copy


class _Telling(tf.keras.layers.Layer):
    """Another layer, with its weights, that says what it puts out."""

    def __init__(self, layer: Any, seen: Seen) -> None:
        super().__init__(name=f"{layer.name}_telling")
        self._layer, self._tell = layer, seen.append

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the other does."""
        output = self._layer(*args, **kwargs)
        if tf.is_tensor(output) and output.shape.rank == 4:
            is_convolution = isinstance(self._layer, tf.keras.layers.Conv2D | tf.keras.layers.DepthwiseConv2D)
            self._tell((is_convolution, output))
        return output

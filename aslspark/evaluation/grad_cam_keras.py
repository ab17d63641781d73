"""A bundle's Keras network and pictures -> maps, gradients and answers for Grad-CAM. Imports nothing of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from aslspark.common.errors import AslsparkError
from aslspark.evaluation.grad_cam_maps import Explanation, choose_map

Outputs = list[tuple[bool, tf.Tensor]]
"""Of each layer in the order in which they ran: whether it is a convolution, and its maps."""


def explain(
    network: tf.keras.Model, pictures: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32] | None = None
) -> Explanation:
    """Compute the maps that `grad_cam_maps.choose_map` chooses, and the gradients of the answers' logits there.

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
        Where the last layer has no softmax activation.
    """
    last = network.layers[-1]
    if getattr(last, "activation", None) is not tf.keras.activations.softmax:
        raise AslsparkError(f"{network.name}: its last layer {last.name} has no softmax activation to look behind")
    inputs = tf.constant(pictures)
    outputs: Outputs = []
    recording = _recording(network, outputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)  # gradients flow even where a network was frozen
        # The paper takes logits: where the network is sure, the gradients of probabilities vanish.
        last.activation = tf.keras.activations.linear
        try:
            logits = recording(inputs if landmarks is None else [inputs, tf.constant(landmarks)], training=False)
        finally:
            last.activation = tf.keras.activations.softmax
        best = tf.reduce_sum(tf.reduce_max(logits, axis=1))
    place = choose_map([(is_convolution, (maps.shape[1], maps.shape[2])) for is_convolution, maps in outputs])
    maps = outputs[place][1]
    gradients = tape.gradient(best, maps)
    return Explanation(maps.numpy(), gradients.numpy(), np.argmax(logits.numpy(), axis=1))


def _recording(network: tf.keras.Model, outputs: Outputs) -> tf.keras.Model:
    """Copy a network so that its layers, nested ones too, append their maps to `outputs` as they run."""

    def recording(layer: Any) -> Any:
        return _recording(layer, outputs) if isinstance(layer, tf.keras.Model) else _RecordingLayer(layer, outputs)

    copy = tf.keras.models.clone_model(network, clone_function=recording)
    outputs.clear()  # copying has run the layers once
    return copy


class _RecordingLayer(tf.keras.layers.Layer):
    """Wraps a layer and its weights, and records its maps."""

    def __init__(self, layer: Any, outputs: Outputs) -> None:
        super().__init__(name=f"{layer.name}_recording")
        self._layer, self._record = layer, outputs.append

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the wrapped layer."""
        output = self._layer(*args, **kwargs)
        if tf.is_tensor(output) and output.shape.rank == 4:
            is_convolution = isinstance(self._layer, tf.keras.layers.Conv2D | tf.keras.layers.DepthwiseConv2D)
            self._record((is_convolution, output))
        return output

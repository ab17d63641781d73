"""A Keras network to fit, and what comes of it. Imports nothing of Horovod."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.settings import TrainingConfig
from aslspark.models import keras_network
from aslspark.models.fit_result import FinishedNetwork
from aslspark.training.outputs import require_one_a_class
from aslspark.training.worker import WorkerJob, WorkerResult

PROBABILITIES_WITHIN = 0.01
"""How far from 1 probabilities may add up to."""


@dataclass(frozen=True)
class KerasNetwork:
    """A Keras network with its loss and its optimizer; see `aslspark.training.fit.UnfittedNetwork`."""

    model: Any
    optimizer: Any
    loss: Any

    def spec(self, training: TrainingConfig) -> dict[str, Any]:
        """Put them into terms that the worker takes."""
        weights = self.model.get_weights()
        return {
            "architecture": self.model.to_json(),
            "weights": weights,
            "optimizer": tf.keras.optimizers.serialize(self.optimizer),
            "loss": self.loss,
            "shapes": [list(weight.shape) for weight in weights],
        }

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the network takes, by name; of pictures: height, width, channels."""
        return keras_network.input_shapes(self.model)

    def require_outputs(self, classes: int) -> None:
        """See that it gives a probability a class, and that the loss takes one-hot labels."""
        blank = [np.zeros((1, *shape), np.float32) for shape in self.input_shapes().values()]
        given = self.model(blank if len(blank) > 1 else blank[0], training=False)
        outputs = np.asarray(given[0] if isinstance(given, list | tuple) else given)
        require_one_a_class(outputs.shape, classes)
        if (outputs < 0).any() or abs(outputs.sum() - 1) > PROBABILITIES_WITHIN:
            raise AslsparkError(
                f"model: its outputs of a black picture add up to {outputs.sum():.3g}, so they are no probabilities; "
                'end it with activation="softmax", and leave from_logits out of the loss'
            )
        one_hot = np.eye(1, classes, dtype=np.float32)
        try:
            tf.keras.losses.get(self.loss)(one_hot, outputs)
        except Exception as error:  # a loss may raise anything
            raise AslsparkError(
                f"loss={self.loss}: it does not take one-hot labels ({first_line(error)}); "
                "give 'categorical_crossentropy'"
            ) from error

    def worker(self) -> Callable[[WorkerJob], WorkerResult]:
        """Return the function that each process runs."""
        from aslspark.training import keras_process

        return keras_process.train

    def finished(self, weights: bytes, stretch: bool) -> tuple[FinishedNetwork, bytes]:
        """Build the finished network, and export it as ONNX."""
        from aslspark.training.keras_worker import weights_from_bytes

        model = tf.keras.models.clone_model(self.model)
        model.set_weights(weights_from_bytes(weights))
        keras_network.set_trainable(model, True)  # what was frozen belongs to the run, not to the finished model
        network = FinishedNetwork(
            framework="keras",
            model=model,
            parameters=keras_network.count_parameters(model),
            save=lambda folder: keras_network.save(model, folder),
        )
        return network, keras_network.to_onnx(model, stretch)

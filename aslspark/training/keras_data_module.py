"""Our feed for Horovod's `KerasEstimator`. Imports nothing of torch: one process, one framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import tensorflow as tf

from aslspark.models.keras_network import scale
from aslspark.training.batches import Batch
from aslspark.training.data_module import InPlaceData


class InPlaceKerasData(InPlaceData):
    """Float32 pictures (n, height, width, channels) of 0-1 and one-hot float32 labels (n, classes)."""

    def train_data(self) -> tf.data.Dataset:
        """Give the training batches without end, an epoch after the other."""
        return self._dataset(self._train_batches)

    def val_data(self) -> tf.data.Dataset:
        """Give the validation batches without end, an epoch after the other."""
        return self._dataset(self._val_batches)

    def _dataset(self, batches: Callable[[], Iterator[Batch]]) -> tf.data.Dataset:
        signature = (tf.TensorSpec([None, *self._shape], tf.uint8), tf.TensorSpec([None], tf.int64))
        columns = tf.data.Dataset.from_generator(
            lambda: ((batch.pictures, batch.labels) for batch in batches()), output_signature=signature
        )
        classes = len(self._labels)
        return columns.map(
            lambda pictures, labels: (scale(pictures, self._stretch), tf.one_hot(labels, classes))
        ).prefetch(1)

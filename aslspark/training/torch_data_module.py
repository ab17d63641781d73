"""Our feed for Horovod's `TorchEstimator`. Imports nothing of TensorFlow: one process, one framework."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from aslspark.models.torch_network import scale
from aslspark.training.batches import Batch
from aslspark.training.data_module import InPlaceData


class InPlaceTorchData(InPlaceData):
    """By column name: float32 pictures (n, channels, height, width) of 0-1 and class numbers (n).

    The estimator turns both into float32, so its loss has to turn the class numbers back:
    ``loss=lambda outputs, labels: cross_entropy(outputs, labels.long())``.
    """

    def train_data(self) -> Iterator[dict[str, torch.Tensor]]:
        """Give the training batches without end, an epoch after the other."""
        return map(self._columns, self._train_batches())

    def val_data(self) -> Iterator[dict[str, torch.Tensor]]:
        """Give the validation batches without end, an epoch after the other."""
        return map(self._columns, self._val_batches())

    def _columns(self, batch: Batch) -> dict[str, torch.Tensor]:
        picture_col, label_col = self.schema_fields
        pictures = scale(torch.from_numpy(batch.pictures), self._stretch)
        return {picture_col: pictures, label_col: torch.from_numpy(batch.labels)}

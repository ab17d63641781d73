"""Fits of studies in their own process, without Spark: the package's own steps, with what its launcher would give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.common.catalog import NETWORKS
from aslspark.common.settings import Config
from aslspark.training.torch_fit import TorchNetwork
from aslspark.training.worker import SampleFolders, WorkerJob


def job_in_process(
    unfitted: TorchNetwork, config: Config, labels: tuple[str, ...], shape: tuple[int, int, int] | None
) -> WorkerJob:
    """Describe a fit whose batches the study makes itself.

    Parameters
    ----------
    unfitted : TorchNetwork
        Of `aslspark.training.fit_network.torch_network`.
    config : Config
        `config.training` is of one process.
    labels : tuple of str
    shape : tuple of int, optional
        Height, width and channels of pictures; None for networks of landmarks.
    """
    return WorkerJob(
        spec=unfitted.spec(config.training),
        folders=SampleFolders("", None, labels),
        inputs=NETWORKS[config.network.name].inputs,
        shape=shape,
        training=config.training,
        network=config.network,
        features=config.features,
        augment=config.augment,
        val_batch_size=256,
    )


def source_weights(
    sources: npt.NDArray[Any], chosen: npt.NDArray[np.bool_], are_balanced: bool
) -> npt.NDArray[np.float32]:
    """Return the loss weight of each row, of mean 1 over those that are chosen; where balanced, sources weigh alike."""
    if not are_balanced:
        return np.ones(len(sources), np.float32)
    names, codes, counts = np.unique(sources[chosen], return_inverse=True, return_counts=True)
    weights = np.zeros(len(sources), np.float32)
    weights[chosen] = (chosen.sum() / (len(names) * counts))[codes]
    return weights

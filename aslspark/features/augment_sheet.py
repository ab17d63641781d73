"""Pictures and the settings -> augmented versions of each, for people to look at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aslspark.common.settings import AugmentConfig
from aslspark.features.scaling import scale


def augmented_versions(
    pictures: npt.NDArray[np.uint8],
    settings: AugmentConfig,
    *,
    framework: str,
    stretch: bool,
    seed: int,
    versions: int = 8,
) -> npt.NDArray[np.float32]:
    """Augment pictures as in training.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, channels)
    framework : {'keras', 'torch'}
    stretch : bool
        As in `aslspark.features.scaling.scale`.
    seed : int
        Of the framework's global generator, whose state changes.
    versions : int
        Of each picture.

    Returns
    -------
    ndarray of float32, shape (n, 1 + versions, height, width, channels)
        Scaled pictures, the unchanged one first; values may be slightly out of 0-1.
    """
    scaled = scale(pictures, stretch)
    many = np.repeat(scaled, versions, axis=0)
    if framework == "keras":
        import tensorflow as tf

        from aslspark.features import augment_keras

        tf.random.set_seed(seed)
        changed = augment_keras.augment(tf.constant(many), settings).numpy()
    else:
        import torch

        from aslspark.features import augment_torch

        torch.manual_seed(seed)
        channels_first = torch.from_numpy(many).permute(0, 3, 1, 2)
        changed = augment_torch.augment(channels_first, settings).permute(0, 2, 3, 1).numpy()
    changed = changed.reshape(len(pictures), versions, *pictures.shape[1:])
    return np.concatenate([scaled[:, None], changed], axis=1)

"""Some pictures, each as training changes it: for people to look at before they trust the settings.

In: bytes of pictures, the settings. Out: a number of changed versions of each, from the framework that trains.
"""

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
    """Change pictures as a worker would.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, channels)
    settings : AugmentConfig
    framework : {'keras', 'torch'}
    stretch : bool
        As in `aslspark.features.scaling.scale`.
    seed : int
        Of the framework's own generator, which is left at another place.
    versions : int
        Of each picture.

    Returns
    -------
    ndarray of float32, shape (n, 1 + versions, height, width, channels)
        Scaled pictures, first as they are; values may leave 0-1 a little.
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

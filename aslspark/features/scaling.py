"""uint8 pictures -> numbers of 0-1, in numpy; the versions for Keras and torch are tested against this one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def scale(pictures: npt.NDArray[np.uint8], stretch: bool) -> npt.NDArray[np.float32]:
    """Scale pictures to 0-1.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, channels)
    stretch : bool
        Map each picture's minimum to 0 and its maximum to 1, so that contrast does not depend on the camera; a picture
        of a single value becomes 0. Otherwise divide by 255.

    Returns
    -------
    ndarray of float32, of the same shape
    """
    numbers = pictures.astype(np.float32)
    if not stretch:
        return numbers / np.float32(255)
    over = tuple(range(1, numbers.ndim))
    low = numbers.min(axis=over, keepdims=True)
    span = numbers.max(axis=over, keepdims=True) - low
    scaled: npt.NDArray[np.float32] = (numbers - low) / np.maximum(span, np.float32(1))
    return scaled

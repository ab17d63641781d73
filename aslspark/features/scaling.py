"""Bytes of pictures to numbers from 0 to 1, in numpy: the form that the frameworks' own versions are tested against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def scale(pictures: npt.NDArray[np.uint8], stretch: bool) -> npt.NDArray[np.float32]:
    """Scale pictures to 0-1.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, channels)
    stretch : bool
        Take each picture's own minimum to 0 and its maximum to 1, so that cameras of other contrast are
        comparable; a picture of one single value becomes 0 everywhere. Otherwise divide by 255.

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

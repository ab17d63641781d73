"""Pixels or encoded pictures -> an Arrow column of `samples.PICTURE_TYPE`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aslspark.images.decoding import UNUSABLE


def pixel_bytes(pixels: npt.NDArray[np.uint8]) -> pa.Array:
    """Return the rows of an array as a binary column, which is the array's memory without a copy.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, ...)
        C-contiguous.
    """
    offsets = pa.py_buffer(np.arange(len(pixels) + 1, dtype=np.int32) * math.prod(pixels.shape[1:]))
    return pa.Array.from_buffers(pa.binary(), len(pixels), [None, offsets, pa.py_buffer(pixels)])


def picture_column(
    data: pa.Array, shape: tuple[int, int, int], encoding: str, unusable: pa.Array | None = None
) -> pa.StructArray:
    """Make a column of pictures of one shape.

    Parameters
    ----------
    data : pyarrow.Array of binary
        Pixels, or the bytes of files.
    shape : (int, int, int)
        Height, width and channels.
    encoding : {'raw', 'png', 'jpeg'}
    unusable : pyarrow.Array of string, optional
        Adds the field UNUSABLE: why a picture cannot be used, or null.
    """
    count = len(data)
    columns = [pa.array(np.full(count, size, np.int32)) for size in shape]
    columns += [data, pa.array([encoding] * count, pa.string())]
    names = ["height", "width", "channels", "data", "encoding"]
    if unusable is not None:
        columns, names = [*columns, unusable], [*names, UNUSABLE]
    return pa.StructArray.from_arrays(columns, names=names)

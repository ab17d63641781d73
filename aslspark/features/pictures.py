"""What callers give as pictures -> one uint8 array of the model's shape, and a reason where that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from aslspark.decoding import RAW, Form, Unusable, bring, decode, is_encoded, stored
from aslspark.samples import PICTURE_TYPE

_STRUCT_FIELDS = ("height", "width", "channels", "data")


@dataclass(frozen=True)
class Normaliser:
    """Brings a batch of pictures to one shape.

    Parameters
    ----------
    kind : {'bytes', 'numbers', 'picture', 'image'}
        What a row holds: raw bytes or a file's; an array of 0-255; a struct in RGB; Spark's image struct, in BGR.
    form : Form
        What the model takes.
    """

    kind: str
    form: Form

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels that the model takes."""
        return self.form.shape

    def __call__(self, batch: pd.DataFrame) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """Normalise a batch.

        Parameters
        ----------
        batch : DataFrame
            As pandas_udf gives a struct: `data`, and of structs also `height`, `width`, `channels` and perhaps
            `encoding`.

        Returns
        -------
        ndarray of uint8, shape (n, height, width, channels)
            All 0 where a row could not be used.
        ndarray of object, shape (n,)
            None, or why it could not be used.
        """
        pictures = self._whole(batch)
        if pictures is not None:
            return pictures, np.full(len(pictures), None, object)
        values = self._values(batch)
        pictures = np.zeros((len(values), *self.shape), np.uint8)
        reasons = np.full(len(values), None, object)
        for n, value in enumerate(values):
            result = self._picture(value)
            if isinstance(result, str):
                reasons[n] = result
            else:
                pictures[n] = result
        return pictures, reasons

    def _whole(self, batch: pd.DataFrame) -> npt.NDArray[np.uint8] | None:
        """Take a batch as one array, where every row is as the model wants it; else None."""
        length = int(np.prod(self.shape))
        if "height" in batch and not (
            all((batch[name] == size).all() for name, size in zip(_STRUCT_FIELDS, self.shape, strict=False))
            and (self.kind == "picture" or self.shape[2] == 1)
        ):
            return None
        if "encoding" in batch and not batch["encoding"].isin([None, RAW]).all():
            return None
        data = batch["data"]
        if data.isna().any() or not (data.map(len) == length).all():
            return None
        if self.kind == "bytes" and any(map(is_encoded, data)):
            return None
        if self.kind == "numbers":
            numbers = np.stack(list(data)) if len(data) else np.empty((0, length), np.float32)
            # A comparison with NaN is False, so one test finds those too.
            if not np.all((numbers >= 0) & (numbers <= 255)):
                return None
            return np.rint(numbers).astype(np.uint8).reshape(-1, *self.shape)
        return np.frombuffer(b"".join(data), np.uint8).reshape(-1, *self.shape)

    def _values(self, batch: pd.DataFrame) -> list[Any]:
        if "height" in batch:
            names = [name for name in PICTURE_TYPE.names if name in batch]
            return list(zip(*(batch[name] for name in names), strict=True))
        return list(batch["data"])

    def _picture(self, value: Any) -> npt.NDArray[np.uint8] | str:
        height, width, channels = self.shape
        if self.kind in ("bytes", "numbers"):
            if value is None:
                return "empty"
            if self.kind == "bytes" and is_encoded(value):
                return self._from_file(value)
            if len(value) != height * width * channels:
                needed = f"{height}x{width}x{channels} needs {height * width * channels}"
                return f"wrong size: {len(value)} values where {needed}"
            return self._from_bytes(value) if self.kind == "bytes" else self._from_numbers(value)
        return self._from_struct(*value)

    def _from_file(self, value: bytes) -> npt.NDArray[np.uint8] | str:
        try:
            return decode(value, self.form)
        except Unusable as found:
            if len(value) == int(np.prod(self.shape)):
                return self._from_bytes(value)  # pixels that begin as a JPEG does
            return str(found)

    def _from_bytes(self, value: bytes) -> npt.NDArray[np.uint8]:
        return np.frombuffer(value, np.uint8).reshape(self.shape)

    def _from_numbers(self, value: npt.ArrayLike) -> npt.NDArray[np.uint8] | str:
        numbers = np.asarray(value, np.float32)
        if not np.all(np.isfinite(numbers)):
            return "not a number: a value is missing or not finite"
        if numbers.min() < 0 or numbers.max() > 255:
            return f"out of 0-255: values from {numbers.min():g} to {numbers.max():g}"
        return np.rint(numbers).astype(np.uint8).reshape(self.shape)

    def _from_struct(
        self, height: Any, width: Any, channels: Any, data: Any, encoding: str | None = None
    ) -> npt.NDArray[np.uint8] | str:
        if pd.isna([height, width, channels]).any() or data is None or len(data) == 0:
            return "empty"
        size = (int(height), int(width), int(channels))
        if encoding not in (None, RAW):
            try:
                data = stored(data, encoding, size).tobytes()
            except Unusable as found:
                return str(found)
        if min(size) < 1 or size[0] * size[1] * size[2] != len(data):
            return f"wrong size: {len(data)} bytes where {size[0]}x{size[1]}x{size[2]} needs {np.prod(size)}"
        if size[2] not in (1, 3, 4):
            return f"wrong size: {size[2]} channels; a picture has 1, 3 or 4"
        picture = np.frombuffer(data, np.uint8).reshape(size)
        if self.kind == "image" and size[2] >= 3:
            picture = picture[:, :, [2, 1, 0]]
        return picture if picture.shape == self.shape else fit_picture(picture, self.form)


def fit_picture(picture: npt.NDArray[np.uint8], form: Form) -> npt.NDArray[np.uint8]:
    """Bring bare pixels to a form.

    Parameters
    ----------
    picture : ndarray of uint8, shape (any, any, 1 or 3 or 4)
    form : Form
    """
    from PIL import Image

    return bring(Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture[:, :, :3]), form)

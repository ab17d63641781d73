"""A batch of pictures in any form -> one uint8 array of the model's shape, and a reason for each unusable picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aslspark.data.tables.pixel_layout import NOT_A_NUMBER, as_bytes, problem_with, scaled_rows
from aslspark.images.decoding import (
    EMPTY,
    NO_PICTURE,
    RAW,
    UNUSABLE,
    WRONG_SIZE,
    Unusable,
    as_unusable,
    bare_pixels,
    decode,
    image_of,
    is_encoded,
    resize_to,
    stored,
)
from aslspark.images.hands.find_and_crop import AT_ONCE, FindsHands, find_and_crop, whole_picture
from aslspark.images.hands.hand import Hand
from aslspark.images.image_spec import ImageSpec
from aslspark.images.local_file import read_file

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

_STRUCT_FIELDS = ("height", "width", "channels", "data", "encoding")
"""Of `samples.PICTURE_TYPE`, which is not imported, since a service without Spark uses this module."""

Read = tuple[npt.NDArray[np.uint8], Hand | None]
"""Pixels in the model's shape; the hand, or None where none was looked for."""


@dataclass(frozen=True)
class Normaliser:
    """Converts batches of pictures to the model's shape."""

    kind: str
    """Of a row: 'bytes', raw or a file's; 'file', the path of a local file; 'numbers', an array of 0-255; 'picture', a
    struct in RGB; or 'image', Spark's struct, in BGR."""
    form: ImageSpec
    """Size and colours that the model takes."""
    hands: FindsHands | None = None
    """With it, files and pictures of another size are cropped to their hand; see `with_hands`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels that the model takes."""
        return self.form.shape

    def __call__(self, batch: pd.DataFrame) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """Normalise a batch.

        Parameters
        ----------
        batch : DataFrame
            A struct as pandas_udf gives it: `data`; for structs also `height`, `width`, `channels`, perhaps `encoding`,
            and perhaps UNUSABLE with the reasons of an earlier stage.

        Returns
        -------
        ndarray of uint8, shape (n, height, width, channels)
            All 0 where a row cannot be used.
        ndarray of object, shape (n,)
            None, or why the row cannot be used.
        """
        return self.with_hands(batch)[:2]

    def with_hands(self, batch: pd.DataFrame) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any], list[Hand | None]]:
        """Normalise a batch, and find its hands.

        Returns
        -------
        ndarray of uint8, ndarray of object
            As from a call.
        list of Hand or None
            None where no hand was looked for, or the picture cannot be used.
        """
        reasons = np.full(len(batch), None, object)
        if UNUSABLE in batch:
            reasons = np.where(batch[UNUSABLE].notna(), batch[UNUSABLE], reasons)
        pictures = self._whole(batch)
        if pictures is not None:
            return pictures, reasons, [None] * len(pictures)
        values = self._values(batch)
        pictures = np.zeros((len(values), *self.shape), np.uint8)
        hands: list[Hand | None] = [None] * len(values)
        usable = [n for n, reason in enumerate(reasons) if reason is None]
        for start in range(0, len(usable), AT_ONCE):
            some = usable[start : start + AT_ONCE]
            for n, read in zip(some, self.several([values[n] for n in some]), strict=True):
                if isinstance(read, Unusable):
                    reasons[n] = str(read)
                else:
                    pictures[n], hands[n] = read
        return pictures, reasons, hands

    def _whole(self, batch: pd.DataFrame) -> npt.NDArray[np.uint8] | None:
        """Return a batch as one array where every row has the model's shape already; else None."""
        length = int(np.prod(self.shape))
        if "height" in batch and not (
            all((batch[name] == size).all() for name, size in zip(_STRUCT_FIELDS, self.shape, strict=False))
            and (self.kind == "picture" or self.shape[2] == 1)
        ):
            return None
        if "encoding" in batch and not batch["encoding"].isin([None, RAW]).all():
            return None
        if self.kind == "file":
            return None
        data = batch["data"]
        if self.kind == "bytes" and not all(isinstance(value, bytes | bytearray) for value in data):
            return None
        if data.isna().any() or not (data.map(len) == length).all():
            return None
        if self.kind == "bytes" and not all(map(self._is_raw, data)):
            return None
        if self.kind == "numbers":
            numbers = np.stack(list(data)) if len(data) else np.empty((0, length), np.float32)
            pixels = as_bytes(numbers)
            if pixels is None or scaled_rows(pixels).any():
                return None
            return pixels.reshape(-1, *self.shape)
        return np.frombuffer(b"".join(data), np.uint8).reshape(-1, *self.shape)

    def _values(self, batch: pd.DataFrame) -> list[Any]:
        if "height" in batch:
            names = [name for name in _STRUCT_FIELDS if name in batch]
            return list(zip(*(batch[name] for name in names), strict=True))
        return list(batch["data"])

    def one(self, value: Any) -> Read:
        """Normalise one value of the column, and find its hand; see `several`.

        Raises
        ------
        Unusable
        """
        (read,) = self.several([value])
        if isinstance(read, Unusable):
            raise read
        return read

    def several(self, values: Sequence[Any]) -> list[Read | Unusable]:
        """Normalise values of the column, and find their hands together.

        Returns
        -------
        list of tuple or Unusable
            For each value its pixels, uint8 (height, width, channels), and its `Hand`: None where no hand was looked
            for.
        """
        results: list[Read | Unusable] = []
        whole: list[tuple[int, Image.Image]] = []
        for n, value in enumerate(values):
            try:
                read = self._fitted_or_whole(value)
            except Unusable as error:
                results.append(error)
                continue
            if isinstance(read, np.ndarray):
                results.append((read, None))
            else:
                results.append(Unusable(EMPTY, ""))  # until its hand is looked for
                whole.append((n, read))
        if whole:
            assert self.hands is not None
            cropped = find_and_crop([image for _, image in whole], self.form, self.hands)
            for (n, _), result in zip(whole, cropped, strict=True):
                results[n] = result
        return results

    def _fitted_or_whole(self, value: Any) -> npt.NDArray[np.uint8] | Image.Image:
        """Return pixels of the model's size, or the whole picture where its hand is to be found in it."""
        if self.kind == "file":
            value = read_file(value)
        elif self.kind not in ("bytes", "numbers"):
            return self._from_struct(*value)
        if value is None or (isinstance(value, float) and value != value):
            raise Unusable(EMPTY, "no picture")
        if self.kind != "numbers":
            if not isinstance(value, bytes | bytearray | memoryview):
                raise Unusable(NO_PICTURE, f"{type(value).__name__}; give the bytes of a picture file, or its pixels'")
            data = bytes(value)
            return self._from_bytes(data) if self._is_raw(data) else self._from_file(data)
        return self._from_numbers(value)

    def _from_file(self, value: bytes) -> npt.NDArray[np.uint8] | Image.Image:
        try:
            return whole_picture(value, self.form) if self.hands is not None else decode(value, self.form)
        except Unusable:
            if self._may_be_pixels(value):
                return self._from_bytes(value)  # that begin like a JPEG
            raise

    def _may_be_pixels(self, value: bytes) -> bool:
        """Tell whether bytes are as many as the model's pixels. Nobody sends the one pixel of a model of landmarks."""
        return len(value) == math.prod(self.shape) and self.shape[0] * self.shape[1] > 1

    def _is_raw(self, value: bytes) -> bool:
        return self._may_be_pixels(value) and not is_encoded(value)

    def _from_bytes(self, value: bytes) -> npt.NDArray[np.uint8]:
        return np.frombuffer(value, np.uint8).reshape(self.shape)

    def _from_numbers(self, value: Any) -> npt.NDArray[np.uint8]:
        length = int(np.prod(self.shape))
        if (count := len(value)) != length:
            needed = "x".join(map(str, self.shape))
            raise Unusable(WRONG_SIZE, f"{count} values where {needed} needs {length}")
        try:
            numbers = np.asarray(value, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise Unusable(NOT_A_NUMBER, "a value is no number") from error
        if numbers.ndim != 1:
            raise Unusable(NOT_A_NUMBER, "lists within a list; give the numbers in one")
        if problem := problem_with(numbers):
            raise Unusable(*problem)
        return np.rint(numbers).astype(np.uint8).reshape(self.shape)

    def _from_struct(
        self, height: Any, width: Any, channels: Any, data: Any, encoding: str | None = None
    ) -> npt.NDArray[np.uint8] | Image.Image:
        if encoding in (None, RAW):
            picture = bare_pixels(height, width, channels, data, bgr=self.kind == "image")
        else:
            if (
                data is None
                or len(data) == 0
                or any(size != size or size is None for size in (height, width, channels))
            ):
                raise Unusable(EMPTY, "no bytes")
            picture = stored(bytes(data), encoding, (int(height), int(width), int(channels)))
        if picture.shape == self.shape:
            return picture
        return image_of(picture) if self.hands is not None else fit_picture(picture, self.form)


def fit_picture(picture: npt.NDArray[np.uint8], form: ImageSpec) -> npt.NDArray[np.uint8]:
    """Fit raw pixels to a size and colours.

    Parameters
    ----------
    picture : ndarray of uint8, shape (any, any, 1 or 3)

    Raises
    ------
    Unusable
    """
    with as_unusable():
        return resize_to(image_of(picture), form)

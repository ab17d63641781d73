"""A decoded picture -> pixels in the model's size, cropped to the hand; and the `Hand`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aslspark.images.decoding import ImageSpec, as_unusable, decode_whole, resize_to
from aslspark.images.hands.crop import hand_crop
from aslspark.images.hands.detector_process import shared_detector
from aslspark.images.hands.hand import Hand
from aslspark.images.hands.options import HandOptions

if TYPE_CHECKING:
    from PIL import Image

LEAST_SIDE = 960
"""Least longer side, in pixels, to which a larger JPEG is decoded: small hands must stay sharp."""
MOST_SIDE = 1280
"""Most pixels of the longer side of a picture for the detector."""


def whole_picture(data: bytes | None, form: ImageSpec) -> Image.Image:
    """Decode a picture file for `find_and_crop`; it raises as `decoding.decode` does."""
    return decode_whole(data, form.max_pixels, LEAST_SIDE)


def find_and_crop(
    image: Image.Image,
    form: ImageSpec,
    options: HandOptions,
    find: Callable[[npt.NDArray[np.uint8]], Hand] | None = None,
) -> tuple[npt.NDArray[np.uint8], Hand]:
    """Find the hand in a picture and crop it.

    Parameters
    ----------
    image : Image
        Grey or RGB, of any size.
    form : ImageSpec
        Size and colours of the result; without a hand, the whole picture is fitted to them.
    options : HandOptions
    find : callable, optional
        From a picture to its `Hand`; without it, this process's `shared_detector`.

    Returns
    -------
    ndarray of uint8, shape (height, width, channels)
    Hand

    Raises
    ------
    Unusable
        Where the picture cannot be resized, such as one that is a thousand times as wide as high.
    """
    hand = (find or shared_detector(options))(_for_detector(image))
    with as_unusable():
        if hand.landmarks is not None:
            image = hand_crop(image, hand.landmarks, options, max(form.height, form.width))
        return resize_to(image, form), hand


def _for_detector(image: Image.Image) -> npt.NDArray[np.uint8]:
    from PIL import Image

    image = image.convert("RGB")
    share = MOST_SIDE / max(image.size)
    if share < 1:
        size = (max(1, round(image.size[0] * share)), max(1, round(image.size[1] * share)))
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image)

"""Decoded pictures -> pixels in the model's size, cropped to the hand; and the `Hand` of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from aslspark.images.decoding import Unusable, as_unusable, decode_whole, resize_to
from aslspark.images.hands.crop import hand_crop
from aslspark.images.hands.hand import Hand
from aslspark.images.hands.options import HandOptions
from aslspark.images.image_spec import ImageSpec

if TYPE_CHECKING:
    from PIL import Image

LEAST_SIDE = 960
"""Least longer side, in pixels, to which a larger JPEG is decoded: small hands must stay sharp."""
AT_ONCE = 8
"""Pictures that are decoded before their hands are looked for together: enough for a GPU, and 30 MB."""
MOST_SIDE = 1280
"""Most pixels of the longer side of a picture for the detector."""


def whole_picture(data: bytes | None, form: ImageSpec) -> Image.Image:
    """Decode a picture file for `find_and_crop`; it raises as `decoding.decode` does."""
    return decode_whole(data, form.max_pixels, LEAST_SIDE)


class FindsHands(Protocol):
    """What looks for hands; `images.hands.detector.HandDetector` is one."""

    @property
    def options(self) -> HandOptions:
        """How hands are found and cropped to."""

    def __call__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[Hand]:
        """Find the hand in each picture, uint8 (height, width, 3)."""


Cropped = tuple[npt.NDArray[np.uint8], Hand]


def find_and_crop(
    images: Sequence[Image.Image], form: ImageSpec, hands: FindsHands, small_pixels: int = 0
) -> list[Cropped | Unusable]:
    """Find the hands in pictures and crop the pictures to them.

    Parameters
    ----------
    images : sequence of Image
        Grey or RGB, of any sizes.
    form : ImageSpec
        Size and colours of the result; without a hand, the whole picture is fitted to them.
    small_pixels : int
        Longer side of the hands in copies of the pictures in which they are found once more, for networks to learn
        from; 0: no copies. See `Hand.with_small`.

    Returns
    -------
    list of tuple or Unusable
        For each picture its pixels, uint8 (height, width, channels), and its `Hand`; `Unusable` where it cannot be
        resized, such as one that is a thousand times as wide as high.
    """
    whole = [_for_detector(image) for image in images]
    found = hands(whole)
    if small_pixels:
        found = _with_small(whole, found, hands, small_pixels)
    return [_cropped(image, form, hands.options, hand) for image, hand in zip(images, found, strict=True)]


def _with_small(
    pictures: Sequence[npt.NDArray[np.uint8]], found: Sequence[Hand], detector: FindsHands, side: int
) -> list[Hand]:
    """Find hands that are larger than `side` once more, in copies of their pictures in which they have that size."""
    from PIL import Image

    hands, numbers, copies = list(found), [], []
    for number, (pixels, hand) in enumerate(zip(pictures, found, strict=True)):
        share = side / (hand.extent * max(pixels.shape[:2])) if hand.landmarks is not None else 1.0
        if share < 1:
            height, width = (max(1, round(size * share)) for size in pixels.shape[:2])
            copy = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
            numbers.append(number)
            copies.append(np.asarray(copy))
    for number, small in zip(numbers, detector(copies) if copies else [], strict=True):
        hands[number] = hands[number].with_small(small)
    return hands


def _cropped(image: Image.Image, form: ImageSpec, options: HandOptions, hand: Hand) -> Cropped | Unusable:
    try:
        with as_unusable():
            if hand.landmarks is not None:
                image = hand_crop(image, hand.landmarks, options, max(form.height, form.width))
            return resize_to(image, form), hand
    except Unusable as error:
        return error


def _for_detector(image: Image.Image) -> npt.NDArray[np.uint8]:
    from PIL import Image

    image = image.convert("RGB")
    share = MOST_SIDE / max(image.size)
    if share < 1:
        size = (max(1, round(image.size[0] * share)), max(1, round(image.size[1] * share)))
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image)

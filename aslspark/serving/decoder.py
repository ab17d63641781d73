"""Parses bodies and decodes pictures from strangers, in a child process.

In: a `Parse` or a `Prepare`. Out: its result; an error of the input is a result too.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.common.child_main import ask_parent
from aslspark.images.decoding import Unusable
from aslspark.images.hands.hand import Hand
from aslspark.images.hands.options import HandOptions
from aslspark.images.image_spec import ImageSpec
from aslspark.scoring.reader import BYTES, prepared
from aslspark.serving.limits import Limits, Refused
from aslspark.serving.payload import pictures_of

LIGHT_BYTES, LIGHT_PIXELS, LIGHT_SCANS = 1_000_000, 4_000_000, 16
"""A picture with more of any of these is heavy: it takes long to decode and waits for other heavy ones alone. Frames of
a camera, and phone pictures as pages shrink them, are light. Each scan of a progressive JPEG (some ten) goes over all
pixels."""
LIGHT_BODY = 300_000
"""Bytes of text or of a form; larger bodies are heavy."""
_SCAN = b"\xff\xda"


@dataclass(frozen=True)
class Parse:
    """A body to parse; see `payload.pictures_of`."""

    content_type: str
    body: bytes
    limits: Limits
    values: int


@dataclass(frozen=True)
class Prepare:
    """A picture to decode and fit; see `reader.prepared`."""

    value: Any
    kind: str
    form: ImageSpec
    hands: HandOptions | None
    only_light: bool
    """Return `Heavy` for a picture that takes long."""


@dataclass(frozen=True)
class Heavy:
    """The picture takes long."""


@dataclass(frozen=True)
class Ready:
    """A picture in the model's form, and its hand where the model looks for one."""

    pixels: npt.NDArray[np.uint8]
    hand: Hand | None


@dataclass(frozen=True)
class Wrong:
    """An error of the input: an HTTP status, and the reason."""

    status: int
    reason: str


@dataclass(frozen=True)
class ParentsDetector:
    """The hand detector of the parent process, whose networks are loaded once for all children."""

    options: HandOptions

    def __call__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[Hand]:
        """Find the hand in each picture, uint8 (height, width, 3)."""
        hands: list[Hand] = ask_parent(pictures)
        return hands


class Decoder:
    """Answers messages, one at a time."""

    def __call__(self, message: Parse | Prepare) -> Any:
        """Return a list of `payload.Picture`, a `Ready`, a `Heavy` or a `Wrong`."""
        if isinstance(message, Parse):
            try:
                return pictures_of(message.content_type, message.body, message.limits, message.values)
            except Refused as refused:
                return Wrong(refused.status, refused.reason)
        if message.only_light and message.kind == BYTES and _has_many_pixels(message.value):
            return Heavy()
        try:
            hands = None if message.hands is None else ParentsDetector(message.hands)
            return Ready(*prepared(message.value, message.kind, message.form, hands))
        except Unusable as error:
            return Wrong(422, str(error))


def is_heavy(value: Any, kind: str) -> bool:
    """Tell by its bytes alone whether a picture takes long; the child looks at its number of pixels."""
    return kind == BYTES and (len(value) > LIGHT_BYTES or value.count(_SCAN) > LIGHT_SCANS)


def _has_many_pixels(value: bytes) -> bool:
    from PIL import Image

    try:
        width, height = Image.open(io.BytesIO(value)).size
    except Exception:  # the error comes up again, and is reported, where the picture is decoded
        return False
    return bool(width * height > LIGHT_PIXELS)

"""Size, colours and fit of the pictures that a model takes, and their entries in a bundle's manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

CROP, LETTERBOX = "crop", "letterbox"
FITS = (CROP, LETTERBOX)

MAX_PIXELS = 50_000_000
"""Enough for a phone's 48 megapixels, which take 150 MB decoded."""


class Fitting(TypedDict, total=False):
    """The entries of a bundle's manifest for an `ImageSpec`, beside its shape."""

    fit: str
    """'crop' or 'letterbox'; see `ImageSpec`."""
    mask: list[list[int]] | None
    """Lowest and highest hue, saturation and value of skin; None: pictures are not masked."""


@dataclass(frozen=True)
class ImageSpec:
    """Size, colours and fit of the pictures that a model takes."""

    height: int
    width: int
    channels: int
    """Channels are 1 (grey) or 3 (RGB)."""
    fit: str = CROP
    """'crop' or 'letterbox': crop both sides evenly; or keep the whole picture, with black bars."""
    mask: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    """The lowest and the highest hue, saturation and value (each 0-255, inclusive) of skin. Pixels in this range become
    white, all others black."""
    max_pixels: int = MAX_PIXELS
    """A picture with more, by its header, is refused before it is decoded."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, self.channels

    @property
    def mode(self) -> str:
        """Pillow's mode."""
        return "L" if self.channels == 1 else "RGB"

    def preprocessing(self) -> Fitting:
        """Return the entries for a bundle's manifest, beside the shape."""
        return {"fit": self.fit, "mask": None if self.mask is None else [list(end) for end in self.mask]}


def image_spec_of(shape: tuple[int, int, int], preprocessing: Fitting) -> ImageSpec:
    """Build the spec of a bundle from its shape and its `preprocessing`; older bundles crop and have no mask."""
    mask = preprocessing.get("mask")
    ends = (tuple(mask[0]), tuple(mask[1])) if mask else None
    return ImageSpec(*shape, fit=preprocessing.get("fit", CROP), mask=ends)

"""The bytes of a picture file -> pixels of one size and colour, in one way for ingest, training and scoring.

In: the bytes of JPEG, PNG, GIF, WebP or BMP, or pixels of any size. Out: uint8 (height, width, channels); or
`Unusable`, with the reason. Every picture is decoded to its end: a cut-off JPEG passes Pillow's verify() and Spark's
image source.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow_hotfix  # noqa: F401  (CVE-2023-47248: whoever reads Parquet imports this module first)

from aslspark.images.decode_cost import Costly, check_cost, check_scans
from aslspark.images.exif import orientation

if TYPE_CHECKING:
    from PIL import Image
    from pyspark.sql import Row

RAW, PNG, JPEG = "raw", "png", "jpeg"
ENCODINGS = (RAW, PNG, JPEG)
"""How `samples.PICTURE_TYPE` may hold a picture; null counts as raw."""

UNUSABLE = "unusable"
"""Field of a picture's struct: why it cannot be used, as an earlier stage found."""

CROP, LETTERBOX = "crop", "letterbox"
FITS = (CROP, LETTERBOX)

MAX_PIXELS = 50_000_000
"""A phone's 48 megapixels pass; decoded they take 150 MB."""

EMPTY = "empty"
NO_PICTURE = "not a picture"
TOO_MANY_PIXELS = "too many pixels"
TOO_MUCH_WORK = "too much work to decode"
UNSCALED = "16 bits, not scaled"
WRONG_SIZE = "wrong size"
CUT_SHORT = "cut short"
UNDECODABLE = "undecodable"

# What cameras, phones and browsers write. Pillow opens some sixty more, down to PostScript, which nobody means.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
# Darker 16-bit greys would be black: millimetres, or the 12 bits of a sensor that nobody has scaled.
_LEAST_OF_16_BITS = 4096
_QUALITY = 95
_ROWS_AT_ONCE = 128


class Unusable(Exception):  # noqa: N818  (it ends in the quarantine, not in a traceback)
    """A picture that cannot be used: the reason, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class ImageSpec:
    """What pictures are brought to.

    Parameters
    ----------
    height, width, channels : int
        Channels are 1 (grey) or 3 (RGB).
    fit : {'crop', 'letterbox'}
        Cut off what is too much, evenly on both sides; or keep all, with black bars.
    mask : pair of (int, int, int), optional
        The lowest and the highest hue, saturation and value (each 0-255, both ends included) of skin: what lies
        between becomes white, all else black.
    max_pixels : int
        A picture whose header says more is refused before any memory is spent on it.
    """

    height: int
    width: int
    channels: int
    fit: str = CROP
    mask: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    max_pixels: int = MAX_PIXELS

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, self.channels

    @property
    def mode(self) -> str:
        """Pillow's name of the colours."""
        return "L" if self.channels == 1 else "RGB"

    def preprocessing(self) -> dict[str, Any]:
        """Return what a bundle keeps of it beside the shape."""
        return {"fit": self.fit, "mask": None if self.mask is None else [list(end) for end in self.mask]}


def image_spec_of(shape: tuple[int, int, int], preprocessing: dict[str, Any]) -> ImageSpec:
    """Build the form of a bundle from its shape and its `preprocessing`; older bundles crop, without a mask."""
    mask = preprocessing.get("mask")
    ends = (tuple(mask[0]), tuple(mask[1])) if mask else None
    return ImageSpec(*shape, fit=preprocessing.get("fit", CROP), mask=ends)


def is_encoded(data: bytes) -> bool:
    """Tell the bytes of a file that is read (JPEG, PNG, GIF, WebP or BMP) from bare pixels, by how they begin."""
    if data.startswith(_MAGIC):
        return True
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    # Two letters alone could be pixels.
    return data[:2] == b"BM" and data[6:10] == bytes(4) and int.from_bytes(data[14:18], "little") in _BMP_HEADERS


def decode(data: bytes | None, form: ImageSpec) -> npt.NDArray[np.uint8]:
    """Decode a picture file and bring it to a form.

    The turn that a camera noted in EXIF is applied. Transparent parts become black, as the bars of a letterbox and
    the ground of cut-out hands are; the colours stored under them mean nothing. 16-bit greys keep their upper
    eight bits; of an animation the first picture is taken.

    Parameters
    ----------
    data : bytes
    form : ImageSpec

    Returns
    -------
    ndarray of uint8, shape (height, width, channels)

    Raises
    ------
    Unusable
        With 'empty', 'not a picture', 'too many pixels', 'too much work to decode', '16 bits, not scaled', 'cut short'
        or 'undecodable'.
    """
    image = _opened(data, form.max_pixels)
    with as_unusable():
        if image.format == "JPEG":
            _draft(image, form, sideways=_turn(image) in _SIDEWAYS)
        return resize_to(_loaded(image), form)


def decode_whole(data: bytes | None, max_pixels: int, least_side: int) -> Image.Image:
    """Decode a picture file to its end, whole and in its own size; see `decode`.

    Parameters
    ----------
    data : bytes
    max_pixels : int
        A picture whose header says more is refused.
    least_side : int
        A JPEG is decoded to a half, a quarter or an eighth of its size if its longer side keeps so many pixels.

    Returns
    -------
    Image
        Grey or RGB.

    Raises
    ------
    Unusable
    """
    image = _opened(data, max_pixels)
    with as_unusable():
        if image.format == "JPEG":
            share = least_side / max(image.size)
            image.draft("RGB", (max(1, round(image.size[0] * share)), max(1, round(image.size[1] * share))))
        return _loaded(image)


def _opened(data: bytes | None, max_pixels: int, formats: tuple[str, ...] = _FORMATS) -> Image.Image:
    """Open a picture file without decoding it."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise Unusable(EMPTY, "no bytes")
    try:
        check_cost(data)
        image = Image.open(io.BytesIO(data), formats=formats)
        width, height = image.size
        if image.format in ("JPEG", "MPO"):  # MPO: a JPEG with more pictures behind it
            check_scans(data, width * height)
    except Costly as error:
        raise Unusable(TOO_MUCH_WORK, str(error)) from error
    except Image.DecompressionBombError as error:
        raise Unusable(TOO_MANY_PIXELS, str(error)) from error
    except UnidentifiedImageError as error:
        raise Unusable(NO_PICTURE, f"{len(data):,} bytes that are no JPEG, PNG, GIF, WebP or BMP file") from error
    except Exception as error:  # Pillow's parsers raise whatever a broken header makes them raise
        raise Unusable(UNDECODABLE, _first_line(error)) from error
    if width * height > max_pixels:
        raise Unusable(TOO_MANY_PIXELS, f"{width}x{height} is more than {max_pixels:,} pixels")
    return image


@contextmanager
def as_unusable() -> Iterator[None]:
    """Turn what Pillow raises at a picture into `Unusable`, with its reason."""
    try:
        yield
    except Unusable:
        raise
    except Exception as error:
        reason = CUT_SHORT if "truncated" in str(error).lower() else UNDECODABLE
        raise Unusable(reason, _first_line(error)) from error


def _loaded(image: Image.Image) -> Image.Image:
    """Decode a picture to its end, and turn it upright."""
    from PIL import Image

    image.load()
    turn = _turn(image)  # of those that are not JPEG, EXIF may stand behind the pixels
    plain = _plain(image)
    return plain if turn is None else plain.transpose(Image.Transpose(turn))


def resize_to(image: Image.Image, form: ImageSpec) -> npt.NDArray[np.uint8]:
    """Bring an image (grey or RGB, any size) to a form: mask, colour, size."""
    from PIL import Image, ImageOps

    if form.mask is not None:
        image = _masked(image, form.mask)
    if image.mode != form.mode and form.channels == 1:
        image = image.convert(form.mode)  # one channel is cheaper to resize
    size = (form.width, form.height)
    if image.size != size:
        if form.fit == CROP:
            image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        else:
            image = ImageOps.pad(image, size, Image.Resampling.BILINEAR)
    return np.asarray(image.convert(form.mode), np.uint8).reshape(form.shape)


def stored(data: bytes, encoding: str | None, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """Return the pixels of a picture that ingest has stored, as they were.

    Parameters
    ----------
    data : bytes
    encoding : {'raw', 'png', 'jpeg'} or None
        None counts as raw.
    shape : (int, int, int)
        Height, width, channels of the picture.

    Raises
    ------
    Unusable
        Where the bytes are no such picture.
    """
    if encoding in (None, RAW):
        if len(data) != shape[0] * shape[1] * shape[2]:
            raise Unusable(WRONG_SIZE, f"{len(data)} bytes where {shape[0]}x{shape[1]}x{shape[2]} is said")
        return np.frombuffer(data, np.uint8).reshape(shape)
    image = _opened(data, MAX_PIXELS, ("JPEG", "PNG"))
    if image.size != (shape[1], shape[0]):
        raise Unusable(WRONG_SIZE, f"{image.size[1]}x{image.size[0]} where {shape[0]}x{shape[1]} is said")
    with as_unusable():
        image.load()
        return np.asarray(_plain(image).convert("L" if shape[2] == 1 else "RGB"), np.uint8).reshape(shape)


def pixels_of(picture: Mapping[str, Any] | Row) -> npt.NDArray[np.uint8]:
    """Return the pixels (height, width, channels) of a `samples.PICTURE_TYPE` struct, however it is stored."""
    shape = (picture["height"], picture["width"], picture["channels"])
    return stored(bytes(picture["data"]), picture["encoding"], shape)


def bare_pixels(
    height: Any, width: Any, channels: Any, data: bytes | None, *, bgr: bool = False
) -> npt.NDArray[np.uint8]:
    """Return pixels that lie bare in a table, in grey or RGB; transparent parts are black, as from `decode`.

    Parameters
    ----------
    height, width, channels : int
        Channels are 1, 3, or 4 with alpha last; None and NaN count as empty.
    data : bytes
        Row by row, channels last.
    bgr : bool
        Blue comes first, as in Spark's image struct.

    Returns
    -------
    ndarray of uint8, shape (height, width, 1 or 3)

    Raises
    ------
    Unusable
        With 'empty' or 'wrong size'.
    """
    if any(size is None or size != size for size in (height, width, channels)) or data is None or len(data) == 0:
        raise Unusable(EMPTY, "no pixels")
    size = (int(height), int(width), int(channels))
    if min(size) < 1 or size[0] * size[1] * size[2] != len(data):
        said = f"{size[0]}x{size[1]}x{size[2]}"
        raise Unusable(WRONG_SIZE, f"{len(data)} bytes where {said} needs {size[0] * size[1] * size[2]}")
    if size[2] not in (1, 3, 4):
        raise Unusable(WRONG_SIZE, f"{size[2]} channels; a picture has 1, 3 or 4")
    pixels = np.frombuffer(data, np.uint8).reshape(size)
    if size[2] == 1:
        return pixels
    colours = pixels[:, :, 2::-1] if bgr else pixels[:, :, :3]
    if size[2] == 4:
        colours = (colours.astype(np.uint16) * pixels[:, :, 3:] // 255).astype(np.uint8)
    return np.ascontiguousarray(colours)


def image_of(picture: npt.NDArray[np.uint8]) -> Image.Image:
    """Turn pixels (height, width, 1 or 3) into Pillow's image."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(picture[:, :, 0] if picture.shape[2] == 1 else picture[:, :, :3]))


def encode(picture: npt.NDArray[np.uint8], encoding: str) -> bytes:
    """Turn pixels (height, width, channels) into what `stored` reads; PNG gives back the same pixels, JPEG about."""
    if encoding == RAW:
        return picture.tobytes()
    from PIL import Image

    file = io.BytesIO()
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    image.save(file, "PNG") if encoding == PNG else image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


def raw_bytes(data: pa.Array, encodings: pa.Array | None, shape: tuple[int, int, int]) -> pa.Array:
    """Turn a column of stored pictures into bare pixels; a column that holds them already comes back as it is.

    Parameters
    ----------
    data : pyarrow.Array of binary
    encodings : pyarrow.Array of string, optional
        For each picture; None and null count as raw.
    shape : (int, int, int)
        Of every picture.
    """
    if encodings is None or not pc.any(pc.not_equal(encodings, RAW)).as_py():
        return data
    both = zip(data.to_pylist(), encodings.to_pylist(), strict=True)
    return pa.array([stored(picture, encoding, shape).tobytes() for picture, encoding in both], pa.binary())


def _draft(image: Image.Image, form: ImageSpec, sideways: bool) -> None:
    """Let libjpeg leave out the details that resizing would: it decodes to a half, a quarter or an eighth.

    Never to less than twice what is wanted, so that the resizing still has the last word.
    """
    wanted = (form.height, form.width) if sideways else (form.width, form.height)
    if form.fit == LETTERBOX:
        share = min(wanted[0] / image.size[0], wanted[1] / image.size[1])
        wanted = (max(1, round(image.size[0] * share)), max(1, round(image.size[1] * share)))
    # In grey it leaves out the colours too; a mask needs them.
    image.draft("L" if form.channels == 1 and form.mask is None else "RGB", (2 * wanted[0], 2 * wanted[1]))


def _turn(image: Image.Image) -> int | None:
    """Find how the picture must be turned, from EXIF; damaged EXIF turns nothing."""
    return _TURNS.get(orientation(image.info))


def _plain(image: Image.Image) -> Image.Image:
    """Bring any of Pillow's modes to grey or RGB, of eight bits."""
    from PIL import Image

    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):
        numbers = np.asarray(image)
        highest = int(numbers.max(initial=0))
        if 0 < highest < _LEAST_OF_16_BITS:
            detail = f"values up to {highest:,} of 65,535, as a depth camera's; scale them, or save 8 bits"
            raise Unusable(UNSCALED, detail)
        # convert() would clip sixteen bits at 255.
        grey = np.clip(numbers >> 8, 0, 255).astype(np.uint8)
        if isinstance(clear := image.info.get("transparency"), int):
            grey[numbers == clear] = 0
        return Image.fromarray(grey)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_black(image)
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_black(image: Image.Image) -> Image.Image:
    """Make transparent parts black, some rows at a time: whole copies with alpha would take 16 bytes a pixel more."""
    from PIL import Image

    width, height = image.size
    plain = Image.new("RGB", image.size)
    for top in range(0, height, _ROWS_AT_ONCE):
        part = image.crop((0, top, width, min(top + _ROWS_AT_ONCE, height))).convert("RGBA")
        ground = Image.new("RGBA", part.size, (0, 0, 0, 255))
        plain.paste(Image.alpha_composite(ground, part).convert("RGB"), (0, top))
    return plain


def _masked(image: Image.Image, mask: tuple[tuple[int, ...], tuple[int, ...]]) -> Image.Image:
    from PIL import Image

    colours = np.asarray(image.convert("RGB").convert("HSV"))
    low, high = np.array(mask, np.uint8)
    skin = ((colours >= low) & (colours <= high)).all(axis=2)
    return Image.fromarray(skin.astype(np.uint8) * 255)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


# EXIF's orientation to the numbers of Pillow's Image.Transpose, which is not imported with this module.
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
_SIDEWAYS = (5, 4, 6, 2)

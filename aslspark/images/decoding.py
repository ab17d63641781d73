"""The bytes of a picture file -> pixels of one size and colour; the one decoder of ingest, training and scoring.

In: the bytes of JPEG, PNG, GIF, WebP or BMP, or pixels of any size. Out: uint8 (height, width, channels); or
`Unusable`, with the reason. Every picture is decoded to its end: Pillow's verify() and Spark's image source accept a
JPEG that is cut short.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow_hotfix  # noqa: F401  (CVE-2023-47248: imported first by every module that reads Parquet)

from aslspark.common.errors import first_line
from aslspark.images.decode_cost import Costly, check_cost, check_scans
from aslspark.images.exif import orientation
from aslspark.images.image_spec import CROP, LETTERBOX, MAX_PIXELS, ImageSpec

if TYPE_CHECKING:
    from PIL import Image
    from pyspark.sql import Row

RAW, PNG, JPEG = "raw", "png", "jpeg"
ENCODINGS = (RAW, PNG, JPEG)
"""Values of `encoding` in `samples.PICTURE_TYPE`; null counts as raw."""

UNUSABLE = "unusable"
"""Field of a picture's struct: the reason of an earlier stage why it cannot be used."""


EMPTY = "empty"
NO_PICTURE = "not a picture"
TOO_MANY_PIXELS = "too many pixels"
TOO_MUCH_WORK = "too much work to decode"
UNSCALED = "16 bits, not scaled"
WRONG_SIZE = "wrong size"
CUT_SHORT = "cut short"
UNDECODABLE = "undecodable"

# The formats of cameras, phones and browsers. Pillow would open some sixty more, down to PostScript.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
# A 16-bit grey picture with a lower maximum is not scaled: a depth map in millimetres, or raw 12-bit values.
_LEAST_OF_16_BITS = 4096
_QUALITY = 95
_ROWS_AT_ONCE = 128


class Unusable(Exception):  # noqa: N818  (it becomes a reason in the quarantine, not a traceback)
    """A picture cannot be used: the reason, and a detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def is_encoded(data: bytes) -> bool:
    """Tell the bytes of a picture file (JPEG, PNG, GIF, WebP or BMP) from raw pixels, by their first bytes."""
    if data.startswith(_MAGIC):
        return True
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    # "BM" alone could be pixels.
    return data[:2] == b"BM" and data[6:10] == bytes(4) and int.from_bytes(data[14:18], "little") in _BMP_HEADERS


def decode(data: bytes | None, form: ImageSpec) -> npt.NDArray[np.uint8]:
    """Decode a picture file to a size and colours.

    The EXIF orientation is applied. Transparent parts become black, like the bars of a letterbox and the background
    of cut-out hands; the colours stored under them mean nothing. 16-bit grey keeps its upper eight bits. Of an
    animation the first frame is taken.

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
    """Decode a picture file in its own size; see `decode`.

    Parameters
    ----------
    max_pixels : int
        A picture with more, by its header, is refused.
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
        raise Unusable(TOO_MANY_PIXELS, f"more than {max_pixels:,} pixels") from error  # Pillow names its own limit
    except UnidentifiedImageError as error:
        raise Unusable(NO_PICTURE, f"{len(data):,} bytes that are no JPEG, PNG, GIF, WebP or BMP file") from error
    except Exception as error:  # Pillow's parsers raise whatever a broken header makes them raise
        raise Unusable(UNDECODABLE, first_line(error)) from error
    if width * height > max_pixels:
        raise Unusable(TOO_MANY_PIXELS, f"{width}x{height} is more than {max_pixels:,} pixels")
    return image


def header_of(data: bytes | None) -> tuple[int, int, bool]:
    """Return width and height of a picture file, and whether it has colours, without decoding it.

    Raises
    ------
    Unusable
    """
    image = _opened(data, MAX_PIXELS)
    return (*image.size, image.mode not in ("1", "L", "LA", "I", "I;16"))


@contextmanager
def as_unusable() -> Iterator[None]:
    """Turn any error of Pillow into `Unusable`, with its reason."""
    try:
        yield
    except Unusable:
        raise
    except Exception as error:
        reason = CUT_SHORT if "truncated" in str(error).lower() else UNDECODABLE
        raise Unusable(reason, first_line(error)) from error


def _loaded(image: Image.Image) -> Image.Image:
    """Decode a picture to its end, and apply its orientation."""
    from PIL import Image

    image.load()
    turn = _turn(image)  # after loading: only JPEG has its EXIF before the pixels
    plain = _plain(image)
    return plain if turn is None else plain.transpose(Image.Transpose(turn))


def resize_to(image: Image.Image, form: ImageSpec) -> npt.NDArray[np.uint8]:
    """Apply mask, colours and size of a spec to a grey or RGB image of any size."""
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
    """Return the pixels of a picture as ingest stored them.

    Parameters
    ----------
    encoding : {'raw', 'png', 'jpeg'} or None
        None counts as raw.
    shape : (int, int, int)
        Height, width, channels of the picture.

    Raises
    ------
    Unusable
        Where the bytes are not a picture of this shape.
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
    """Return the pixels (height, width, channels) of a `samples.PICTURE_TYPE` struct, in any encoding."""
    # Whole numbers, of which pandas makes floats where another row has none.
    shape = (int(picture["height"]), int(picture["width"]), int(picture["channels"]))
    return stored(bytes(picture["data"]), picture["encoding"], shape)


def bare_pixels(
    height: Any, width: Any, channels: Any, data: bytes | None, *, bgr: bool = False
) -> npt.NDArray[np.uint8]:
    """Return raw pixels of a table in grey or RGB; transparent parts become black, as in `decode`.

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
        shape = f"{size[0]}x{size[1]}x{size[2]}"
        raise Unusable(WRONG_SIZE, f"{len(data)} bytes where {shape} needs {size[0] * size[1] * size[2]}")
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
    """Return pixels (height, width, 1 or 3) as a Pillow image."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(picture[:, :, 0] if picture.shape[2] == 1 else picture[:, :, :3]))


def encode(picture: npt.NDArray[np.uint8], encoding: str) -> bytes:
    """Encode pixels (height, width, channels) for `stored`; PNG keeps them exactly, JPEG nearly."""
    if encoding == RAW:
        return picture.tobytes()
    from PIL import Image

    file = io.BytesIO()
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    image.save(file, "PNG") if encoding == PNG else image.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


def raw_bytes(data: pa.Array, encodings: pa.Array | None, shape: tuple[int, int, int]) -> pa.Array:
    """Decode a column of stored pictures to raw pixels; a column that is raw already comes back as it is.

    Parameters
    ----------
    data : pyarrow.Array of binary
    encodings : pyarrow.Array of string, optional
        One for each picture; None and null count as raw.
    shape : (int, int, int)
        Of every picture.
    """
    if encodings is None or not pc.any(pc.not_equal(encodings, RAW)).as_py():
        return data
    pairs = zip(data.to_pylist(), encodings.to_pylist(), strict=True)
    return pa.array([stored(picture, encoding, shape).tobytes() for picture, encoding in pairs], pa.binary())


def _draft(image: Image.Image, form: ImageSpec, sideways: bool) -> None:
    """Let libjpeg decode to a half, a quarter or an eighth, without the detail that resizing would drop.

    The result has at least twice the target size, so that resizing decides the final pixels.
    """
    target = (form.height, form.width) if sideways else (form.width, form.height)
    if form.fit == LETTERBOX:
        share = min(target[0] / image.size[0], target[1] / image.size[1])
        target = (max(1, round(image.size[0] * share)), max(1, round(image.size[1] * share)))
    # Grey skips decoding the colours, which a mask needs.
    image.draft("L" if form.channels == 1 and form.mask is None else "RGB", (2 * target[0], 2 * target[1]))


def _turn(image: Image.Image) -> int | None:
    """Return the transpose that the orientation asks for; None without one, or where EXIF is damaged."""
    return _TURNS.get(orientation(image.info))


def _plain(image: Image.Image) -> Image.Image:
    """Convert any of Pillow's modes to grey or RGB of eight bits."""
    from PIL import Image

    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):
        numbers = np.asarray(image)
        highest = int(numbers.max(initial=0))
        if 0 < highest < _LEAST_OF_16_BITS:
            detail = f"values up to {highest:,} of 65,535, as a depth camera's; scale them, or save 8 bits"
            raise Unusable(UNSCALED, detail)
        # convert() would clip 16 bits at 255.
        grey = np.clip(numbers >> 8, 0, 255).astype(np.uint8)
        if isinstance(clear := image.info.get("transparency"), int):
            grey[numbers == clear] = 0
        return Image.fromarray(grey)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_black(image)
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_black(image: Image.Image) -> Image.Image:
    """Make transparent parts black, some rows at a time: whole copies with alpha would take 16 more bytes a pixel."""
    from PIL import Image

    width, height = image.size
    plain = Image.new("RGB", image.size)
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = image.crop((0, top, width, min(top + _ROWS_AT_ONCE, height))).convert("RGBA")
        black = Image.new("RGBA", rows.size, (0, 0, 0, 255))
        plain.paste(Image.alpha_composite(black, rows).convert("RGB"), (0, top))
    return plain


def _masked(image: Image.Image, mask: tuple[tuple[int, ...], tuple[int, ...]]) -> Image.Image:
    from PIL import Image

    colours = np.asarray(image.convert("RGB").convert("HSV"))
    low, high = np.array(mask, np.uint8)
    skin = ((colours >= low) & (colours <= high)).all(axis=2)
    return Image.fromarray(skin.astype(np.uint8) * 255)


# EXIF's orientation -> the value of Pillow's Image.Transpose, which this module imports late.
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
_SIDEWAYS = (5, 4, 6, 2)

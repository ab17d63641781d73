"""What a picture file says beside its pixels -> how it must be turned.

In: Pillow's `info` of an image. Out: EXIF's orientation. Pillow's own reader copies what each of 65,535 entries names,
which may be the whole block each time: a file of a megabyte would fill the memory.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

UPRIGHT = 1
_TAG, _SHORT = 0x0112, 3
_HEADERS = {b"II*\0": "<", b"MM\0*": ">"}
# Bytes of a value of each of TIFF's types.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])\b")
_RAW_PROFILE = "Raw profile type exif"
_MOST_PROFILE = 1 << 20


def orientation(info: Mapping[Any, Any]) -> int:
    """Find the orientation that a camera noted, 1 to 8, in EXIF, ImageMagick's profile of it, or XMP; else 1."""
    exif = info.get("exif")
    if exif is None and _RAW_PROFILE in info:
        exif = _of_profile(info[_RAW_PROFILE])
    if exif and (found := _of_exif(exif)):
        return found
    for name in ("XML:com.adobe.xmp", "xmp"):
        said = info.get(name)
        text = said.encode(errors="replace") if isinstance(said, str) else said
        if isinstance(text, bytes) and (match := _XMP.search(text)):
            return int(match[1])
    return UPRIGHT


def bytes_named(exif: bytes) -> int:
    """Add up the bytes that the entries of the first directory name, the same ones as often as they are named."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _HEADERS.get(bytes(tiff[:4]))
    total = 0
    try:
        if order is None:
            return 0
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(entries):
            _, kind, count = struct.unpack_from(f"{order}HHI", tiff, at + 2 + 12 * entry)
            total += min(count * _SIZES.get(kind, 0), len(tiff))
    except struct.error:
        return total
    return total


def _of_profile(profile: Any) -> bytes:
    """Take EXIF out of the lines of hexadecimal digits in which ImageMagick keeps it in a PNG."""
    text = profile.decode("latin-1") if isinstance(profile, bytes) else str(profile)
    try:
        return bytes.fromhex("".join(text[:_MOST_PROFILE].split("\n")[3:]))
    except ValueError:
        return b""


def _of_exif(exif: bytes) -> int | None:
    """Read the one entry of the first directory; None where there is none, or it is damaged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _HEADERS.get(bytes(tiff[:4]))
    try:
        if order is None:
            return None
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * entry)
            if tag == _TAG:
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else None
    except struct.error:
        return None
    return None

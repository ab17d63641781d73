"""The metadata of a picture file -> its EXIF orientation.

In: `info` of a Pillow image. Pillow's own EXIF reader is not used: it copies what each of up to 65,535 entries refers
to, perhaps the whole block each time, so that a file of 1 MB could fill the memory.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

UPRIGHT = 1
_TAG, _SHORT = 0x0112, 3
_HEADERS = {b"II*\0": "<", b"MM\0*": ">"}
# Bytes of a value, by TIFF type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])\b")
_RAW_PROFILE = "Raw profile type exif"
_MOST_PROFILE = 1 << 20


def orientation(info: Mapping[Any, Any]) -> int:
    """Return the orientation, 1 to 8, from EXIF, from ImageMagick's EXIF profile or from XMP; 1 where there is none."""
    exif = info.get("exif")
    if exif is None and _RAW_PROFILE in info:
        exif = _exif_of_profile(info[_RAW_PROFILE])
    if exif and (value := _orientation_of_exif(exif)):
        return value
    for name in ("XML:com.adobe.xmp", "xmp"):
        xmp = info.get(name)
        content = xmp.encode(errors="replace") if isinstance(xmp, str) else xmp
        if isinstance(content, bytes) and (match := _XMP.search(content)):
            return int(match[1])
    return UPRIGHT


def referenced_bytes(exif: bytes) -> int:
    """Add up the bytes that the entries of the first directory refer to; overlapping ranges count each time."""
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


def _exif_of_profile(profile: Any) -> bytes:
    """Decode the lines of hexadecimal digits in which ImageMagick stores EXIF in a PNG."""
    text = profile.decode("latin-1") if isinstance(profile, bytes) else str(profile)
    try:
        return bytes.fromhex("".join(text[:_MOST_PROFILE].split("\n")[3:]))
    except ValueError:
        return b""


def _orientation_of_exif(exif: bytes) -> int | None:
    """Read the orientation entry of the first directory; None where it is missing or damaged."""
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

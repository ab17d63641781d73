"""The bytes of a picture file -> whether decoding it is more work than any camera or program asks for.

In: bytes. Out: nothing, or `Costly`, in words. A file of a megabyte can hold a decoder for minutes with pixels that are
few: a JPEG's scans each pass over all of them, and Pillow reads the parts around the pixels one by one in Python.
"""

from __future__ import annotations

import re
import struct

from aslspark.images.exif import bytes_named

MOST_SCANS = 100
"""Of a JPEG; cameras and programs write 1 to 20. libjpeg's own tools and browsers stop there too."""
MOST_SCANNED_PIXELS = 2_000_000_000
"""Scans times pixels: some 2 s. Ten scans of the largest picture are a quarter of it."""
MOST_PARTS = 2000
"""Segments, chunks and blocks around the pixels: each costs Pillow 2 to 8 microseconds. Photographs have up to some
hundred, where a profile or a second picture is cut into pieces."""
MOST_DATA_PARTS = 100_000
"""Chunks with pixels of a PNG; 64 MiB are 8,000 as libpng cuts them."""
MOST_FILL = 65_536
"""Bytes of 0xFF between the segments of a JPEG, where one is wanted."""
MOST_COMMENT = 1 << 20
"""Bytes beside the pixels of a GIF: Pillow joins them piece by piece, which takes 8 s for 8 MB and 64 times as much for
64 MB."""
MOST_RUN_PIXELS, MOST_RUN_WIDTH, MOST_RUN_BYTES = 4_000_000, 16_384, 4 << 20
"""Of a BMP with run lengths, which Pillow unpacks byte by byte in Python; a run may skip 255 rows at once."""

MOST_EXIF = 4 << 20
"""Bytes that the entries of EXIF name together: Pillow copies them all as it opens a JPEG, and a block of 64 kB can
name 350 MB."""

_START_OF_SCAN, _END, _APP1, _EXIF = 0xDA, 0xD9, 0xE1, b"Exif\0\0"
# What stands between two markers: pixels, in which 0xFF is followed by 0 or by one of the restart markers.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DATA = (b"IDAT", b"fdAT", b"fcTL")


class Costly(Exception):  # noqa: N818  (it becomes a reason)
    """Why decoding a file would be too much work."""


def check_cost(data: bytes) -> None:
    """Look at the parts of a file, before a decoder does.

    A file that is damaged or of another format passes: the decoder says what is wrong with it.

    Raises
    ------
    Costly
    """
    if data.startswith(b"\xff\xd8\xff"):
        _check_jpeg_header(data)
    elif data.startswith(_PNG):
        _check_png(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        _check_gif(data)
    elif data.startswith(b"BM"):
        _check_bmp(data)


def check_scans(data: bytes, pixels: int) -> None:
    """Count the scans of a JPEG of so many pixels.

    Raises
    ------
    Costly
    """
    # There can be no more than this, and counting it takes no time.
    scans = data.count(b"\xff\xda")
    most = min(MOST_SCANS, MOST_SCANNED_PIXELS // max(1, pixels))
    if scans > most and (scans := count_scans(data, most)) > most:
        raise Costly(f"{scans} scans or more of {pixels:,} pixels; a JPEG of that size may have {most}")


def count_scans(data: bytes, most: int) -> int:
    """Count the scans of a JPEG's first picture; no further than to the first that is too many."""
    scans, at = 0, 2
    while (found := _MARKER.search(data, at)) and scans <= most:
        marker = found[0][1]
        if marker == _END:
            break
        scans += marker == _START_OF_SCAN
        # What a segment holds, such as a small picture of its own, is no part of the scans.
        at = found.end() + (int.from_bytes(data[found.end() : found.end() + 2], "big") if _has_length(marker) else 0)
    return scans


def _has_length(marker: int) -> bool:
    return marker not in (0x01, 0xD8, _END)


def _check_jpeg_header(data: bytes) -> None:
    """Walk the segments before the first scan, as Pillow does."""
    at, fill = 2, 0
    exif: list[bytes] = []
    for _ in range(MOST_PARTS):
        while data[at : at + 2] == b"\xff\xff":
            # Looked for in pieces, so that the fill of one file is passed over once.
            piece = data[at : at + 4096]
            passed = max(1, len(piece) - len(piece.lstrip(b"\xff")) - 1)
            at, fill = at + passed, fill + passed
            if fill > MOST_FILL:
                raise Costly(f"more than {MOST_FILL:,} bytes of 0xFF between the segments of a JPEG")
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] in (_START_OF_SCAN, _END):
            _check_exif(b"".join(exif))
            return
        if data[at + 1] == _APP1 and data[at + 4 : at + 10] == _EXIF:
            exif.append(data[at + 10 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")])
        at += 2 + (int.from_bytes(data[at + 2 : at + 4], "big") if _has_length(data[at + 1]) else 0)
    raise Costly(f"more than {MOST_PARTS:,} segments before the pixels of a JPEG")


def _check_exif(exif: bytes) -> None:
    if (named := bytes_named(exif)) > MOST_EXIF:
        raise Costly(f"EXIF of {len(exif):,} bytes whose entries name {named:,}")


def _check_png(data: bytes) -> None:
    at, parts, of_data = len(_PNG), 0, 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return
        if kind in _PNG_DATA:
            of_data += 1
        else:
            parts += 1
        if parts > MOST_PARTS or of_data > MOST_DATA_PARTS:
            raise Costly(f"more than {MOST_PARTS:,} chunks beside the pixels of a PNG, or {MOST_DATA_PARTS:,} of them")
        at += length + 12


def _check_gif(data: bytes) -> None:
    """Walk the blocks before the first picture."""
    if len(data) < 13:
        return
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    passed = 0
    for _ in range(MOST_PARTS):
        if at >= len(data) or data[at] != 0x21:
            return
        at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
            passed += 256
            if passed > MOST_COMMENT:
                raise Costly(f"more than {MOST_COMMENT:,} bytes beside the pixels of a GIF")
        at += 1
    raise Costly(f"more than {MOST_PARTS:,} blocks before the pixels of a GIF")


def _check_bmp(data: bytes) -> None:
    if len(data) < 34 or struct.unpack_from("<I", data, 14)[0] < 40:
        return
    width, height = struct.unpack_from("<ii", data, 18)
    if struct.unpack_from("<I", data, 30)[0] not in (1, 2):
        return
    width, height = abs(width), abs(height)
    if width * height > MOST_RUN_PIXELS or width > MOST_RUN_WIDTH or len(data) > MOST_RUN_BYTES:
        raise Costly(
            f"{width}x{height} in {len(data):,} bytes of a BMP with run lengths; it may have {MOST_RUN_PIXELS:,} "
            f"pixels, {MOST_RUN_WIDTH:,} in a row, and {MOST_RUN_BYTES:,} bytes"
        )

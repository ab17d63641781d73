"""The bytes of a picture file -> nothing, or `Costly` where decoding would take far more work than usual.

A file of 1 MB with few pixels can keep a decoder busy for minutes: every scan of a JPEG passes over all pixels, and
Pillow reads the segments around the pixels one by one in Python.
"""

from __future__ import annotations

import re
import struct

from aslspark.images.exif import referenced_bytes

MOST_SCANS = 100
"""Scans of a JPEG; cameras and programs write 1 to 20. libjpeg's tools and browsers have the same limit."""
MOST_SCANNED_PIXELS = 2_000_000_000
"""Scans times pixels, about 2 s of work; ten scans of the largest picture are a quarter of that."""
MOST_SEGMENTS = 2000
"""Segments, chunks or blocks around the pixels; Pillow takes 2 to 8 microseconds for each. Photographs have up to a few
hundred, where a profile or a second picture is split."""
MOST_DATA_CHUNKS = 100_000
"""Chunks of pixels of a PNG; libpng writes 64 MiB as 8,000."""
MOST_FILL = 65_536
"""Bytes of 0xFF between the segments of a JPEG, where one is enough."""
MOST_COMMENT = 1 << 20
"""Bytes beside the pixels of a GIF. Pillow joins them piece by piece: 8 s for 8 MB, and 64 times as long for 64 MB."""
MOST_RUN_PIXELS, MOST_RUN_WIDTH, MOST_RUN_BYTES = 4_000_000, 16_384, 4 << 20
"""Limits of a run-length encoded BMP, which Pillow unpacks byte by byte in Python; one run may skip 255 rows."""

MOST_EXIF = 4 << 20
"""Bytes that all EXIF entries refer to together. Pillow copies them as it opens a JPEG; 64 kB can refer to 350 MB."""

_START_OF_SCAN, _END, _APP1, _EXIF = 0xDA, 0xD9, 0xE1, b"Exif\0\0"
# In pixel data 0xFF is followed by 0 or by a restart marker; anything else is a marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DATA = (b"IDAT", b"fdAT", b"fcTL")


class Costly(Exception):  # noqa: N818  (it becomes a reason)
    """The reason why decoding a file would take too much work."""


def check_cost(data: bytes) -> None:
    """Check the segments of a file before a decoder reads them.

    A damaged file or one of another format passes: the decoder reports what is wrong with it.

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
    """Check the number of scans of a JPEG with this many pixels.

    Raises
    ------
    Costly
    """
    # An upper bound that is quick to count.
    scans = data.count(b"\xff\xda")
    most = min(MOST_SCANS, MOST_SCANNED_PIXELS // max(1, pixels))
    if scans > most and (scans := count_scans(data, most)) > most:
        raise Costly(f"{scans} scans or more of {pixels:,} pixels; a JPEG of that size may have {most}")


def count_scans(data: bytes, most: int) -> int:
    """Count the scans of a JPEG's first picture, up to the first beyond `most`."""
    scans, at = 0, 2
    while (match := _MARKER.search(data, at)) and scans <= most:
        marker = match[0][1]
        if marker == _END:
            break
        scans += marker == _START_OF_SCAN
        # Skip the content of a segment, such as a thumbnail with scans of its own.
        at = match.end() + (int.from_bytes(data[match.end() : match.end() + 2], "big") if _has_length(marker) else 0)
    return scans


def _has_length(marker: int) -> bool:
    return marker not in (0x01, 0xD8, _END)


def _check_jpeg_header(data: bytes) -> None:
    """Walk the segments before the first scan, as Pillow does."""
    at, fill = 2, 0
    exif: list[bytes] = []
    for _ in range(MOST_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":
            # In pieces, so that each byte of fill is looked at once.
            piece = data[at : at + 4096]
            skipped = max(1, len(piece) - len(piece.lstrip(b"\xff")) - 1)
            at, fill = at + skipped, fill + skipped
            if fill > MOST_FILL:
                raise Costly(f"more than {MOST_FILL:,} bytes of 0xFF between the segments of a JPEG")
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] in (_START_OF_SCAN, _END):
            _check_exif(b"".join(exif))
            return
        if data[at + 1] == _APP1 and data[at + 4 : at + 10] == _EXIF:
            exif.append(data[at + 10 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")])
        at += 2 + (int.from_bytes(data[at + 2 : at + 4], "big") if _has_length(data[at + 1]) else 0)
    raise Costly(f"more than {MOST_SEGMENTS:,} segments before the pixels of a JPEG")


def _check_exif(exif: bytes) -> None:
    if (size := referenced_bytes(exif)) > MOST_EXIF:
        raise Costly(f"EXIF of {len(exif):,} bytes whose entries name {size:,}")


def _check_png(data: bytes) -> None:
    at, others, data_chunks = len(_PNG), 0, 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return
        if kind in _PNG_DATA:
            data_chunks += 1
        else:
            others += 1
        if others > MOST_SEGMENTS or data_chunks > MOST_DATA_CHUNKS:
            raise Costly(
                f"more than {MOST_SEGMENTS:,} chunks beside the pixels of a PNG, or {MOST_DATA_CHUNKS:,} of them"
            )
        at += length + 12


def _check_gif(data: bytes) -> None:
    """Walk the blocks before the first picture."""
    if len(data) < 13:
        return
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    skipped = 0
    for _ in range(MOST_SEGMENTS):
        if at >= len(data) or data[at] != 0x21:
            return
        at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
            skipped += 256
            if skipped > MOST_COMMENT:
                raise Costly(f"more than {MOST_COMMENT:,} bytes beside the pixels of a GIF")
        at += 1
    raise Costly(f"more than {MOST_SEGMENTS:,} blocks before the pixels of a GIF")


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

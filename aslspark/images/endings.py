"""The names of picture files: one list for ingest, scoring, streams and buckets.

In: a file's name. Out: whether it is a picture, and whether it is of a kind that is read.
"""

from __future__ import annotations

PICTURE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp")
"""What `aslspark.images.decoding` reads."""

UNREAD_ENDINGS = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".svg", ".dng", ".cr2", ".nef")
"""Pictures too, which it does not read; they are named with a reason, never passed over as something else."""

UNREAD_FORMAT = "format not read"
UNREAD_FORMAT_DETAIL = "save it as JPEG or PNG"


def is_picture_name(name: str) -> bool:
    """Tell a picture by its ending, in any case, whether its format is read or not."""
    return _plain(name).endswith((*PICTURE_ENDINGS, *UNREAD_ENDINGS))


def is_unread_format(name: str) -> bool:
    """Tell a picture whose format is not read."""
    return _plain(name).endswith(UNREAD_ENDINGS)


def picture_glob() -> str:
    """Write the names of pictures as a pattern of Hadoop's, in any case."""
    endings = (
        "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in ending)
        for ending in (*PICTURE_ENDINGS, *UNREAD_ENDINGS)
    )
    return f"*{{{','.join(endings)}}}"


def _plain(name: str) -> str:
    # Some programs leave a space behind the ending; the bytes are a picture all the same.
    return name.rstrip().lower()

"""A file name -> whether it is a picture, and whether its format is read: one list for all ways in."""

from __future__ import annotations

PICTURE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp")
"""Formats that `aslspark.images.decoding` reads."""

UNREAD_ENDINGS = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".svg", ".dng", ".cr2", ".nef")
"""Picture formats that it does not read; such files are reported with a reason, never passed over."""

UNREAD_FORMAT = "format not read"
UNREAD_FORMAT_DETAIL = "save it as JPEG or PNG"


def is_picture_name(name: str) -> bool:
    """Tell a picture by its ending, in upper or lower case, whether or not its format is read."""
    return _plain(name).endswith((*PICTURE_ENDINGS, *UNREAD_ENDINGS))


def is_unread_format(name: str) -> bool:
    """Tell a picture whose format is not read, by its ending."""
    return _plain(name).endswith(UNREAD_ENDINGS)


def picture_glob() -> str:
    """Return a Hadoop glob pattern that matches all picture names, in upper and lower case."""
    endings = (
        "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in ending)
        for ending in (*PICTURE_ENDINGS, *UNREAD_ENDINGS)
    )
    return f"*{{{','.join(endings)}}}"


def _plain(name: str) -> str:
    # Some programs leave a space after the ending.
    return name.rstrip().lower()

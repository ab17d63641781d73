"""The path of a local file -> its bytes, or `Unusable`. Python opens any file name in any locale."""

from __future__ import annotations

import os
import stat

from aslspark.images.decoding import Unusable

UNREADABLE = "unreadable"
TOO_LARGE = "too large a file"

MAX_FILE_BYTES = 64 << 20
"""A larger file is quarantined unread, since each file is held in memory whole."""


def read_file(path: bytes) -> bytes:
    """Read a local file.

    Raises
    ------
    Unusable
        'unreadable' where it is missing, not a regular file, or without read permission; 'too large a file'.
    """
    try:
        # Non-blocking: opening a pipe that has replaced the file would wait for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unusable(UNREADABLE, "it is no file")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Unusable(UNREADABLE, str(error.strerror or error)) from error
    if len(content) > MAX_FILE_BYTES:
        raise Unusable(TOO_LARGE, f"more than {MAX_FILE_BYTES:,} bytes")
    return content

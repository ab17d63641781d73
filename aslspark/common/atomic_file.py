"""Bytes -> a file that is there whole or not at all, whatever ends the process that writes it."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes | memoryview, *, flush: bool = False) -> None:
    """Write a file under a temporary name beside its place, and rename it into place.

    Parameters
    ----------
    path : Path
    content : bytes or memoryview
    flush : bool
        Wait until the content is on the disk before the rename, so that it outlives a crash of the machine.

    Raises
    ------
    OSError
        The earlier file is still there, and nothing else.
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise

"""Bytes -> a file that is there whole or not at all, whatever ends the process that writes it."""

from __future__ import annotations

import os

from aslspark.common.store_path import AnyPath, StorePath


def replace_file(path: AnyPath, content: bytes | memoryview, *, flush: bool = False) -> None:
    """Write a file under a temporary name beside its place, and rename it into place; a store does as much itself.

    Parameters
    ----------
    flush : bool
        Wait until the content is on the disk before the rename, so that it outlives a crash of the machine.

    Raises
    ------
    OSError
        The earlier file is still there, and nothing else.
    """
    if isinstance(path, StorePath):
        path.write_bytes(content)
        return
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

"""Folders and files of this machine, looked at before Spark walks through them: what would never end is refused.

Spark follows links: one that leads back is followed forty times, and two of them 2^40 times. It takes pipes for files,
and waits for what never comes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from aslspark.errors import AslsparkError

MOST_LINKED_FOLDERS = 10_000


def local_of(path: str) -> Path | None:
    """Return where a path lies on this machine; None for other stores."""
    if re.match(r"^[a-z][a-z0-9+.-]*:/", path) and not path.startswith("file:/"):
        return None
    return Path(re.sub(r"^file:/+", "/", path))


def is_special(path: str) -> bool:
    """Tell a pipe, a socket or a device, which cannot be read to an end."""
    local = local_of(path)
    return local is not None and local.exists() and not local.is_file() and not local.is_dir()


def refuse_loops(path: str) -> None:
    """See that no link below a folder leads back to a folder that it lies in.

    Raises
    ------
    AslsparkError
        Naming the link, or the folder that may not be read; or where there are more linked folders than anyone makes.
    """
    local = local_of(path)
    if local is None or not local.is_dir():
        return
    linked = 0
    top = os.path.realpath(local)
    left = [(top, frozenset({top}), False)]
    while left:
        folder, above, is_linked = left.pop()
        try:
            with os.scandir(folder) as entries:
                # Spark passes over the others.
                inside = [entry for entry in entries if entry.is_dir() and not entry.name.startswith((".", "_"))]
        except PermissionError as error:
            raise AslsparkError(
                f"source {path}: the folder {folder} may not be read: look at its permissions"
            ) from error
        except OSError:  # it is gone
            continue
        for entry in inside:
            link = entry.is_symlink()
            real = os.path.realpath(entry.path) if link else entry.path
            if real in above:
                raise AslsparkError(f"source {path}: the link {entry.path} leads back to {real}: remove it")
            linked += link or is_linked
            if linked > MOST_LINKED_FOLDERS:
                raise AslsparkError(
                    f"source {path}: links lead to more than {MOST_LINKED_FOLDERS:,} folders: copy them"
                )
            left.append((real, above | {real}, link or is_linked))

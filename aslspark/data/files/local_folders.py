"""Folders and files of this machine, listed by Python itself, so that no name is lost.

In: a path. Out: the files below it with their lengths, and what is passed over. The JVM drops names that its locale
cannot spell, and Spark those that begin with _. Links that lead back would be followed for ever, and pipes waited for.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aslspark.common.errors import AslsparkError
from aslspark.data.files.table_endings import is_table_name
from aslspark.images.endings import is_picture_name

MOST_LINKED_FOLDERS = 10_000
SPECIAL = "it is a pipe or a device"


class LocalFile(NamedTuple):
    """A file below a folder.

    Parameters
    ----------
    path : str
        As Python opens it; bytes that are no UTF-8 are kept in it (``surrogateescape``).
    name : str
        The same below the folder.
    length : int
        In bytes.
    special : bool
        It is a pipe, a socket or a device.
    """

    path: str
    name: str
    length: int
    special: bool = False


@dataclass
class Walked:
    """What lies below a folder: files by name, and in words what was passed over."""

    files: list[LocalFile] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def local_of(path: str) -> Path | None:
    """Return where a path lies on this machine; None for other stores."""
    if re.match(r"^[a-z][a-z0-9+.-]*:/", path) and not path.startswith("file:/"):
        return None
    return Path(re.sub(r"^file:/+", "/", path))


def as_text(path: str) -> str:
    r"""Write a path so that it can be printed, sent to Spark and stored: bytes that are no UTF-8 as ``\xff``."""
    if path.isascii():
        return path
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # no name that the file system could hold
        return path.encode("utf-8", "backslashreplace").decode()


def is_special(path: str) -> bool:
    """Tell a pipe, a socket or a device, which cannot be read to an end."""
    local = local_of(path)
    return local is not None and local.exists() and not local.is_file() and not local.is_dir()


def is_hidden(name: str) -> bool:
    """Tell names that begin with a dot; a picture whose name is nothing but its ending is none."""
    return name.startswith(".") and not (is_picture_name(name) and name.count(".") == 1)


def walk(path: str) -> Walked:
    """List the files below a folder of this machine, following links.

    Parameters
    ----------
    path : str
        Plain, or with ``file:``.

    Raises
    ------
    AslsparkError
        Naming the link that leads back to a folder that it lies in, or the folder that may not be read; or where there
        are more linked folders than anyone makes.
    """
    top = str(local_of(path))
    walked = Walked()
    hidden: list[str] = []
    for entry, name in _entries(path, top):
        if entry.name == "__MACOSX" or entry.name.startswith("._"):
            continue  # what the Mac's Finder puts beside the files
        if is_hidden(entry.name):
            if is_picture_name(entry.name) or is_table_name(entry.name):
                hidden.append(name)
            continue
        try:
            status = entry.stat()
        except OSError:  # a link that leads nowhere, or one to itself
            if is_picture_name(entry.name) or is_table_name(entry.name):
                walked.passed_over.append(f"{as_text(name)}: a link that leads nowhere")
            continue
        if not stat.S_ISDIR(status.st_mode):
            walked.files.append(LocalFile(entry.path, name, status.st_size, not stat.S_ISREG(status.st_mode)))
    walked.files.sort(key=lambda file: file.name)
    if hidden:
        walked.passed_over.append(f"{len(hidden)} files whose names begin with a dot, such as {as_text(min(hidden))}")
    return walked


def refuse_loops(path: str) -> None:
    """See that no link below a folder leads back to a folder that it lies in; see `walk`."""
    local = local_of(path)
    if local is not None and local.is_dir():
        for _ in _entries(path, str(local)):
            pass


def _entries(path: str, top: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Give each entry below a folder with its name there; folders that begin with a dot are not entered."""
    linked = 0
    real_top = os.path.realpath(top)
    left = [(top, "", real_top, frozenset({real_top}), False)]
    while left:
        folder, prefix, real_folder, above, is_linked = left.pop()
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except PermissionError as error:
            raise AslsparkError(
                f"source {as_text(path)}: the folder {as_text(folder)} may not be read: look at its permissions"
            ) from error
        except OSError:  # it is gone
            continue
        for entry in inside:
            yield entry, f"{prefix}{entry.name}"
            if entry.name.startswith(".") or entry.name == "__MACOSX" or not _is_folder(entry):
                continue
            link = entry.is_symlink()
            real = os.path.realpath(entry.path) if link else os.path.join(real_folder, entry.name)
            if real in above:
                raise AslsparkError(
                    f"source {as_text(path)}: the link {as_text(entry.path)} leads back to {as_text(real)}: remove it"
                )
            linked += link or is_linked
            if linked > MOST_LINKED_FOLDERS:
                raise AslsparkError(
                    f"source {as_text(path)}: links lead to more than {MOST_LINKED_FOLDERS:,} folders: copy them"
                )
            left.append((entry.path, f"{prefix}{entry.name}/", real, above | {real}, link or is_linked))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False

"""A local folder -> the files below it with their lengths, and lines about what is passed over.

Python lists the folder, since the JVM drops names that its locale cannot encode, and Spark those that begin with _.
Links that lead back, which would be followed for ever, are refused; pipes, which would block, are marked.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.data.files.table_endings import is_table_name
from aslspark.images.endings import is_picture_name

MOST_LINKED_FOLDERS = 10_000
SPECIAL = "it is a pipe or a device"


class LocalFile(NamedTuple):
    """A file below a folder."""

    path: str
    """For Python; bytes that are not UTF-8 are escaped in it (``surrogateescape``)."""
    name: str
    """Relative to the folder."""
    length: int
    """In bytes."""
    special: bool = False
    """Whether it is a pipe, a socket or a device."""


@dataclass
class Walked:
    """The files below a folder, by name, and lines about what was passed over."""

    files: list[LocalFile] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def local_of(path: str) -> Path | None:
    """Return the local path; None for other stores."""
    if re.match(r"^[a-z][a-z0-9+.-]*:/", path) and not path.startswith("file:/"):
        return None
    return Path(re.sub(r"^file:/+", "/", path))


def as_text(path: str) -> str:
    r"""Return a path as valid text, for printing and for Spark: bytes that are not UTF-8 become ``\xff``."""
    if path.isascii():
        return path
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # not a name that a file system can hold
        return path.encode("utf-8", "backslashreplace").decode()


def is_special(path: str) -> bool:
    """Tell a pipe, a socket or a device, which may have no end."""
    local = local_of(path)
    return local is not None and local.exists() and not local.is_file() and not local.is_dir()


def is_hidden(name: str) -> bool:
    """Tell names that begin with a dot, but not a picture whose name is only an ending."""
    return name.startswith(".") and not (is_picture_name(name) and name.count(".") == 1)


def walk(path: str) -> Walked:
    """List the files below a local folder, following links.

    Parameters
    ----------
    path : str
        Plain, or with ``file:``.

    Raises
    ------
    AslsparkError
        Naming a link that leads back to a folder above it, or a folder without read permission; or where links lead to
        more than `MOST_LINKED_FOLDERS` folders.
    """
    top = str(local_of(path))
    walked = Walked()
    hidden: list[str] = []
    for entry, name in _entries(path, top):
        if entry.name == "__MACOSX" or entry.name.startswith("._"):
            continue  # macOS metadata
        if is_hidden(entry.name):
            if is_picture_name(entry.name) or is_table_name(entry.name):
                hidden.append(name)
            continue
        try:
            status = entry.stat()
        except OSError:  # a broken link, or a link to itself
            if is_picture_name(entry.name) or is_table_name(entry.name):
                walked.passed_over.append(f"{as_text(name)}: a link that leads nowhere")
            continue
        if not stat.S_ISDIR(status.st_mode):
            walked.files.append(LocalFile(entry.path, name, status.st_size, not stat.S_ISREG(status.st_mode)))
    walked.files.sort(key=lambda file: file.name)
    walked.passed_over += lines_about_hidden(hidden)
    return walked


def lines_about_hidden(names: Sequence[str]) -> list[str]:
    """Return a line about pictures and tables whose names begin with a dot, if there are any."""
    if not names:
        return []
    count = counted(len(names), "file whose name begins", "files whose names begin")
    return [f"{count} with a dot, such as {as_text(min(names))}"]


def refuse_loops(path: str) -> None:
    """Raise for a link below a folder that leads back to a folder above it; see `walk`."""
    local = local_of(path)
    if local is not None and local.is_dir():
        for _ in _entries(path, str(local)):
            pass


def _entries(path: str, top: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Give each entry below a folder with its relative name; hidden folders are not entered."""
    linked = 0
    real_top = os.path.realpath(top)
    folders = [(top, "", real_top, frozenset({real_top}), False)]
    while folders:
        folder, prefix, real_folder, above, is_linked = folders.pop()
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except PermissionError as error:
            raise AslsparkError(
                f"source {as_text(path)}: the folder {as_text(folder)} may not be read: look at its permissions"
            ) from error
        except OSError:  # it was deleted
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
            folders.append((entry.path, f"{prefix}{entry.name}/", real, above | {real}, link or is_linked))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a cycle of links
        return False

"""A folder that others made -> the bytes of its own files: no link in it is followed, no pipe or device is opened.

In: a path. Out: the names below it, and each file opened by the folder that it lies in, so that what was looked at is
what is read, whatever happens to the path meanwhile.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

MOST_FILES = 50_000
MOST_DEPTH = 12
"""Folders within folders: a saved OneVsRestModel within a bundle has six."""

LONGEST_SAID = 200
"""Letters of a name in a reason."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without blocking: a pipe that takes a file's place after the look at it would be waited for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotPlain(Exception):  # noqa: N818  (the caller says which folder, and what would work)
    """What a folder holds beside plain files and folders."""


def quoted(name: str) -> str:
    """Quote a name that somebody else gave a file, in a line that stays one and is no page long."""
    whole = name if name.isprintable() else ascii(name)
    return whole if len(whole) <= LONGEST_SAID else f"{whole[:LONGEST_SAID]}..."


class PlainFolder:
    """A folder, held open while its files are read; a context manager.

    Parameters
    ----------
    path : str or Path
        It may be a link itself: it is followed once, here.

    Raises
    ------
    OSError
        Where there is no such folder, or it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._handle = os.open(path, _FOLDER)
        self._entries = 0

    def __enter__(self) -> PlainFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)

    def names(self) -> list[str]:
        """Return the paths of all files below the folder, with ``/`` between their parts, sorted.

        Raises
        ------
        NotPlain
            At a link, a pipe, a device or a socket; at a name that cannot be printed; at two names that are one where
            capitals do not count; at more than `MOST_FILES` files and folders, or `MOST_DEPTH` folders within folders.
        """
        found: list[str] = []
        self._entries = 0
        self._list(self._handle, "", 0, found)
        folded: dict[str, str] = {}
        for name in found:
            other = folded.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if other != name:
                raise NotPlain(f"{quoted(other)} and {quoted(name)} are one name where capitals do not count")
        return sorted(found)

    def open(self, name: str) -> BinaryIO:
        """Open one of the files for reading.

        Parameters
        ----------
        name : str
            As `names` gives it.

        Raises
        ------
        NotPlain
            Where there is none, or something else has taken its place.
        """
        *folders, last = name.split("/")
        handle = self._handle
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
                if handle != self._handle:
                    os.close(handle)
                handle = inner
            file = os.open(last, _FILE, dir_fd=handle)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotPlain(f"{quoted(name)} is missing") from error
        except OSError as error:  # ELOOP, at a link
            raise NotPlain(f"{quoted(name)} cannot be opened ({error.strerror})") from error
        finally:
            if handle != self._handle:
                os.close(handle)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise NotPlain(f"{quoted(name)} is no plain file")
        return os.fdopen(file, "rb")

    def _list(self, handle: int, before: str, depth: int, found: list[str]) -> None:
        for entry in sorted(os.listdir(handle)):
            name = before + entry
            self._entries += 1
            if self._entries > MOST_FILES:
                raise NotPlain(f"it holds more than {MOST_FILES:,} files and folders")
            if not name.isprintable() or "\\" in entry:
                raise NotPlain(f"{quoted(name)} is a name that cannot be listed")
            kind = os.stat(entry, dir_fd=handle, follow_symlinks=False).st_mode
            if stat.S_ISREG(kind):
                found.append(name)
            elif stat.S_ISDIR(kind):
                if depth == MOST_DEPTH:
                    raise NotPlain(f"{quoted(name)} lies deeper than {MOST_DEPTH} folders")
                inner = os.open(entry, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
                try:
                    self._list(inner, f"{name}/", depth + 1, found)
                finally:
                    os.close(inner)
            else:
                raise NotPlain(f"{quoted(name)} is {'a link' if stat.S_ISLNK(kind) else 'no plain file'}")

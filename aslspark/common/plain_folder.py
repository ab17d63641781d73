"""A folder from elsewhere -> its plain files. No link in it is followed, no pipe or device is opened.

In: a path. Out: the names below it, and the files. Each is opened relative to its folder's descriptor, so that the
checked file is the one that is read, whatever happens to the path meanwhile.
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
"""Levels of folders; a saved OneVsRestModel in a bundle has six."""

LONGEST_QUOTE = 200
"""Characters of a name in a reason."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Non-blocking: opening a pipe that has replaced a file after its check would wait for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotPlain(Exception):  # noqa: N818  (the caller names the folder, and what would work)
    """A folder holds something other than plain files and folders; the message says what."""


def quoted(name: str) -> str:
    """Return a file name from elsewhere as one printable line of limited length."""
    printable = name if name.isprintable() else ascii(name)
    return printable if len(printable) <= LONGEST_QUOTE else f"{printable[:LONGEST_QUOTE]}..."


class PlainFolder:
    """A folder, held open while its files are read; a context manager.

    Parameters
    ----------
    path : str or Path
        It may be a link, which is followed once, here.

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
        """Return the sorted paths of all files below the folder, with ``/`` between their parts.

        Raises
        ------
        NotPlain
            For a link, a pipe, a device or a socket; for an unprintable name; for two names that differ in case alone;
            for more than `MOST_FILES` files and folders, or `MOST_DEPTH` levels.
        """
        names: list[str] = []
        self._entries = 0
        self._list(self._handle, "", 0, names)
        folded: dict[str, str] = {}
        for name in names:
            other = folded.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if other != name:
                raise NotPlain(f"{quoted(other)} and {quoted(name)} are one name where capitals do not count")
        return sorted(names)

    def open(self, name: str) -> BinaryIO:
        """Open one of the files for reading.

        Parameters
        ----------
        name : str
            As `names` gives it.

        Raises
        ------
        NotPlain
            Where it is missing, or something else has taken its place.
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

    def _list(self, handle: int, parent: str, depth: int, names: list[str]) -> None:
        for entry in sorted(os.listdir(handle)):
            name = parent + entry
            self._entries += 1
            if self._entries > MOST_FILES:
                raise NotPlain(f"it holds more than {MOST_FILES:,} files and folders")
            if not name.isprintable() or "\\" in entry:
                raise NotPlain(f"{quoted(name)} is a name that cannot be listed")
            kind = os.stat(entry, dir_fd=handle, follow_symlinks=False).st_mode
            if stat.S_ISREG(kind):
                names.append(name)
            elif stat.S_ISDIR(kind):
                if depth == MOST_DEPTH:
                    raise NotPlain(f"{quoted(name)} lies deeper than {MOST_DEPTH} folders")
                inner = os.open(entry, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
                try:
                    self._list(inner, f"{name}/", depth + 1, names)
                finally:
                    os.close(inner)
            else:
                raise NotPlain(f"{quoted(name)} is {'a link' if stat.S_ISLNK(kind) else 'no plain file'}")

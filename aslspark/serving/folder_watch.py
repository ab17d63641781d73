"""`aslspark watch-folder --model BUNDLE --folder DIR`: reads each picture that comes into a folder once.

In: picture files anywhere below the folder. Out: NAME.json beside each; see `events`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from aslspark.common.command_line import ArgumentParser
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing, endless
from aslspark.common.redaction import redact, say
from aslspark.scoring.reader import Reader
from aslspark.serving.events import FolderStore, answer_name, is_picture, read_one
from aslspark.serving.isolated_reader import IsolatedReader

AGAIN_SECONDS = 60.0
"""After which an answer that could not be written is tried again."""

log = logging.getLogger("aslspark.serving")


class Watch:
    """Looks for new pictures in a folder.

    Everything with a picture's name gets an answer beside it: a letter, or the reason why there is none. Where its
    folder cannot be read or written, the error is logged once and the picture tried again.
    """

    def __init__(self, folder: str, reader: Reader) -> None:
        self._folder, self._reader = Path(folder).resolve(), IsolatedReader(reader)
        if not self._folder.is_dir():
            raise AslsparkError(f"--folder {folder}: there is no such folder; make it first")
        self._store = FolderStore(self._folder)
        self._growing: dict[str, tuple[int, int]] = {}
        self._later: dict[str, float] = {}
        """Name to when it is tried again, by `time.monotonic`."""

    def look(self, *, settled: bool) -> int:
        """Read the pictures that have no answer yet, and return how many there were.

        Parameters
        ----------
        settled : bool
            Leave out pictures that have changed since the last look, since they are still being written.
        """
        sizes = dict(self._unanswered())
        ready = [name for name in sorted(sizes) if not settled or self._growing.get(name) == sizes[name]]
        self._growing = sizes
        self._later = {name: when for name, when in self._later.items() if name in sizes}
        read = 0
        for name in ready:
            if self._later.get(name, 0.0) > time.monotonic():
                continue
            try:
                read += read_one(self._store, self._reader, ".", name)
            except FileNotFoundError:  # removed meanwhile
                continue
            except (AslsparkError, OSError, RuntimeError) as error:
                self._put_off(name, error)
        return read

    def close(self) -> None:
        """End the process that decodes."""
        self._reader.close()

    def _unanswered(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Give each picture's path below the folder, with its size and time, which change while it is written."""
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self._folder / folder) as entries:
                    listed = list(entries)
            except OSError as error:
                self._put_off(folder or ".", error)
                continue
            names = {entry.name for entry in listed}
            for entry in listed:
                path = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                if not is_picture(entry.name) or entry.name.startswith(".") or answer_name(entry.name) in names:
                    continue
                try:
                    facts = entry.stat()
                    yield path, (facts.st_size, facts.st_mtime_ns)
                except FileNotFoundError:  # removed, or a link that leads nowhere yet
                    continue
                except OSError:  # a link to itself, whose answer says so
                    yield path, (0, 0)

    def _put_off(self, name: str, error: Exception) -> None:
        if name not in self._later:
            log.error("%s: no answer can be written beside it: %s", ascii(name)[:300], redact(str(error)))
        self._later[name] = time.monotonic() + AGAIN_SECONDS


def main(argv: Sequence[str]) -> None:
    """Watch until Ctrl-C or SIGTERM."""
    parser = ArgumentParser(
        prog="aslspark watch-folder",
        description="Write NAME.json beside each picture that comes into a folder: its letter, or why there is none.",
    )
    parser.add_argument("--model", required=True, metavar="BUNDLE")
    parser.add_argument("--folder", required=True, metavar="DIR")
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between looks (default 1)")
    parser.add_argument("--once", action="store_true", help="read what is there, and end")
    options = parser.parse_args(argv)
    if options.every <= 0:
        raise AslsparkError(f"--every {options.every}: give a number above 0")
    watch = Watch(options.folder, Reader.load(options.model))
    with doing("reading letters") if options.once else endless():
        total = watch.look(settled=not options.once)
        pause = threading.Event()
        while not options.once:
            pause.wait(options.every)
            if new := watch.look(settled=True):
                total += new
                say(f"{counted(total, 'picture')} read")
    say(f"{counted(total, 'picture')} read")

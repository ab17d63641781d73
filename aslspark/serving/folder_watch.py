"""`aslspark watch-folder --model BUNDLE --folder DIR`: each picture that comes into a folder is read, once.

In: JPEG and PNG files anywhere below the folder. Out: NAME.json beside each; see `events`.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from pathlib import Path

from aslspark.errors import AslsparkError
from aslspark.reading import Reader
from aslspark.serving.events import ANSWER, FolderStore, is_picture, read_one


class Watch:
    """Looks for new pictures in a folder.

    Parameters
    ----------
    folder : str
    reader : Reader
    """

    def __init__(self, folder: str, reader: Reader) -> None:
        self._folder, self._reader = Path(folder).resolve(), reader
        if not self._folder.is_dir():
            raise AslsparkError(f"--folder {folder}: there is no such folder; make it first")
        self._store = FolderStore(self._folder)
        self._growing: dict[str, tuple[int, int]] = {}

    def look(self, *, settled: bool) -> int:
        """Read the pictures that have no answer yet, and return how many there were.

        Parameters
        ----------
        settled : bool
            Leave out those that have changed since the last look: they are still being written.
        """
        sizes = {}
        for path in sorted(self._folder.rglob("*")):
            if is_picture(path.name) and not path.name.startswith(".") and not Path(f"{path}{ANSWER}").exists():
                try:
                    facts = path.stat()
                except FileNotFoundError:
                    continue
                sizes[path.relative_to(self._folder).as_posix()] = (facts.st_size, facts.st_mtime_ns)
        ready = [name for name, size in sizes.items() if not settled or self._growing.get(name) == size]
        self._growing = sizes
        read = 0
        for name in ready:
            try:
                read += read_one(self._store, self._reader, ".", name)
            except FileNotFoundError:  # taken away meanwhile
                continue
        return read


def main(argv: Sequence[str]) -> None:
    """Watch until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
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
    total = watch.look(settled=not options.once)
    pause = threading.Event()
    while not options.once:
        pause.wait(options.every)
        if new := watch.look(settled=True):
            total += new
            print(f"{total:,} pictures read", flush=True)
    print(f"{total:,} pictures read")

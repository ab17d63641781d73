"""Folders that many tests read and none changes: made by the test process that asks first, read by the others too."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


class MadeOnce:
    """Makes each folder once a run of the tests, however many processes run them.

    Parameters
    ----------
    factory : pytest.TempPathFactory
        Pytest's own. Where pytest-xdist runs the tests, each process has a folder of its own below the run's.
    """

    def __init__(self, factory: pytest.TempPathFactory, *, alone: bool) -> None:
        base = factory.getbasetemp()
        self._root = (base if alone else base.parent) / "made-once"
        self._root.mkdir(exist_ok=True)

    def __call__(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder of a name; where it is not there yet, `make` it while the other processes wait.

        A folder that could not be made is removed, so that the next who asks gets the same error and not half a folder.
        """
        folder, done = self._root / name, self._root / f"{name}.made"
        with (self._root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                try:
                    make(folder)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                done.touch()
        return folder

"""The model that is served: it is exchanged when the bundle's path leads to another one, between two requests.

In: a path, best a link that is moved. Out: a `Served`, which those who have it use to its end.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aslspark.bundle_files import SUMS
from aslspark.errors import AslsparkError
from aslspark.paths import local_path
from aslspark.reading import NUMBERS, Answer, Reader
from aslspark.serving.detectors import Detectors

log = logging.getLogger("aslspark.serving")


@dataclass(frozen=True)
class Served:
    """A model at work."""

    reader: Reader
    detectors: Detectors | None
    bundle: str
    """The folder, with links followed."""
    since: float
    """Seconds since 1970."""

    def read(self, value: bytes | np.ndarray, kind: str) -> Answer:
        """Read one picture; see `Reader.read`."""
        return self.reader.read(value, kind, self.detectors)

    @property
    def name(self) -> str:
        """Folder and the beginning of its digest: what answers are signed with."""
        return f"{Path(self.bundle).name}@{self.reader.digest[:12]}"


class Champion:
    """Holds the model, and looks whether there is another.

    Parameters
    ----------
    path : str
        Of a bundle, or of a link to one.
    workers : int
        Threads that will read at once.
    pixels : int
        The most that a picture may have.
    looks : int, optional
        How often a hand is looked at, in place of what the bundle says.

    Raises
    ------
    AslsparkError
        Where there is no bundle that can be served.
    """

    def __init__(self, path: str, *, workers: int, pixels: int, looks: int | None = None) -> None:
        self._path, self._workers, self._pixels, self._looks = local_path(path), workers, pixels, looks
        self._lock = threading.Lock()
        self.switches = 0
        self.failures = 0
        self._seen = self._mark()
        self.now = self._load(None)

    def check(self) -> bool:
        """Look at the path, and exchange the model where it leads to another bundle.

        One that cannot be read is said in the log, once, and the model stays.

        Returns
        -------
        bool
            Whether the model was exchanged.
        """
        with self._lock:
            mark = self._mark()
            if mark is None or mark == self._seen:
                return False
            self._seen = mark
            try:
                served = self._load(self.now.detectors)
            except (AslsparkError, OSError, ValueError, KeyError, RuntimeError) as error:
                self.failures += 1
                log.error("the model stays %s: %s", self.now.name, error)
                return False
            if served.reader.digest == self.now.reader.digest:
                return False
            self.switches += 1  # first: who is answered by the new model finds the exchange counted
            before, self.now = self.now, served
            log.info("the model is now %s, in place of %s", served.name, before.name)
            if before.detectors is not None and before.detectors is not served.detectors:
                before.detectors.close()
            return True

    def close(self) -> None:
        """End the detectors."""
        if self.now.detectors is not None:
            self.now.detectors.close()

    def _mark(self) -> tuple[str, int, int] | None:
        """Tell cheaply which bundle the path leads to; None while there is none."""
        real = os.path.realpath(self._path)
        try:
            sums = os.stat(os.path.join(real, SUMS))
        except OSError:
            return None
        return real, sums.st_ino, sums.st_mtime_ns

    def _load(self, detectors: Detectors | None) -> Served:
        reader = Reader.load(self._path)
        reader.form = replace(reader.form, max_pixels=self._pixels)
        if reader.hands is not None and self._looks is not None:
            reader.hands = replace(reader.hands, looks=self._looks)
        # The first run of a network takes longest; no request is to wait for it.
        reader.read(np.zeros(int(np.prod(reader.form.shape)), np.float32), NUMBERS)
        wanted = None
        if reader.hands is not None:
            wanted = Detectors(reader.hands, self._workers)
            if detectors is not None and detectors.settings == wanted.settings:
                wanted = detectors
        return Served(reader, wanted, os.path.realpath(self._path), time.time())

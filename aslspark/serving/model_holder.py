"""Holds the model that is served, and exchanges it between requests when the bundle's path leads to another one.

In: a path, best a link that is moved. Out: a `Served`, which a request keeps to its end.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aslspark.bundle.files import SUMS
from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.common.store_path import StorePath, any_path
from aslspark.images.hands.hand import RIGHT, Hand
from aslspark.scoring.calibration import with_temperature
from aslspark.scoring.reader import Reader
from aslspark.serving.limits import Refused

log = logging.getLogger("aslspark.serving")

LONGEST_WAIT = 300.0
"""Seconds, at most, between two tries of a bundle that cannot be read: it may be on its way, or its disk not there."""
WATCHING, RETRYING = "watching", "retrying"
STATES = (WATCHING, RETRYING)


@dataclass(frozen=True)
class Served:
    """A model at work."""

    reader: Reader
    bundle: str
    """The folder, with links followed; in a store, as it was given."""
    since: float
    """Seconds since 1970."""

    @property
    def name(self) -> str:
        """The folder and the beginning of its digest, which each answer names."""
        return f"{Path(self.bundle).name}@{self.reader.digest[:12]}"


class ModelHolder:
    """Holds the model, and checks whether its path leads to another.

    Parameters
    ----------
    path : str
        A bundle, or a link to one; one in a store is looked at by its SHA256SUMS.
    pixels : int
        The most pixels of a picture.
    looks : int, optional
        How often a hand is looked at; None: as the bundle says.

    Raises
    ------
    AslsparkError
        Where there is no bundle that can be served.
    """

    def __init__(self, path: str, *, pixels: int, looks: int | None = None) -> None:
        self._path, self._pixels, self._looks = any_path(path), pixels, looks
        self._lock = threading.Lock()
        self.switches = 0
        self.failures = 0
        self.state = WATCHING
        """The outcome of the last look; one of STATES."""
        self.looked = time.monotonic()
        """When the path was last looked at, by `time.monotonic`."""
        self._last_error: str | None = None
        self._wait, self._next_try, self._is_gone = 0.0, 0.0, False
        self._mark = self._read_mark()
        self.current = self._load()

    def check(self, *, at_once: bool = True) -> bool:
        """Look at the path, and exchange the model where it leads to another bundle.

        Where the other bundle cannot be read, the model stays, the error is logged once, and the bundle is tried again
        after a time that doubles up to LONGEST_WAIT.

        Parameters
        ----------
        at_once : bool
            Try a bundle that could not be read again now, and not only when its time has come.

        Returns
        -------
        bool
            Whether the model was exchanged.

        Raises
        ------
        Refused
            503 where another look goes on.
        """
        if not self._lock.acquire(blocking=False):
            raise Refused(503, "the bundle's path is being looked at: try again soon")
        try:
            self.looked = time.monotonic()
            return self._look(at_once)
        except Exception as error:  # the watcher must live: an unforeseen error may be gone at the next look
            self._note_failure(error)
            return False
        finally:
            self._lock.release()

    def _look(self, at_once: bool) -> bool:
        mark = self._read_mark()
        self._is_gone = self._is_gone and mark is None
        if mark == self._mark:
            if mark is not None:
                self._note_success()
            return False
        if mark is None:
            if not self._is_gone:  # a link that is removed and made anew is gone for a moment
                self._is_gone = True
                return False
            raise AslsparkError(f"--model {self._path}: there is no bundle now")
        if not at_once and self.looked < self._next_try:
            return False
        served = self._load()
        if self._read_mark() != mark:
            raise AslsparkError(f"--model {self._path}: it changed while it was read")
        self._mark = mark
        self._note_success()
        if served.reader.digest == self.current.reader.digest:
            return False
        self.switches += 1  # before the exchange, so that whoever gets an answer of the new model finds it counted
        before, self.current = self.current, served
        log.info("the model is now %s, in place of %s", served.name, before.name)
        return True

    def _note_success(self) -> None:
        self.state, self._last_error, self._wait, self._next_try = WATCHING, None, 0.0, 0.0

    def _note_failure(self, error: Exception) -> None:
        self.failures += 1
        self.state = RETRYING
        self._wait = min(LONGEST_WAIT, 2 * self._wait or 1.0)
        self._next_try = time.monotonic() + self._wait
        message = redact(str(error) if isinstance(error, AslsparkError) else f"{type(error).__name__}: {error}")
        if message != self._last_error:
            self._last_error = message
            log.error("the model stays %s: %s", self.current.name, message)

    def _read_mark(self) -> tuple[str | int, ...] | None:
        """Return what tells bundles apart without reading them; None where there is none."""
        if isinstance(self._path, StorePath):
            try:
                return (hashlib.sha256((self._path / SUMS).read_bytes()).hexdigest(),)
            except OSError:
                return None
        real = os.path.realpath(self._path)
        try:
            sums = os.stat(os.path.join(real, SUMS))
        except OSError:
            return None
        return real, sums.st_ino, sums.st_mtime_ns

    def _load(self) -> Served:
        reader = Reader.load(str(self._path))
        reader.form = replace(reader.form, max_pixels=self._pixels)
        if reader.hands is not None and self._looks is not None:
            reader.hands = replace(reader.hands, options=replace(reader.hands.options, looks=self._looks))
        try_out(reader)
        bundle = str(self._path) if isinstance(self._path, StorePath) else os.path.realpath(self._path)
        return Served(reader, bundle, time.time())


def try_out(reader: Reader) -> None:
    """Run a network once and check its output; the first run takes longest, and no request should wait for it.

    Raises
    ------
    AslsparkError
        Where it does not run, or its output is no probabilities.
    """
    picture = np.random.default_rng(0).integers(0, 256, reader.form.shape, np.uint8)
    hand = Hand("plain", np.full((21, 3), 0.5, np.float32), np.zeros((21, 3), np.float32), RIGHT, 1.0)
    try:
        if reader.hands is not None:
            reader.hands.open()
        given = reader.probabilities(picture, hand if LANDMARKS in reader.network.inputs else None)
        tempered = with_temperature(given, reader.temperature)
    except Exception as error:  # onnxruntime has an error class for each fault of a network
        first = (str(error).splitlines() or [""])[0][:200]
        raise AslsparkError(f"--model: its network does not run: {first}") from error
    for numbers in (given, tempered):
        if not (np.isfinite(numbers).all() and (numbers >= 0).all() and abs(float(numbers.sum()) - 1) < 0.01):
            raise AslsparkError(
                f"--model: its network gives no probabilities, but numbers from {numbers.min():g} to "
                f"{numbers.max():g} with the sum {numbers.sum():g}; export it with its last layer, a softmax"
            )

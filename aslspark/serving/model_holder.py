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

from aslspark.bundle.files import SUMS
from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.redaction import redact
from aslspark.images.hands.hand import RIGHT, Hand
from aslspark.scoring.calibration import with_temperature
from aslspark.scoring.reader import Reader
from aslspark.serving.detectors import Detectors
from aslspark.serving.limits import Refused

log = logging.getLogger("aslspark.serving")

LONGEST_WAIT = 300.0
"""Seconds between two tries of a bundle that cannot be read: it may still be being copied, or lie on a disk that is
away."""
WATCHING, RETRYING = "watching", "retrying"
STATES = (WATCHING, RETRYING)


@dataclass(frozen=True)
class Served:
    """A model at work."""

    reader: Reader
    detectors: Detectors | None
    bundle: str
    """The folder, with links followed."""
    since: float
    """Seconds since 1970."""

    @property
    def name(self) -> str:
        """Folder and the beginning of its digest: what answers are signed with."""
        return f"{Path(self.bundle).name}@{self.reader.digest[:12]}"


class ModelHolder:
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
        self.state = WATCHING
        """Whether the last look went well; one of STATES."""
        self.looked = time.monotonic()
        """When the path was last looked at, by `time.monotonic`."""
        self._said: str | None = None
        self._wait, self._next_try, self._gone = 0.0, 0.0, False
        self._seen = self._mark()
        self.current = self._load(None)

    def check(self, *, at_once: bool = True) -> bool:
        """Look at the path, and exchange the model where it leads to another bundle.

        One that cannot be read is said in the log, once, and the model stays. It is tried again, after a time that
        doubles up to LONGEST_WAIT.

        Parameters
        ----------
        at_once : bool
            Do not wait for the time of the next try.

        Returns
        -------
        bool
            Whether the model was exchanged.

        Raises
        ------
        Refused
            503 where another look has not ended.
        """
        if not self._lock.acquire(blocking=False):
            raise Refused(503, "the bundle's path is being looked at: try again soon")
        try:
            self.looked = time.monotonic()
            return self._look(at_once)
        except Exception as error:  # the watcher must live: what it does not know may be over at the next look
            self._failed(error)
            return False
        finally:
            self._lock.release()

    def _look(self, at_once: bool) -> bool:
        mark = self._mark()
        self._gone = self._gone and mark is None
        if mark == self._seen:
            if mark is not None:
                self._well()
            return False
        if mark is None:
            if not self._gone:  # a link that is removed and made anew is away for a moment
                self._gone = True
                return False
            raise AslsparkError(f"--model {self._path}: there is no bundle now")
        if not at_once and self.looked < self._next_try:
            return False
        served = self._load(self.current.detectors)
        if self._mark() != mark:
            raise AslsparkError(f"--model {self._path}: it changed while it was read")
        self._seen = mark
        self._well()
        if served.reader.digest == self.current.reader.digest:
            return False
        self.switches += 1  # first: who is answered by the new model finds the exchange counted
        before, self.current = self.current, served
        log.info("the model is now %s, in place of %s", served.name, before.name)
        if before.detectors is not None and before.detectors is not served.detectors:
            before.detectors.close()
        return True

    def _well(self) -> None:
        self.state, self._said, self._wait, self._next_try = WATCHING, None, 0.0, 0.0

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.state = RETRYING
        self._wait = min(LONGEST_WAIT, 2 * self._wait or 1.0)
        self._next_try = time.monotonic() + self._wait
        said = redact(f"{type(error).__name__}: {error}" if not isinstance(error, AslsparkError) else str(error))
        if said != self._said:
            self._said = said
            log.error("the model stays %s: %s", self.current.name, said)

    def close(self) -> None:
        """End the detectors."""
        if self.current.detectors is not None:
            self.current.detectors.close()

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
        try_out(reader)
        wanted = None
        if reader.hands is not None:
            wanted = Detectors(reader.hands, self._workers)
            if detectors is not None and detectors.settings == wanted.settings:
                wanted = detectors
        return Served(reader, wanted, os.path.realpath(self._path), time.time())


def try_out(reader: Reader) -> None:
    """Run a network once, and look at what it gives; the first run takes longest, and no request is to wait for it.

    Parameters
    ----------
    reader : Reader

    Raises
    ------
    AslsparkError
        Where it does not run, or what it gives are no probabilities.
    """
    picture = np.random.default_rng(0).integers(0, 256, reader.form.shape, np.uint8)
    hand = Hand("plain", np.full((21, 3), 0.5, np.float32), np.zeros((21, 3), np.float32), RIGHT, 1.0)
    try:
        given = reader.probabilities(picture, hand if LANDMARKS in reader.network.inputs else None)
        said = with_temperature(given, reader.temperature)
    except Exception as error:  # onnxruntime has an error class for each fault of a network
        first = (str(error).splitlines() or [""])[0][:200]
        raise AslsparkError(f"--model: its network does not run: {first}") from error
    for numbers in (given, said):
        if not (np.isfinite(numbers).all() and (numbers >= 0).all() and abs(float(numbers.sum()) - 1) < 0.01):
            raise AslsparkError(
                f"--model: its network gives no probabilities, but numbers from {numbers.min():g} to "
                f"{numbers.max():g} with the sum {numbers.sum():g}; export it with its last layer, a softmax"
            )

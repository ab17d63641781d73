"""As many guarded hand detectors as there are threads that read; each takes one picture at a time."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from aslspark.images.hands.detector_process import DETECTOR, DetectorProcess
from aslspark.images.hands.hand import Hand
from aslspark.images.hands.options import HandOptions


class Detectors:
    """A stock of detectors, which several threads may call at once.

    Parameters
    ----------
    options : HandOptions
        Of which seconds, confidence and looks count.
    count : int
    """

    def __init__(self, options: HandOptions, count: int) -> None:
        self.settings = (options.seconds, options.confidence, options.looks)
        arguments = (options.confidence, options.looks)
        self._closed = False
        self._free: queue.LifoQueue[DetectorProcess] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(DetectorProcess(options.seconds, DETECTOR, arguments))

    def __call__(self, picture: npt.NDArray[np.uint8]) -> Hand:
        """Find the hand in a picture: uint8 (height, width, 3)."""
        with self._one() as guard:
            return guard(picture)

    def start(self) -> None:
        """Start one that has not been used yet, so that no picture waits for it."""
        self(np.zeros((8, 8, 3), np.uint8))

    def close(self) -> None:
        """End those that are free now, and the others when they are done; a late picture starts one for itself."""
        self._closed = True
        free = []
        with contextlib.suppress(queue.Empty):
            while True:
                free.append(self._free.get_nowait())
        for guard in free:
            guard.close()
            self._free.put(guard)

    @contextlib.contextmanager
    def _one(self) -> Iterator[DetectorProcess]:
        guard = self._free.get()
        try:
            yield guard
        finally:
            if self._closed:
                guard.close()
            self._free.put(guard)

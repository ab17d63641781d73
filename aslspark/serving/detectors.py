"""A pool of hand detectors, one for each thread that reads, each in a process of its own."""

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
    """A pool of detectors that several threads may call at once.

    Parameters
    ----------
    options : HandOptions
        Its seconds, confidence and looks are used.
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
        with self._borrowed() as detector:
            return detector(picture)

    def start(self) -> None:
        """Start a detector, so that no picture waits for it."""
        self(np.zeros((8, 8, 3), np.uint8))

    def close(self) -> None:
        """End the free detectors now and the others when they are done; a late picture starts one again."""
        self._closed = True
        free = []
        with contextlib.suppress(queue.Empty):
            while True:
                free.append(self._free.get_nowait())
        for detector in free:
            detector.close()
            self._free.put(detector)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[DetectorProcess]:
        detector = self._free.get()
        try:
            yield detector
        finally:
            if self._closed:
                detector.close()
            self._free.put(detector)

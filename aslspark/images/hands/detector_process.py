"""A picture -> its hand, by a detector in a child process: a picture that hangs or kills it costs that picture alone.

Each Python process has one child, which is kept from batch to batch and from task to task.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from aslspark.common.child_process import ChildDied, ChildProcess, ChildTimedOut
from aslspark.images.hands.hand import CRASHED, TIME_LIMIT, Hand
from aslspark.images.hands.options import HandOptions

DETECTOR = "aslspark.images.hands.detector:HandDetector"
ATTEMPTS = 2


class DetectorProcess:
    """A hand detector in a child process, which always answers.

    Parameters
    ----------
    seconds : float
        Time limit of one picture.
    factory : str
        module:name of a callable that returns the detector, a function from a picture to a `Hand`.
    arguments : sequence
        Of the factory; JSON.
    """

    def __init__(self, seconds: float, factory: str, arguments: tuple[Any, ...] = ()) -> None:
        self._seconds = seconds
        self._process = ChildProcess(factory, arguments, name="hand detector")

    def __call__(self, picture: npt.NDArray[np.uint8]) -> Hand:
        """Find the hand in a picture.

        Parameters
        ----------
        picture : ndarray of uint8, shape (height, width, 3)
            RGB.

        Returns
        -------
        Hand
            With `trouble` where the detector hung or died at this picture in both attempts.

        Raises
        ------
        ChildNotStarted
            Where the detector cannot be started; the message says why.
        """
        trouble = None
        for _ in range(ATTEMPTS):
            try:
                hand: Hand = self._process.ask(np.ascontiguousarray(picture), self._seconds)
                return hand
            except ChildTimedOut:
                trouble = TIME_LIMIT
            except ChildDied:
                trouble = CRASHED
        return Hand(trouble=trouble)

    def close(self) -> None:
        """End the child; the next picture starts a new one."""
        self._process.close()

    def kill(self) -> None:
        """End the child from another thread, at any moment."""
        self._process.kill()


_detectors: dict[tuple[int, float, float, int], DetectorProcess] = {}


def shared_detector(options: HandOptions) -> DetectorProcess:
    """Return this process's detector; Spark runs many tasks one after another in the same Python process."""
    key = (os.getpid(), options.seconds, options.confidence, options.looks)
    if key not in _detectors:
        for (process, *_), detector in _detectors.items():
            if process == os.getpid():  # a forked process must leave its parent's detector alone
                detector.close()
        _detectors.clear()
        _detectors[key] = DetectorProcess(options.seconds, DETECTOR, (options.confidence, options.looks))
    return _detectors[key]

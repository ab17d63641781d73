"""The detector in a process of its own, so that a picture which hangs or kills it costs that picture alone.

One child for each Python process that asks, kept from batch to batch and from task to task.
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
    """A detector that always answers.

    Parameters
    ----------
    seconds : float
        The time limit of a picture.
    factory : str
        module:name of what makes the detector: a callable from a picture to a `Hand`.
    arguments : sequence
        That it is made with; JSON.
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
            With `trouble` where the detector hung or died at this picture twice.

        Raises
        ------
        ChildNotStarted
            Where there is no detector to ask; it says why.
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
        """End the child; the next picture starts another."""
        self._process.close()

    def kill(self) -> None:
        """End the child from another thread, whatever it is at."""
        self._process.kill()


_guards: dict[tuple[int, float, float, int], DetectorProcess] = {}


def shared_detector(options: HandOptions) -> DetectorProcess:
    """Return this process's guard; Spark keeps its Python processes, and hands them task after task."""
    key = (os.getpid(), options.seconds, options.confidence, options.looks)
    if key not in _guards:
        for (process, *_), guard in _guards.items():
            if process == os.getpid():  # a fork must leave its parent's alone
                guard.close()
        _guards.clear()
        _guards[key] = DetectorProcess(options.seconds, DETECTOR, (options.confidence, options.looks))
    return _guards[key]

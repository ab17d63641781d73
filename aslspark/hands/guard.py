"""The detector in a process of its own, so that a picture which hangs or kills it costs that picture alone.

One child for each Python process that asks, kept from batch to batch and from task to task. It ends when its parent
does, in whatever way: the connection is then closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np
import numpy.typing as npt

from aslspark.hands.child import READY
from aslspark.hands.hand import CRASHED, TIME_LIMIT, Hand
from aslspark.hands.options import HandOptions

DETECTOR = "aslspark.hands.detector:HandDetector"
START_SECONDS = 120.0
"""For the child to load its models; on an idle machine it takes two."""

ATTEMPTS = 2


class Guard:
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

    def __init__(self, seconds: float, factory: str, arguments: tuple = ()) -> None:
        self._seconds, self._factory, self._arguments = seconds, factory, arguments
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

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
        """
        trouble = None
        for _ in range(ATTEMPTS):
            connection = self._connection or self._start()
            try:
                connection.send(picture.shape)
                connection.send_bytes(np.ascontiguousarray(picture).data.cast("B"))
                if connection.poll(self._seconds):
                    hand: Hand = connection.recv()
                    return hand
                trouble = TIME_LIMIT
            except (EOFError, OSError):
                trouble = CRASHED
            except BaseException:  # Ctrl-C: the answer to come would be taken for the next picture's
                self.close()
                raise
            self.close()
        return Hand(trouble=trouble)

    def close(self) -> None:
        """End the child; the next picture starts another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        number = theirs.fileno()
        words = [str(number), str(self._seconds), self._factory, json.dumps(self._arguments)]
        # What --py-files brought is on the path of this process alone. MediaPipe, absl and TFLite write to the
        # standard error of every process that loads them.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "aslspark.hands.child", *words],
            pass_fds=[number],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self._connection = ours
        said = None
        with contextlib.suppress(EOFError, OSError):
            said = ours.recv() if ours.poll(START_SECONDS) else f"nothing within {START_SECONDS:.0f} s"
        if said != READY:
            code = self._child.poll()
            self.close()
            raise RuntimeError(f"the hand detector does not start (exit code {code}): {said}")
        return ours


_guards: dict[tuple[int, float, float, int], Guard] = {}


def guard_of(options: HandOptions) -> Guard:
    """Return this process's guard; Spark keeps its Python processes, and hands them task after task."""
    key = (os.getpid(), options.seconds, options.confidence, options.looks)
    if key not in _guards:
        for (process, *_), guard in _guards.items():
            if process == os.getpid():  # a fork must leave its parent's alone
                guard.close()
        _guards.clear()
        _guards[key] = Guard(options.seconds, DETECTOR, (options.confidence, options.looks))
    return _guards[key]

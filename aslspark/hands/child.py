"""The process that holds the detector: `python -m aslspark.hands.child DESCRIPTOR SECONDS FACTORY ARGUMENTS`.

Reads pictures from the connection, answers each with a `Hand`, and ends when the other end is closed.
"""

from __future__ import annotations

import importlib
import json
import math
import signal
import sys
import traceback
from multiprocessing.connection import Connection

import numpy as np

READY = "ready"
GRACE_SECONDS = 2
"""That a child outlives its time limit, where nobody is left to end it."""


def main(descriptor: int, seconds: float, factory: str, arguments: list) -> None:
    """Answer pictures until the connection is closed.

    Parameters
    ----------
    descriptor : int
        Of the inherited connection.
    seconds : float
        The time limit of a picture.
    factory : str
        module:name of what makes the detector.
    arguments : list
        That it is made with.
    """
    connection = Connection(descriptor)
    # The kernel ends a detector that hangs in C too, even when the parent is gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    try:
        module, _, name = factory.partition(":")
        detect = getattr(importlib.import_module(module), name)(*arguments)
    except Exception:
        connection.send(traceback.format_exc())
        return
    connection.send(READY)
    try:
        while True:
            shape = connection.recv()
            picture = np.frombuffer(connection.recv_bytes(), np.uint8).reshape(shape)
            signal.alarm(math.ceil(seconds) + GRACE_SECONDS)
            hand = detect(picture)
            signal.alarm(0)
            connection.send(hand)
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))

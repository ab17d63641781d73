"""What a child of `child_process` runs: messages come over the connection, the answers go back.

In: pairs of seconds and message. Out: READY, then an answer each; a `Question` where the function asks back.
"""

from __future__ import annotations

import importlib
import math
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

READY = "ready"
GRACE_SECONDS = 2
"""That a child outlives its time limit, where nobody is left to end it."""
_START_SECONDS = 180


@dataclass(frozen=True)
class Question:
    """What a function asks its parent before it can answer."""

    value: Any


_parent: Connection | None = None


def ask_parent(value: Any) -> Any:
    """Ask the parent from within a function that runs here; the time limit rests meanwhile.

    Parameters
    ----------
    value : object
        What the `answer` of `ChildProcess.ask` takes.
    """
    assert _parent is not None, "this is no child"
    left = signal.alarm(0)
    _parent.send(Question(value))
    got = _parent.recv()
    signal.alarm(max(1, left))
    return got


def main(descriptor: int, factory: str, arguments: list[Any]) -> None:
    """Answer messages until the connection is closed.

    Parameters
    ----------
    descriptor : int
        Of the inherited connection.
    factory : str
        module:name of what makes the function.
    arguments : list
        That it is made with.
    """
    global _parent
    _parent = connection = Connection(descriptor)
    # The kernel ends a function that hangs in C too, even when the parent is gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Ctrl-C and a service manager's signals reach the whole group; the parent says when its children end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.alarm(_START_SECONDS)
    try:
        module, _, name = factory.partition(":")
        function: Callable[[Any], Any] = getattr(importlib.import_module(module), name)(*arguments)
    except Exception:
        connection.send(traceback.format_exc())
        return
    signal.alarm(0)
    connection.send(READY)
    try:
        while True:
            seconds, message = connection.recv()
            signal.alarm(math.ceil(seconds) + GRACE_SECONDS)
            answer = function(message)
            signal.alarm(0)
            connection.send(answer)
    except (EOFError, OSError):
        return

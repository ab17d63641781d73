"""The main loop of a child of `child_process`: messages in, answers out, over one connection.

In: pairs of a time limit in seconds and a message. Out: READY, then an answer for each message, or a `Question` to the
parent.
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
"""How long a child outlives its time limit before the kernel ends it, where the parent is gone."""
_START_SECONDS = 180


@dataclass(frozen=True)
class Question:
    """What the child asks its parent before it can answer."""

    value: Any


_parent: Connection | None = None


def ask_parent(value: Any) -> Any:
    """Ask the parent from within the child's function; the time limit is paused meanwhile.

    Parameters
    ----------
    value : object
        What the `answer` of `ChildProcess.ask` takes.
    """
    assert _parent is not None, "this process is no child"
    seconds_left = signal.alarm(0)
    _parent.send(Question(value))
    reply = _parent.recv()
    signal.alarm(max(1, seconds_left))
    return reply


def main(descriptor: int, factory: str, arguments: list[Any]) -> None:
    """Answer messages until the connection is closed.

    Parameters
    ----------
    descriptor : int
        Of the inherited connection.
    factory : str
        module:name of a callable that returns the function.
    arguments : list
        Of the factory.
    """
    global _parent
    _parent = connection = Connection(descriptor)
    # By default the signal ends the process: also a function that hangs in C, also when the parent is gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Ctrl-C and a service manager's signals reach the whole process group; the parent ends its children itself.
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

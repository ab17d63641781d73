"""What a worker process runs: a function, while a thread gives signs of life. Imports no framework and no Spark.

In: over a connection to the Spark task that started it, the rank's environment, the pickled function and its job. Out,
over the same: signs of life, what the function reports, its result or its traceback.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from aslspark.common.errors import AslsparkError
from aslspark.training.launch.mailbox import SIGN_OF_LIFE_SECONDS

if TYPE_CHECKING:  # it needs numpy, and what forks workers is to begin without
    from aslspark.training.events import Event

ALIVE, AT_WORK, EVENT, RESULT, FAILED = "alive", "at work", "event", "result", "failed"
_PR_SET_PDEATHSIG = 1

_task: Connection | None = None
_began = 0.0
_lock = threading.Lock()


def report(event: Event) -> None:
    """Tell the driver something, from a worker; a process that no launcher has started has nobody to tell."""
    _tell(EVENT, event)


def at_work() -> None:
    """Say that this rank has joined the others: from here on a silence of seconds means that it hangs."""
    _tell(AT_WORK)


def began() -> float:
    """Return the wall clock when this process began to work, before it imported what was not there yet."""
    return _began


def main(descriptor: int, parent: int) -> None:
    """Do the work.

    Parameters
    ----------
    descriptor : int
        Of the inherited connection.
    parent : int
        The process that started this one, and without which it ends.
    """
    global _task, _began
    _began = time.time()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Spark's processes may ignore it, and so hand that on
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)  # the task wants to know where this process hangs
    _task = Connection(descriptor)
    env, work = pickle.loads(_task.recv_bytes())
    os.environ.update(env)
    threading.Thread(target=_give_signs_of_life, daemon=True).start()
    # What is imported stays to the end: a search for garbage in it is 0.9 s of TensorFlow's import, 0.2 s of torch's.
    # `aslspark.training.worker` turns that on again before it trains.
    gc.disable()
    try:
        function, job = pickle.loads(work)
        result = function(job)
    except BaseException as error:
        ours = str(error) if isinstance(error, AslsparkError) else None
        _tell(FAILED, {"traceback": traceback.format_exc(), "ours": ours})
        sys.exit(1)
    else:
        import cloudpickle

        _tell(RESULT, cloudpickle.dumps(result))
        with suppress(EOFError):  # the others may still need this rank, until the task closes the connection
            _task.recv_bytes()
    finally:
        gc.freeze()  # Python looks through everything as it ends: 0.9 s where TensorFlow is, 0.3 s where torch is


def _give_signs_of_life() -> None:
    while True:
        _tell(ALIVE)
        time.sleep(SIGN_OF_LIFE_SECONDS)


def _tell(kind: str, content: Any = None) -> None:
    if _task is not None:
        with _lock, suppress(BrokenPipeError):  # the task is over, and this process with it
            _task.send((kind, content))

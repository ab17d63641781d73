"""A function in a process of its own, with a time limit: one that hangs, dies or stops reading costs one message.

In: a message, and the seconds that its answer may take. Out: the answer; or `ChildTimedOut` or `ChildDied`, and the
next message starts another process. A child ends when its parent does, in whatever way: its connection is then closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aslspark
from aslspark.common.child_main import READY, Question

START_SECONDS = 120.0
"""For the child to import and make its function; a detector's models take two on an idle machine."""

_SERVE = "from aslspark.common.child_main import main; main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))"
_RUN = "import runpy; del sys.argv[0]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


class ChildFailed(Exception):  # noqa: N818  (its two kinds say what befell the child)
    """The child gave no answer, and was ended."""


class ChildTimedOut(ChildFailed):
    """The answer took longer than allowed, or the child did not read the message."""


class ChildDied(ChildFailed):
    """The child ended at the message."""


class ChildNotStarted(RuntimeError):  # noqa: N818  (of a family with the others)
    """The child cannot be started at all; the message says why."""


class ChildProcess:
    """A callable that runs in a child; for one thread at a time.

    Parameters
    ----------
    factory : str
        module:name of what makes the callable.
    arguments : sequence
        That it is made with; JSON.
    name : str
        What the child is called in errors.
    niceness : int
        Added to the child's: a larger one leaves the processor to others.
    """

    def __init__(self, factory: str, arguments: tuple[Any, ...] = (), *, name: str, niceness: int = 0) -> None:
        self._factory, self._arguments, self._name, self._niceness = factory, arguments, name, niceness
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def ask(self, message: Any, seconds: float, answer: Callable[[Any], Any] | None = None) -> Any:
        """Hand the child a message, and return its answer.

        Parameters
        ----------
        message : object
            Anything that can be pickled.
        seconds : float
            For the child's own work, from writing the message to reading the answer.
        answer : callable, optional
            Answers what the child asks back meanwhile; that time does not count.

        Raises
        ------
        ChildTimedOut, ChildDied
            The child is ended; the next message starts another.
        ChildNotStarted
        """
        connection = self._connection or self.start()
        left = seconds
        to_send: Any = (seconds, message)
        while True:
            got, left = self._exchange(connection, to_send, left)
            if not isinstance(got, Question):
                return got
            try:
                assert answer is not None
                to_send = answer(got.value)
            except BaseException:  # the child waits for an answer that will not come
                self.close()
                raise

    def start(self) -> Connection:
        """Start the child, where there is none, and wait until it is ready.

        Raises
        ------
        ChildNotStarted
        """
        if self._connection is not None:
            return self._connection
        ours, theirs = Pipe()
        number = theirs.fileno()
        # What MediaPipe, absl and TFLite write to the standard error of every process that loads them is not read.
        self._child = subprocess.Popen(
            isolated_command(_SERVE, str(number), self._factory, json.dumps(self._arguments)),
            pass_fds=[number],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self._connection = ours
        if self._niceness:
            with contextlib.suppress(OSError):  # it has ended already
                os.setpriority(os.PRIO_PROCESS, self._child.pid, os.getpriority(os.PRIO_PROCESS, 0) + self._niceness)
        said = None
        with contextlib.suppress(EOFError, OSError):
            said = ours.recv() if ours.poll(START_SECONDS) else f"nothing within {START_SECONDS:.0f} s"
        if said != READY:
            code = self._child.poll()
            self.close()
            raise ChildNotStarted(f"the {self._name} does not start (exit code {code}): {said}")
        return ours

    def close(self) -> None:
        """End the child; the next message starts another."""
        child, self._child = self._child, None
        connection, self._connection = self._connection, None
        if child is not None:
            child.kill()
            child.wait()
        if connection is not None:
            connection.close()

    def kill(self) -> None:
        """End the child from another thread: who waits for its answer gets `ChildDied`."""
        child = self._child
        if child is not None:
            child.kill()

    def _exchange(self, connection: Connection, message: Any, seconds: float) -> tuple[Any, float]:
        """Send and receive, and return what came and the seconds that are left; a watchdog bounds both."""
        watchdog = _Watchdog(self._child, seconds)
        try:
            connection.send(message)
            got = connection.recv()
        except (EOFError, OSError) as error:
            late = watchdog.stop()
            self.close()
            if late:
                raise ChildTimedOut(f"no answer within {seconds:g} s") from error
            raise ChildDied(f"the {self._name} ended at it") from error
        except BaseException:  # Ctrl-C: the answer to come would be taken for the next message's
            watchdog.stop()
            self.close()
            raise
        if watchdog.stop():
            self.close()  # it was ended as it answered
            if isinstance(got, Question):
                raise ChildTimedOut(f"no answer within {seconds:g} s")
        return got, watchdog.left


class _Watchdog:
    """Ends a child after some seconds: a pipe that nobody reads has no time limit of its own."""

    def __init__(self, child: subprocess.Popen[bytes] | None, seconds: float) -> None:
        self._child, self._lock, self._stopped, self._late = child, threading.Lock(), False, False
        self._seconds, self.left = seconds, seconds
        self._timer = threading.Timer(max(0.0, seconds), self._end)
        self._timer.daemon = True
        self._began = time.monotonic()
        self._timer.start()

    def stop(self) -> bool:
        """Return whether the child was ended; from now on it will not be."""
        with self._lock:
            self._stopped = True
        self._timer.cancel()
        self.left = max(0.0, self._seconds - (time.monotonic() - self._began))
        return self._late

    def _end(self) -> None:
        with self._lock:
            if not self._stopped and self._child is not None:
                self._late = True
                self._child.kill()


def module_command(module: str, *words: str) -> list[str]:
    """Return the command that runs a module as `python -m` does, without the working directory on its path.

    Parameters
    ----------
    module : str
    *words : str
        Of its command line.
    """
    return isolated_command(_RUN, module, *words)


def isolated_command(code: str, *words: str) -> list[str]:
    """Return the command that runs code without the working directory on its path.

    Parameters
    ----------
    code : str
        Python, for which `json` and `sys` are imported.
    *words : str
        Of its command line: what it finds in ``sys.argv[1:]``.
    """
    # `-I` keeps the working directory, the user's site-packages and PYTHON* out: the path comes from here, whole.
    start = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1))"
    return [sys.executable, "-I", "-c", f"{start}\n{code}", json.dumps(import_path()), *words]


def import_path() -> list[str]:
    """Return what a child imports from: this process's path without the working directory.

    A folder of pictures that somebody filled may hold a `numpy.py`. Where the package itself was found in the
    working directory, that comes last, so that nothing in it stands before what is installed.

    Returns
    -------
    list of str
    """
    here = os.path.realpath(os.getcwd()) if os.path.isdir(".") else None
    path = [entry for entry in map(os.path.abspath, filter(None, sys.path)) if os.path.realpath(entry) != here]
    home = str(Path(aslspark.__file__).resolve().parent.parent)
    return path if home in map(os.path.realpath, path) else [*path, home]

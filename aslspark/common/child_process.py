"""A function in a child process with a time limit: a call that hangs or dies costs one message, not the parent.

In: a message, and the seconds that its answer may take. Out: the answer; or `ChildTimedOut` or `ChildDied`, and the
next message starts a new child. A child ends with its parent, however that ends: its connection is then closed.
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
from typing import Any

from aslspark.common.child_main import READY, Question
from aslspark.common.package import HOME

START_SECONDS = 120.0
"""For the child to import and to build its function; one that decodes pictures takes 0.5 s on an idle machine."""

_SERVE = "from aslspark.common.child_main import main; main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))"
_RUN = "import runpy; del sys.argv[0]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


class ChildFailed(Exception):  # noqa: N818  (the subclasses say what happened)
    """The child gave no answer and was ended."""


class ChildTimedOut(ChildFailed):
    """The answer took longer than allowed, or the child did not read the message."""


class ChildDied(ChildFailed):
    """The child ended while it worked on the message."""


class ChildNotStarted(RuntimeError):  # noqa: N818  (of a family with the others)
    """The child cannot be started; the message says why."""


class ChildProcess:
    """A callable that runs in a child process; for one thread at a time.

    Parameters
    ----------
    factory : str
        module:name of a callable that returns the function.
    arguments : sequence
        Of the factory; JSON.
    name : str
        Of the child, for errors.
    niceness : int
        Added to the parent's: the larger, the more processor time is left to others.
    """

    def __init__(self, factory: str, arguments: tuple[Any, ...] = (), *, name: str, niceness: int = 0) -> None:
        self._factory, self._arguments, self._name, self._niceness = factory, arguments, name, niceness
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def ask(self, message: Any, seconds: float, answer: Callable[[Any], Any] | None = None) -> Any:
        """Send the child a message, and return its answer.

        Parameters
        ----------
        message : object
            Anything that can be pickled.
        seconds : float
            Time limit of the child's own work, from sending the message to receiving the answer.
        answer : callable, optional
            Answers the child's questions; that time does not count.

        Raises
        ------
        ChildTimedOut, ChildDied
            The child is ended; the next message starts a new one.
        ChildNotStarted
        """
        connection = self._connection or self.start()
        seconds_left = seconds
        to_send: Any = (seconds, message)
        while True:
            reply, seconds_left = self._exchange(connection, to_send, seconds_left)
            if not isinstance(reply, Question):
                return reply
            try:
                assert answer is not None
                to_send = answer(reply.value)
            except BaseException:  # the child waits for an answer that will not come
                self.close()
                raise

    def start(self) -> Connection:
        """Start the child if there is none, and wait until it is ready.

        Raises
        ------
        ChildNotStarted
        """
        if self._connection is not None:
            return self._connection
        ours, theirs = Pipe()
        descriptor = theirs.fileno()
        # Libraries in C write notes to standard error, which nobody reads.
        self._child = subprocess.Popen(
            isolated_command(_SERVE, str(descriptor), self._factory, json.dumps(self._arguments)),
            pass_fds=[descriptor],
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
        first_message = None
        with contextlib.suppress(EOFError, OSError):
            first_message = ours.recv() if ours.poll(START_SECONDS) else f"nothing within {START_SECONDS:.0f} s"
        if first_message != READY:
            code = self._child.poll()
            self.close()
            raise ChildNotStarted(f"the {self._name} does not start (exit code {code}): {first_message}")
        return ours

    def close(self) -> None:
        """End the child; the next message starts a new one."""
        child, self._child = self._child, None
        connection, self._connection = self._connection, None
        if child is not None:
            child.kill()
            child.wait()
        if connection is not None:
            connection.close()

    def kill(self) -> None:
        """End the child from another thread; the thread that waits for its answer gets `ChildDied`."""
        child = self._child
        if child is not None:
            child.kill()

    def _exchange(self, connection: Connection, message: Any, seconds: float) -> tuple[Any, float]:
        """Send a message under a time limit, and return the reply and the seconds that are left."""
        watchdog = _Watchdog(self._child, seconds)
        try:
            connection.send(message)
            reply = connection.recv()
        except (EOFError, OSError) as error:
            late = watchdog.stop()
            self.close()
            if late:
                raise ChildTimedOut(f"no answer within {seconds:g} s") from error
            raise ChildDied(f"the {self._name} ended at it") from error
        except BaseException:  # Ctrl-C: a late answer would be taken for that of the next message
            watchdog.stop()
            self.close()
            raise
        if watchdog.stop():
            self.close()  # the limit was reached just as the answer came
            if isinstance(reply, Question):
                raise ChildTimedOut(f"no answer within {seconds:g} s")
        return reply, watchdog.seconds_left


class _Watchdog:
    """Ends a child after some seconds: writing to a pipe that nobody reads has no time limit of its own."""

    def __init__(self, child: subprocess.Popen[bytes] | None, seconds: float) -> None:
        self._child, self._lock, self._stopped, self._late = child, threading.Lock(), False, False
        self._seconds, self.seconds_left = seconds, seconds
        self._timer = threading.Timer(max(0.0, seconds), self._end)
        self._timer.daemon = True
        self._began = time.monotonic()
        self._timer.start()

    def stop(self) -> bool:
        """Disarm the watchdog, and return whether it has ended the child."""
        with self._lock:
            self._stopped = True
        self._timer.cancel()
        self.seconds_left = max(0.0, self._seconds - (time.monotonic() - self._began))
        return self._late

    def _end(self) -> None:
        with self._lock:
            if not self._stopped and self._child is not None:
                self._late = True
                self._child.kill()


def module_command(module: str, *words: str) -> list[str]:
    """Return the command that runs a module as `python -m` does, with `import_path` as its path.

    Parameters
    ----------
    *words : str
        The arguments of the module.
    """
    return isolated_command(_RUN, module, *words)


def isolated_command(code: str, *words: str) -> list[str]:
    """Return the command that runs code with `import_path` as its path.

    Parameters
    ----------
    code : str
        Python, for which `json` and `sys` are imported.
    *words : str
        ``sys.argv[1:]`` of the code.
    """
    # `-I` leaves out the working directory, the user's site-packages and PYTHON*; the whole path is passed on.
    start = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1))"
    return [sys.executable, "-I", "-c", f"{start}\n{code}", json.dumps(import_path()), *words]


def import_path() -> list[str]:
    """Return the import path of a child: this process's path without the working directory.

    A folder of pictures from elsewhere may hold a `numpy.py`. Where the package itself lies in the working directory,
    that comes last, so that nothing in it hides an installed module.
    """
    here = os.path.realpath(os.getcwd()) if os.path.isdir(".") else None
    path = [entry for entry in map(os.path.abspath, filter(None, sys.path)) if os.path.realpath(entry) != here]
    return path if HOME in map(os.path.realpath, path) else [*path, HOME]

"""A worker process, from the task that starts it; `aslspark.training.launch.child` is what runs in it.

In: its environment and its work. Out: what it says, its last words, where it hangs, how it ended.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from aslspark.common.child_process import isolated_command
from aslspark.training.launch.fork_server import ForkedProcess, NoForkServer

_BOOT = "from aslspark.training.launch.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
ENDING_SECONDS = 1.5
"""That a process with a result has to end by itself: less than what makes the driver take its task for gone."""
STACK_SECONDS = 0.5
"""That a hanging process has to say where."""
LAST_WORDS = 4000
"""Characters of output that are kept."""


class WorkerProcess:
    """Starts the process, which dies with the task.

    Parameters
    ----------
    env : mapping
        What is added to the task's environment from the start: glibc and OpenMP read their settings once.
    rank_env : mapping
        What is added before it works.
    work : bytes
        The pickled function and its job.
    modules : sequence of str
        What it may find imported; see `aslspark.training.launch.fork_server`. None: it is a process of its own.
    meanwhile : callable
        Is called again and again until what imports them runs.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        rank_env: Mapping[str, str],
        work: bytes,
        modules: Sequence[str],
        meanwhile: Callable[[], None],
    ) -> None:
        env = {**os.environ, **env}
        self._connection, theirs = Pipe()
        self._output, output = os.pipe()
        try:
            forked = _forked(env, modules, theirs.fileno(), output, meanwhile) if modules else None
            self._process = forked or _started(env, theirs.fileno(), output)
        finally:
            theirs.close()
            os.close(output)
        self._open: list[Any] = [self._connection, self._output]
        self._said = b""
        with suppress(OSError):  # it has ended at once, and its exit code says so
            self._connection.send_bytes(pickle.dumps((dict(rank_env), work)))

    @property
    def last_words(self) -> str:
        """What it wrote at last."""
        return self._said.decode(errors="replace").strip()

    def exit_code(self) -> int | None:
        """Tell how it ended; None: it runs."""
        return self._process.poll()

    def messages(self, seconds: float) -> Iterator[tuple[str, Any]]:
        """Wait for some seconds at most, and give what it has said, as pairs of kind and content."""
        if not self._open:
            time.sleep(seconds)
        while ready := wait(self._open, seconds) if self._open else []:
            for source in ready:
                try:
                    if source == self._output:
                        self._hear(os.read(self._output, 1 << 16))
                    else:
                        yield self._connection.recv()
                except (EOFError, OSError):
                    self._open.remove(source)
            seconds = 0.0

    def stack(self) -> str:
        """Ask a process that hangs where it does; empty where it can no longer say."""
        before, self._said = self._said, b""
        self._process.send_signal(signal.SIGUSR1)
        self._process.send_signal(signal.SIGCONT)  # where somebody has stopped it
        until = time.monotonic() + STACK_SECONDS
        while time.monotonic() < until:
            for _ in self.messages(0.1):
                pass
        stack, self._said = self.last_words, before + self._said
        return stack

    def end(self, at_once: bool) -> None:
        """End it; one that is done may take a moment to do so by itself."""
        self._connection.close()
        try:
            self._process.wait(0 if at_once else ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._output)

    def _hear(self, piece: bytes) -> None:
        if not piece:
            raise EOFError
        self._said = (self._said + piece)[-LAST_WORDS:]


def _forked(
    env: Mapping[str, str], modules: Sequence[str], connection: int, output: int, meanwhile: Callable[[], None]
) -> ForkedProcess | None:
    with suppress(NoForkServer):
        return ForkedProcess(env, modules, connection, output, meanwhile)
    return None


def _started(env: Mapping[str, str], connection: int, output: int) -> subprocess.Popen[bytes]:
    """Start a process that has imported nothing."""
    python, *rest = isolated_command(_BOOT, str(connection), str(os.getpid()))
    return subprocess.Popen(
        [python, "-u", *rest],  # its last words are to be heard, however it ends
        env=env,
        pass_fds=[connection],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is the driver's
    )

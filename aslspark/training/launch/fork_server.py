"""A process that has imported what workers begin with, and forks them: one for all tasks of a Spark executor.

In: from tasks of this user on this host, the descriptors of a worker's connection and output. Out: the worker's number,
and how it ended. Imports no Spark.

The processes of a fit spend seconds on imports, each of them, and those of a search do so again and again. Here they
are imported once an executor, and once for all fits that follow each other within a minute.
"""

from __future__ import annotations

import faulthandler
import gc
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait

from aslspark.common.child_process import import_path, isolated_command
from aslspark.training.launch import child
from aslspark.training.launch.mailbox import SIGN_OF_LIFE_SECONDS

IDLE_SECONDS = 60.0
"""That it waits for another fit: as long as Spark keeps an idle Python worker."""
START_SECONDS = 60.0
"""That it has to listen, which it does before it imports."""
REQUEST_SECONDS = 5.0
"""That a task which has connected may take to send what it asks for."""
LOOK_SECONDS = 0.05
_BOOT = "from aslspark.training.launch.fork_server import main; main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])"
_OF_ONE_WORKER = ("SPARK_", "PYSPARK_", "PYTHON_WORKER_")
"""With what the names of variables begin that Spark gives a Python worker for itself."""


class NoForkServer(Exception):  # noqa: N818  (no error: the worker is started by itself)
    """It cannot be started here, such as by a kernel before Linux 5.3."""


class ForkedProcess:
    """A worker that the server forks as soon as it has imported, with what is asked of a `subprocess.Popen`.

    It dies with this process.

    Parameters
    ----------
    env : mapping
        Its environment.
    modules : sequence of str
        What the server imports: neither threads nor CUDA may come of it. Where a module has a function `before_fork`,
        that is called.
    connection, output : int
        Descriptors: its connection to the task, and what it writes.
    meanwhile : callable
        Is called again and again until the server listens; what it raises ends the waiting.

    Raises
    ------
    NoForkServer
    """

    def __init__(
        self,
        env: Mapping[str, str],
        modules: Sequence[str],
        connection: int,
        output: int,
        meanwhile: Callable[[], None],
    ) -> None:
        self._server, self._server_pid = _connected(env, modules, output, meanwhile)
        try:
            socket.send_fds(self._server, [b"work"], [connection, output])
        except OSError as error:  # it has waited for long enough, and ended just now
            raise NoForkServer from error
        self.pid: int | None = None
        self._code: int | None = None

    def poll(self) -> int | None:
        """Tell how it ended; None: it runs, or is still to be forked."""
        while self._code is None and wait([self._server], 0):
            self._hear()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and tell how.

        Raises
        ------
        subprocess.TimeoutExpired
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            if not wait([self._server], None if until is None else max(0.0, until - time.monotonic())):
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            self._hear()
        self._server.close()
        return self._code

    def send_signal(self, sign: int) -> None:
        """Send it a signal, or the server as long as that still imports."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid or self._server_pid, sign)

    def kill(self) -> None:
        """End it: the server does so with a worker whose task hangs up. One that has not forked may hang itself."""
        if self.pid is None:
            self._code = -signal.SIGKILL
            with suppress(ProcessLookupError):
                os.kill(self._server_pid, signal.SIGKILL)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def _hear(self) -> None:
        try:
            said = self._server.recv(100)
        except OSError:
            said = b""
        news = json.loads(said or '{"code": -9}')  # the server is gone, and what it has forked with it
        self.pid, self._code = news.get("pid", self.pid), news.get("code")


def _connected(
    env: Mapping[str, str], modules: Sequence[str], output: int, meanwhile: Callable[[], None]
) -> tuple[socket.socket, int]:
    """Connect to this executor's server with such imports and environment, which is started where there is none.

    Its process's number is returned, too.
    """
    executor = os.getppid()
    name = _name(env, modules, executor)
    until = time.monotonic() + START_SECONDS
    server: subprocess.Popen[bytes] | None = None
    while time.monotonic() < until:
        over = server is not None and server.poll() is not None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(f"\0{name}")
        except ConnectionRefusedError:
            connection.close()
        else:
            return connection, _own_peer(connection)
        if over:  # and none of another task has the name
            break
        if server is None:
            python, *rest = isolated_command(_BOOT, name, str(executor), *modules)
            server = subprocess.Popen(
                [python, "-u", *rest],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        meanwhile()
        time.sleep(LOOK_SECONDS)
    raise NoForkServer


def _name(env: Mapping[str, str], modules: Sequence[str], executor: int) -> str:
    """Make the name that processes of one executor share if they begin alike; no file has it."""
    shared = {name: value for name, value in env.items() if not name.startswith(_OF_ONE_WORKER)}
    namespaces = [os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("pid", "mnt")]
    beginning = json.dumps([sys.executable, import_path(), shared, list(modules), namespaces], sort_keys=True)
    return f"aslspark-{os.getuid()}-{executor}-{hashlib.sha256(beginning.encode()).hexdigest()[:32]}"


def _own_peer(connection: socket.socket) -> int:
    """Return the number of the process at the other end, which may not be another user's: any may take such a name."""
    pid, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    if user != os.getuid():
        connection.close()
        raise PermissionError(f"a process of user {user} is at the other end of a worker's socket")
    return int(pid)


@dataclass(frozen=True, eq=False)
class _Request:
    """What a task has sent: where it hears of the worker, and the worker's end of two other connections."""

    task: socket.socket
    connection: int
    output: int


@dataclass(frozen=True, eq=False)
class _Worker:
    """A process that was forked for a task."""

    task: socket.socket
    pid: int


def main(name: str, executor: int, modules: Sequence[str]) -> None:
    """Import modules and fork a worker for each task that asks, until the executor is gone or none asks for a minute.

    Parameters
    ----------
    name : str
        Of the socket. Where another process has it already, this one ends.
    executor : int
        The process without which this one ends, and all that it has forked.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(f"\0{name}")
        alive = os.pidfd_open(executor)
    except OSError:
        return
    listener.listen(1024)
    # What is imported stays to the end: a search for garbage in it is 0.9 s of TensorFlow's import, 0.2 s of torch's.
    # `aslspark.training.worker` turns that on again before it trains.
    gc.disable()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)  # a task wants to know where its worker hangs, and the worker is still this
    requests = _import(modules, listener)
    gc.freeze()
    faulthandler.unregister(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):  # until now they were the first worker's
        os.dup2(nothing, descriptor)
    own = os.getpid()
    workers: dict[int, _Worker] = {}  # by the descriptor that is ready when the process has ended
    while True:
        for request in requests:
            pid = os.fork()
            if pid == 0:
                _become(request, [listener, *(worker.task for worker in workers.values())])
                return child.main(request.connection, own)
            workers[os.pidfd_open(pid)] = _Worker(request.task, pid)
            _tell(request.task, pid=pid)
            os.close(request.connection)
            os.close(request.output)
        tasks = [worker.task for worker in workers.values()]
        ready = wait([listener, alive, *workers, *tasks], None if workers else IDLE_SECONDS)
        if alive in ready or not ready:
            return None
        for descriptor in [each for each in workers if each in ready]:
            worker = workers.pop(descriptor)
            _, status = os.waitpid(worker.pid, 0)
            _tell(worker.task, code=os.waitstatus_to_exitcode(status))
            worker.task.close()
            os.close(descriptor)
        for worker in workers.values():
            if worker.task in ready:  # it has hung up, or is gone
                os.kill(worker.pid, signal.SIGKILL)
        requests = _accepted(listener) if listener in ready else []


def _import(modules: Sequence[str], listener: socket.socket) -> list[_Request]:
    """Import, and return what tasks asked for meanwhile; they get signs of life from a thread that is over then."""
    requests: list[_Request] = []
    over, is_over = os.pipe()

    def answer() -> None:
        while over not in (ready := wait([listener, over], SIGN_OF_LIFE_SECONDS)):
            requests.extend(_accepted(listener) if listener in ready else [])
            for request in requests:
                connection = Connection(os.dup(request.connection))
                with suppress(OSError):
                    connection.send((child.ALIVE, None))
                connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        for name in modules:
            with suppress(Exception):  # the worker meets it again, and says so
                getattr(import_module(name), "before_fork", lambda: None)()
    finally:
        os.close(is_over)
        thread.join()
        os.close(over)
    return requests


def _accepted(listener: socket.socket) -> list[_Request]:
    """Return what the next task that connects asks for; nothing where it is gone again, or another user's."""
    task, _ = listener.accept()
    task.settimeout(REQUEST_SECONDS)
    try:
        _own_peer(task)
        _, (connection, output), _, _ = socket.recv_fds(task, 16, 2)
    except (OSError, ValueError):
        task.close()
        return []
    return [_Request(task, connection, output)]


def _become(request: _Request, others: Sequence[socket.socket]) -> None:
    """Let go of what is the server's, and take up what is the worker's."""
    os.setsid()  # Ctrl-C is the driver's
    for each in (request.task, *others):
        each.close()
    for descriptor in (1, 2):
        os.dup2(request.output, descriptor)
    os.close(request.output)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # all forked processes would draw the same


def _tell(task: socket.socket, **news: int) -> None:
    with suppress(OSError):
        task.send(json.dumps(news).encode())

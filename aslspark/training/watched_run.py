"""One call of a launcher that can be ended, and that ends when a worker has. See its two kinds for what differs.

In: a call that returns when all processes have ended. Out: what it returns; or who was silent, who ended and how.
"""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from aslspark.training.hearing import Ear

OTHERS_SECONDS = 3.0
"""That the other workers have, when one has failed, to say so themselves."""
LOOK_SECONDS = 0.25
NOT_STARTED = "Timed out waiting"
"""In the words of an error: Horovod's, and ours of TorchDistributor, where not all processes came to work."""


class SilentWorkerError(Exception):
    """A worker is silent, so the run was ended without it."""


class WatchedRun(ABC):
    """Runs a launcher in a thread, and watches over it."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._first_failure: float | None = None
        self.exits: dict[int, int] = {}
        """Exit codes by rank, in the order in which they came; -1: the connection to its task broke."""

    @abstractmethod
    def run(
        self,
        num_proc: int,
        work: Callable[[], Any],
        env: Mapping[str, str],
        ears: tuple[Ear, Ear],
        silent: Callable[[], str | None],
        start_seconds: int,
    ) -> list[Any]:
        """Run `work` in so many processes, each in a Spark task, and return what each rank returned.

        Parameters
        ----------
        num_proc : int
        work : callable
            Pickled by cloudpickle.
        env : mapping
            Environment variables of the processes, from their start on.
        ears : (Ear, Ear)
            For what they write to standard output and to standard error.
        silent : callable
            Says who is silent for too long, if anybody.
        start_seconds : int
            Until all processes must have started.

        Raises
        ------
        SilentWorkerError
        """

    def watched(self, call: Callable[[], Any], silent: Callable[[], str | None]) -> Any:
        """Make the call; return what it returns.

        Raises
        ------
        SilentWorkerError
        """
        found: list[Any] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                found.append(call())
            except BaseException as error:
                errors.append(error)
            finally:
                self._over.set()

        with self._ways(), interruptible():
            threading.Thread(target=run, name="launcher", daemon=True).start()
            try:
                why = self._wait(silent)
            except BaseException:  # Ctrl-C
                self._end()
                raise
        if why is not None:
            raise SilentWorkerError(why)
        if errors:
            raise errors[0]
        return found[0]

    def _wait(self, silent: Callable[[], str | None]) -> str | None:
        while not self._over.wait(LOOK_SECONDS):
            why = silent()
            if why is not None:
                self._end()
                return why
            if self._first_failure is not None and time.monotonic() - self._first_failure > OTHERS_SECONDS:
                self._give_up()  # those that are left wait for one that is gone
        return None

    def _note_exit(self, rank: int, code: int) -> None:
        self.exits[rank] = code
        if code != 0 and self._first_failure is None:
            self._first_failure = time.monotonic()

    @abstractmethod
    def _ways(self) -> AbstractContextManager[None]:
        """Answer what the launcher calls, for as long as it runs."""

    @abstractmethod
    def _give_up(self) -> None:
        """Ask for the end of those that are left."""

    @abstractmethod
    def _end(self) -> None:
        """End all processes, and the Spark job."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt here, whoever has taken it: Horovod's own runs keep it when they are over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)

"""What the tasks of a fit and the driver say to each other: small files in a folder that all see, and no open port.

In, from a task: its status, and events. Out, on the driver: the same, and when each task was last heard from; to the
tasks: the order to end. The folder lies on a mount or in an object store. A file appears whole, which stores that
Databricks mounts do too. Nobody looks for a file that may not be there yet: a network file system goes on for half a
minute saying that it is not.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from aslspark.common.atomic_file import replace_file
from aslspark.common.errors import AslsparkError
from aslspark.common.store_path import AnyPath, StorePath, remove_folder

if TYPE_CHECKING:  # as in `child`
    from aslspark.training.events import Event

SIGN_OF_LIFE_SECONDS = 1.0
"""Between two of a task's, and of a worker's."""
LOOK_SECONDS = 0.1
STORE_LOOK_SECONDS = 0.5
"""Between two looks into an object store, which counts requests."""
STORE_PATIENCE = 5.0
"""How many times longer a task may be silent there, where a request may have to be made again."""
UNREADABLE_SECONDS = 30.0
"""That orders may be out of reach before a task takes the driver for gone."""
RESERVE_BYTES = 1 << 16
"""Of each task, for its last words when the disk is full."""
_WORK, _END = b"work", b"end"


class TaskStatus(TypedDict, total=False):
    """What a task has said of itself and its worker so far; see `aslspark.training.launch.task`."""

    beat: int
    """How often it has said something."""
    events: int
    """How many there have been."""
    host: str
    """See `aslspark.training.launch.places.this_host`."""
    address: str
    name: str
    """Of the host, for people."""
    rank: int
    port: int
    """Of rank 0's store."""
    state: str
    words: str
    """The worker's last ones."""
    code: int
    """With which it ended."""
    patience: float
    """Seconds that it was silent."""
    traceback: str
    ours: str | None
    """The message of an `AslsparkError`."""


class TaskMail:
    """A task's side."""

    def __init__(self, folder: AnyPath, task: int) -> None:
        self._folder, self._task = folder, task
        self._status: TaskStatus = {"beat": 0, "events": 0}
        self._next = self._next_look = 0.0
        self._is_over, self._orders_read = False, time.monotonic()
        self.look_seconds = look_seconds(folder)
        self.reaches_others: Callable[[], bool] = lambda: True
        """Whether this task lives for the others, too: asked before each sign of life."""

    def tell(self, *news: Event, **status: Unpack[TaskStatus]) -> None:
        """Tell the driver what happened, and what has changed.

        Raises
        ------
        AslsparkError
            Where the folder cannot be written.
        """
        self._status.update(status)
        try:
            for event in news:
                self._put(_event_file(self._folder, self._task, self._status["events"]), event)
                self._status["events"] += 1
            self._status["beat"] += 1
            self._put(_status_file(self._folder, self._task), self._status)
        except OSError as error:
            raise AslsparkError(
                f"{self._folder}: {error.strerror or error} on {os.uname().nodename}; it must lie on a file system "
                "that the driver and all workers share, with room on it"
            ) from error
        self._next = time.monotonic() + SIGN_OF_LIFE_SECONDS

    def give_sign_of_life(self) -> None:
        """Say that this task lives, where that was not said lately."""
        if time.monotonic() > self._next and self.reaches_others():
            self.tell()

    def status_of(self, task: int) -> TaskStatus:
        """Read what a task has said."""
        status: TaskStatus = _read(_status_file(self._folder, task))
        return status

    def _put(self, path: AnyPath, value: Any) -> None:
        try:
            _write(path, value)
        except OSError:
            _reserve(self._folder, self._task).unlink(missing_ok=True)
            _write(path, value)

    def is_over(self) -> bool:
        """Tell whether the driver wants the end, or is gone and has taken the folder along."""
        now = time.monotonic()
        if now < self._next_look or self._is_over:
            return self._is_over
        try:
            self._is_over, self._orders_read = (self._folder / "orders").read_bytes() == _END, now
        except FileNotFoundError:
            self._is_over = True
        except OSError:  # a store that is out of reach for now
            self._is_over = now - self._orders_read > UNREADABLE_SECONDS
        self._next_look = now + (self.look_seconds if isinstance(self._folder, StorePath) else 0.0)
        return self._is_over


class Mailbox:
    """The driver's side, which makes the folder."""

    def __init__(self, folder: AnyPath, tasks: int) -> None:
        self.folder, self.look_seconds = folder, look_seconds(folder)
        self.patience = STORE_PATIENCE if isinstance(folder, StorePath) else 1.0
        folder.mkdir(parents=True)
        (folder / "orders").write_bytes(_WORK)
        self.statuses: list[TaskStatus] = [{"beat": 0, "events": 0} for _ in range(tasks)]
        self._heard, self._events_read = [time.monotonic()] * tasks, [0] * tasks
        for task, status in enumerate(self.statuses):
            _write(_status_file(folder, task), status)
            if not isinstance(folder, StorePath):  # whose disks do not fill up
                _reserve(folder, task).write_bytes(bytes(RESERVE_BYTES))

    def read(self) -> Iterator[Event]:
        """Read every task's status, and give the events that are new."""
        for task, before in enumerate(self.statuses):
            status: TaskStatus = _read(_status_file(self.folder, task)) or before
            if status["beat"] != before["beat"]:
                self._heard[task] = time.monotonic()
            self.statuses[task] = status
            while self._events_read[task] < status["events"]:
                file = _event_file(self.folder, task, self._events_read[task])
                event: Event | None = _read(file)
                if not event:
                    break  # a store that is out of reach for now
                self._events_read[task] += 1
                yield event
                with suppress(OSError):
                    file.unlink()

    def silence(self, task: int) -> float:
        """Return the seconds since a task was heard from, or since the mailbox was made."""
        return time.monotonic() - self._heard[task]

    def end(self) -> None:
        """Order the end."""
        try:
            replace_file(self.folder / "orders", _END)
        except OSError:  # the disk is full, but files can still be taken away
            (self.folder / "orders").unlink(missing_ok=True)

    def remove(self) -> None:
        """Leave nothing."""
        remove_folder(self.folder)


def look_seconds(folder: AnyPath) -> float:
    """Return how long to wait between two looks into a folder."""
    return STORE_LOOK_SECONDS if isinstance(folder, StorePath) else LOOK_SECONDS


def _status_file(folder: AnyPath, task: int) -> AnyPath:
    return folder / f"task-{task}"


def _event_file(folder: AnyPath, task: int, number: int) -> AnyPath:
    return folder / f"task-{task}-event-{number}"


def _reserve(folder: AnyPath, task: int) -> AnyPath:
    return folder / f"task-{task}-reserve"


def _write(path: AnyPath, value: Any) -> None:
    replace_file(path, json.dumps(value).encode())


def _read(path: AnyPath) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):  # in the middle of being replaced, where a store does not do that at once
        return {}

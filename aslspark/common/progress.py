"""What a job is doing, so that nobody waits without a word: a line that renews itself, or one every ten seconds.

In: blocks of work with their names (`doing`), and the session whose tasks do it. Out: on a terminal one line that
renews itself (tqdm's); in a log file, and in a notebook, a line two seconds after a piece of work began and every ten
seconds from then on. Spark tells how many of its tasks are done: a classic session by its status tracker, one of
Spark Connect by its progress handler; neither is slowed by being asked.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aslspark.common.terminal_line import TerminalLine, on_terminal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger("aslspark")

LOOK_SECONDS = 0.5
FIRST_SECONDS, EVERY_SECONDS = 2.0, 10.0
"""In a log: until work is named that goes on, and between lines about it."""
LEAST_FOR_RATE = 1.0
"""Seconds of work after which a rate says something."""
STARVED_SECONDS = 15.0
"""Without a running task until it is said, as Spark's own warning, which its log level here leaves out."""


@dataclass(eq=False)
class Activity:
    """A piece of work."""

    what: str
    """Such as ``drawing hands``."""
    rows: int | None = None
    """How many rows Spark's tasks share between them; None: the tasks are counted themselves."""
    unit: str = "rows"
    """What is counted, where `done` is set."""
    total: int | None = None
    done: int | None = None
    """Of work that the driver counts itself."""
    began: float = field(default_factory=time.monotonic)
    spoken: float | None = None
    """When a log last said something of it."""
    is_endless: bool = False
    """Whether it goes on until somebody ends it, so that nobody waits for it."""

    def advance(self, done: int, total: int | None = None) -> None:
        """Say how much is done, and of how much in all."""
        self.done = done
        self.total = total if total is not None else self.total

    def go_on(self, what: str, done: int, total: int | None, unit: str) -> None:
        """Say what the work has come to, which may be another piece of it than before."""
        if what != self.what:
            self.what, self.unit, self.began = what, unit, time.monotonic()
        self.advance(done, total)


@dataclass(frozen=True)
class Counts:
    """How many tasks Spark has to do, has done, and runs."""

    tasks: int
    done: int
    running: int | None = None
    """None where it is not told."""

    @property
    def is_waiting(self) -> bool:
        """Whether tasks are left and none runs: there is no executor with room for one."""
        return self.running == 0 and self.done < self.tasks


class _Classic:
    """Asks a classic session's status tracker."""

    def __init__(self, spark: SparkSession) -> None:
        self._context = spark.sparkContext
        self._tracker = self._context.statusTracker()

    def counts(self) -> Counts | None:
        stages = [self._tracker.getStageInfo(stage) for stage in self._tracker.getActiveStageIds()]
        known = [stage for stage in stages if stage is not None]
        if not known:
            return None
        tasks, done = sum(stage.numTasks for stage in known), sum(stage.numCompletedTasks for stage in known)
        return Counts(tasks, done, sum(stage.numActiveTasks for stage in known))

    def why_waiting(self) -> str:
        """Say what keeps tasks from running, and what they ask for."""
        conf = self._context.getConf()
        cores, memory = conf.get("spark.executor.cores", "all of a worker"), conf.get("spark.executor.memory", "1g")
        return (
            f"{self._context.master} runs none of the tasks: its workers are taken, smaller than an executor "
            f"(spark.executor.cores={cores}, spark.executor.memory={memory}), or not there yet; the job waits for them"
        )

    def close(self) -> None:
        pass


class _Connect:
    """Listens to what Spark Connect's server tells of each operation."""

    def __init__(self, spark: Any) -> None:
        self._spark, self._operations = spark, dict[str, Counts]()
        spark.registerProgressHandler(self._hear)

    def _hear(self, stages: Any, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        active = [stage for stage in stages or () if not stage.done]
        if done or not active:
            self._operations.pop(str(operation_id), None)
        else:
            tasks = sum(stage.num_tasks for stage in active)
            self._operations[str(operation_id)] = Counts(tasks, sum(stage.num_completed_tasks for stage in active))

    def counts(self) -> Counts | None:
        known = list(self._operations.values())
        return Counts(sum(each.tasks for each in known), sum(each.done for each in known)) if known else None

    def close(self) -> None:
        self._spark.removeProgressHandler(self._hear)


def _tasks_of(spark: SparkSession | None) -> _Classic | _Connect | None:
    if spark is None:
        return None
    if not type(spark).__module__.startswith("pyspark.sql.connect."):
        return _Classic(spark)
    return _Connect(spark) if hasattr(spark, "registerProgressHandler") else None  # which Spark 3.5 has not


class _Display(threading.Thread):
    """Shows the innermost piece of work until the outermost is done."""

    def __init__(self) -> None:
        super().__init__(name="progress", daemon=True)
        self.activities: list[Activity] = []
        self.ended = threading.Event()
        self.lock = threading.RLock()
        self._session: SparkSession | None = None
        self._tasks: _Classic | _Connect | None = None
        self._line = TerminalLine() if on_terminal() else None
        self._seen: tuple[Activity | None, int] = (None, 0)
        self._since, self._heard = 0.0, _Heard()
        self._starved_since: float | None = None
        self._told = False
        log.addHandler(self._heard)

    def follow(self, spark: SparkSession) -> None:
        with self.lock:
            if spark is not self._session:
                self._session, self._tasks = spark, None
                with contextlib.suppress(Exception):  # a display that cannot be had must not end the work
                    self._tasks = _tasks_of(spark)

    def run(self) -> None:
        while not self.ended.wait(LOOK_SECONDS):
            with contextlib.suppress(Exception):  # Spark is being stopped, or the terminal is gone
                self._look()

    def close(self) -> None:
        self.ended.set()
        self.join(timeout=2.0)
        log.removeHandler(self._heard)
        with contextlib.suppress(Exception):
            if self._line is not None:
                self._line.close()
            if self._tasks is not None:
                self._tasks.close()

    def _look(self) -> None:
        with self.lock:
            activity = self.activities[-1] if self.activities else None
            tasks = self._tasks
        if activity is None or activity.is_endless:
            if self._line is not None:
                self._line.hide()
            return
        counts = tasks.counts() if tasks is not None and activity.done is None else None
        with self.lock:  # what is over by now is no longer spoken of
            if activity in self.activities:
                self._say(activity, counts, tasks)

    def _say(self, activity: Activity, counts: Counts | None, tasks: _Classic | _Connect | None) -> None:
        now = time.monotonic()
        starved = self._starved_seconds(counts, now)
        if starved >= STARVED_SECONDS and not self._told and isinstance(tasks, _Classic):
            self._told = True
            log.warning("warning: %s", tasks.why_waiting())
        if self._seen != (activity, counts.tasks if counts else 0):  # another stage: its time counts from here
            self._seen, self._since = (activity, counts.tasks if counts else 0), now
        done, total, unit = _progress(activity, counts)
        # What the driver counts, and rows of one stage, began with the work; other stages when they were first seen.
        began = activity.began if activity.done is not None else self._since
        words = _words(done, total, unit, now - began, now - activity.began)
        if starved >= FIRST_SECONDS:
            words = f"{words}, none runs"
        if self._line is not None:
            self._line.show(activity.what, words, done, total)
        elif self._is_time(activity, now):
            activity.spoken = now
            log.info("  %s: %s", activity.what, words)

    def _starved_seconds(self, counts: Counts | None, now: float) -> float:
        """Return for how long there have been tasks and none ran."""
        if counts is None or not counts.is_waiting:
            self._starved_since = None
            return -1.0
        if self._starved_since is None:
            self._starved_since = now
        return now - self._starved_since

    def _is_time(self, activity: Activity, now: float) -> bool:
        if activity.spoken is None:
            return now - activity.began >= FIRST_SECONDS and now - self._heard.last >= FIRST_SECONDS
        return now - max(activity.spoken, self._heard.last) >= EVERY_SECONDS


class _Heard(logging.Handler):
    """Remembers when something was last logged: a log that says something needs no line about going on."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        self.last = time.monotonic()


def _progress(activity: Activity, counts: Counts | None) -> tuple[int, int | None, str]:
    if activity.done is not None:
        return activity.done, activity.total, activity.unit
    if counts is None or not counts.tasks:
        return 0, None, activity.unit
    if activity.rows is None:
        return counts.done, counts.tasks, "tasks"
    return activity.rows * counts.done // counts.tasks, activity.rows, activity.unit


def _words(done: int, total: int | None, unit: str, seconds: float, spent: float) -> str:
    """Say how much is done, how fast, and how long it will take; or only for how long it has been going on."""
    if total is None:
        return clock(spent)
    words = [f"{done:,} of {total:,} {unit}"]
    if unit == "epochs":  # of which the first takes longer, and each has a line that says how long the others will
        return f"{words[0]}, {clock(spent)}"
    if done and seconds >= LEAST_FOR_RATE and unit != "tasks":
        rate = done / seconds
        words.append(f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second")
    if done and seconds >= LEAST_FOR_RATE:
        words.append(f"{clock(seconds / done * (total - done))} left")
    else:
        words.append(clock(spent))
    return ", ".join(words)


def clock(seconds: float) -> str:
    """Write a time as 0:07, 12:30 or 1:02:03."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


_display: _Display | None = None
_display_lock = threading.Lock()


@contextmanager
def doing(
    what: str, *, spark: SparkSession | None = None, rows: int | None = None, unit: str = "rows"
) -> Iterator[Activity]:
    """Show that a piece of work is going on, for as long as the block runs; blocks within it have their own names.

    Nothing is shown where the logger "aslspark" does not log what is informative.

    Parameters
    ----------
    what : str
        Such as ``drawing hands``.
    spark : SparkSession, optional
        Whose tasks are counted; None: that of the block around it.
    rows : int, optional
        How many rows Spark's tasks share between them.
    unit : str
        What is counted.

    Yields
    ------
    Activity
    """
    activity = Activity(what, rows, unit)
    if not log.isEnabledFor(logging.INFO):
        yield activity
        return
    global _display
    with _display_lock:
        if _display is None:
            _display = _Display()
            _display.start()
        display = _display
        display.activities.append(activity)
    if spark is not None:
        display.follow(spark)
    try:
        yield activity
    finally:
        with _display_lock, display.lock:
            display.activities.remove(activity)
            is_last = not display.activities
            if is_last:
                _display = None
        if is_last:
            display.close()


@contextmanager
def endless() -> Iterator[None]:
    """Show nothing as long as the block runs, since nobody waits for its end: a service, a watch, a stream."""
    with doing("") as activity:
        activity.is_endless = True
        yield

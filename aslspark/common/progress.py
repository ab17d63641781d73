"""What a job is doing, so that nobody waits without a word: a line that renews itself, or one every ten seconds.

In: blocks of work with their names (`doing`), and the session whose tasks do it. Out: on a terminal one line that
renews itself (tqdm's); in a log file, and in a notebook, a line two seconds after a piece of work began, and one every
ten seconds from then on, whatever pieces of work these were spent on. Spark tells how many of its tasks are done: a
classic session by its status tracker, one of Spark Connect by its progress handler; neither is slowed by being asked.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aslspark.common.paths import on_databricks
from aslspark.common.terminal_line import TerminalLine, on_terminal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger("aslspark")

LOOK_SECONDS = 0.5
FIRST_SECONDS, EVERY_SECONDS = 2.0, 10.0
"""In a log: until work is named that goes on, and between two lines, at most."""
MARGIN_SECONDS = 1.0
"""By which a log is written to before its time is up: it is looked at now and then, and late on a busy machine."""
LEAST_FOR_RATE = 1.0
"""Seconds of work after which a rate says something."""
SPARKS_BAR = "spark.ui.showConsoleProgress"
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
    is_spoken: bool = False
    """Whether a log has said something of it."""
    is_endless: bool = False
    """Whether it goes on until somebody ends it, so that nobody waits for it."""
    is_callers: bool = False
    """Whether it is the caller's own work, whose end is not known here: a terminal then has the lines of a log, since
    what the caller prints after it would stand in the line that renews itself."""
    shared: Stage | None = None
    """The stage of Spark's whose tasks share the rows: that of the most tasks so far."""
    seen: tuple[int, float] = (-1, 0.0)
    """The stage that it was last seen at, and since when."""

    def advance(self, done: int, total: int | None = None) -> None:
        """Say how much is done, and of how much in all."""
        self.done = done
        self.total = total if total is not None else self.total

    def go_on(self, what: str, done: int, total: int | None, unit: str) -> None:
        """Say what the work has come to, which may be another piece of it than before."""
        if what != self.what:
            self.what, self.unit, self.began = what, unit, time.monotonic()
        self.advance(done, total)

    def see(self, counts: Counts | None, now: float) -> None:
        """Take in what Spark is at."""
        if counts is None:
            return
        largest = counts.largest
        if largest.number != self.seen[0]:
            self.seen = (largest.number, now)
        if self.shared is None or largest.number == self.shared.number or largest.tasks > self.shared.tasks:
            self.shared = largest
        else:  # what Spark does with them after that: they have not become fewer
            self.shared = replace(self.shared, done=self.shared.tasks)


@dataclass(frozen=True)
class Stage:
    """How many tasks a stage of Spark's has, and has done."""

    number: int
    tasks: int
    done: int
    name: str = ""
    """What it is for, as Spark says it: ``parquet at ...``."""


@dataclass(frozen=True)
class Counts:
    """The stages that Spark is at, and how many of their tasks run."""

    stages: tuple[Stage, ...]
    running: int | None = None
    """None where it is not told."""

    @property
    def tasks(self) -> int:
        """How many tasks there are to do."""
        return sum(stage.tasks for stage in self.stages)

    @property
    def done(self) -> int:
        """How many of them are done."""
        return sum(stage.done for stage in self.stages)

    @property
    def largest(self) -> Stage:
        """The stage of the most tasks, of such the first."""
        return max(self.stages, key=lambda stage: (stage.tasks, -stage.number))

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
        told = (Stage(stage.stageId, stage.numTasks, stage.numCompletedTasks, stage.name) for stage in known)
        return Counts(tuple(told), sum(stage.numActiveTasks for stage in known))

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
            told = (Stage(stage.stage_id, stage.num_tasks, stage.num_completed_tasks) for stage in active)
            self._operations[str(operation_id)] = Counts(tuple(told))

    def counts(self) -> Counts | None:
        known = list(self._operations.values())
        return Counts(tuple(stage for each in known for stage in each.stages)) if known else None

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

    def __init__(self, since: float) -> None:
        super().__init__(name="progress", daemon=True)
        self.activities: list[Activity] = []
        self.ended = threading.Event()
        self.lock = threading.RLock()
        self._session: SparkSession | None = None
        self._tasks: _Classic | _Connect | None = None
        self._line = TerminalLine() if on_terminal() else None
        self._heard = _Heard(since)
        self._last: Activity | None = None
        """What was last looked at."""
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
        self._last = activity
        activity.see(counts, now)
        done, total, words = _told(activity, counts, now)
        if starved >= FIRST_SECONDS:
            words = f"{words}, none runs"
        if self._line is not None and not activity.is_callers:
            self._line.show(activity.what, words, done, total)
        elif self._is_time(activity, now):
            activity.is_spoken = True
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
        quiet = now - self._heard.last
        if not activity.is_spoken and now - activity.began >= FIRST_SECONDS and quiet >= FIRST_SECONDS:
            return True
        return quiet >= EVERY_SECONDS - MARGIN_SECONDS  # of whatever has been going on meanwhile


class _Heard(logging.Handler):
    """Remembers when something was last logged: a log that says something needs no line about going on."""

    def __init__(self, since: float) -> None:
        super().__init__()
        self.last = since

    def emit(self, record: logging.LogRecord) -> None:
        self.last = time.monotonic()


def _told(activity: Activity, counts: Counts | None, now: float) -> tuple[int, int | None, str]:
    """Return how much is done, of how much, and what is said of it."""
    spent = now - activity.began
    if activity.done is not None:  # the driver counts it, from its beginning
        done, total = activity.done, activity.total
        return done, total, _words(done, total, activity.unit, spent, spent)
    at_stage = now - activity.seen[1]
    if activity.rows is not None and (shared := activity.shared) is not None and shared.tasks:
        done, total = activity.rows * shared.done // shared.tasks, activity.rows
        if counts is None or counts.largest.number == shared.number:
            return done, total, _words(done, total, activity.unit, at_stage, spent)
        after = _words(counts.done, counts.tasks, "tasks", at_stage, spent)
        return done, total, f"{_amount(done, total, activity.unit)}, then {after}"
    if counts is None or not counts.tasks:
        return 0, None, clock(spent)
    return counts.done, counts.tasks, _words(counts.done, counts.tasks, "tasks", at_stage, spent)


def _amount(done: int, total: int, unit: str) -> str:
    return f"{done:,} of {total:,} {unit}"


def _words(done: int, total: int | None, unit: str, seconds: float, spent: float) -> str:
    """Say how much is done, how fast, and how long it will take; or only for how long it has been going on."""
    if total is None:
        return clock(spent)
    words = [_amount(done, total, unit)]
    if unit == "epochs":  # of which the first takes longer, and each has a line that says how long the others will
        return f"{words[0]}, {clock(spent)}"
    is_amid = 0 < done < total and seconds >= LEAST_FOR_RATE
    if is_amid and unit != "tasks":
        rate = done / seconds
        words.append(f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second")
    if is_amid:
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
    what: str,
    *,
    spark: SparkSession | None = None,
    rows: int | None = None,
    unit: str = "rows",
    began: float | None = None,
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
    began : float, optional
        When its user began to wait, by `time.monotonic`, where that was earlier: a log then has its name only when
        `EVERY_SECONDS` are over.

    Yields
    ------
    Activity
    """
    activity = Activity(what, rows, unit)
    if began is not None:
        activity.began, activity.is_spoken = began, True
    if not log.isEnabledFor(logging.INFO):
        yield activity
        return
    global _display
    with _display_lock:
        if _display is None:
            _display = _Display(activity.began)
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


class _Watch(threading.Thread):
    """Names what Spark does while no work has a name: a caller's own action, on a table that this package made."""

    def __init__(self, spark: SparkSession) -> None:
        super().__init__(name="spark-watch", daemon=True)
        self.spark, self.ended = spark, threading.Event()

    def run(self) -> None:
        with contextlib.suppress(Exception):  # the session is over
            if (tasks := _tasks_of(self.spark)) is None:
                return
            with contextlib.closing(tasks):
                while not self.ended.wait(LOOK_SECONDS):
                    if _display is None and log.isEnabledFor(logging.INFO) and (counts := tasks.counts()):
                        self._tell(tasks, counts)

    def _tell(self, tasks: _Classic | _Connect, counts: Counts | None) -> None:
        with doing("Spark at work", spark=self.spark) as activity:
            activity.is_callers = True
            while counts is not None and not self.ended.wait(LOOK_SECONDS):
                action = counts.largest.name.partition(" at ")[0]
                activity.what = f"Spark at work ({action})" if action.isidentifier() else activity.what
                counts = tasks.counts()

    def end(self) -> None:
        self.ended.set()
        self.join(timeout=2.0)


_watch: _Watch | None = None


def watch(spark: SparkSession) -> None:
    """Say what Spark does from here on, also where it is a caller's own action on a table that this package made.

    Where Spark shows its own bar, or a notebook of Databricks does, nothing is added to that.
    """
    global _watch
    if not log.isEnabledFor(logging.INFO) or on_databricks() or spark.conf.get(SPARKS_BAR, "false") == "true":
        return
    with _display_lock:
        if _watch is not None and _watch.spark is spark and _watch.is_alive():
            return
        if _watch is None:
            atexit.register(_end_watch)
        else:
            _watch.ended.set()
        _watch = _Watch(spark)
    _watch.start()


def _end_watch() -> None:
    if _watch is not None:
        _watch.end()

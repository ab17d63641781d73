"""Starts one function in every Horovod process, and hears from them.

In: a worker's function and its job. Out: each rank's result; or the failing worker's own traceback.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
import traceback
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
from pyspark import RDD, SparkContext
from pyspark.resource import ResourceProfile

import aslspark
from aslspark.errors import AslsparkError

_MARK = "@aslspark "
_PREFIX = re.compile(r"^\[(\d+)\]<std(?:out|err)>:")
KEPT_LINES = 200
BEGAN = "ASLSPARK_BEGAN"
"""Environment variable of a worker: its wall clock when it took its job, before the framework was imported."""

SECONDS_AFTER_THE_END = 0.2
"""That a Spark task waits when its process has ended: the driver has asked for the exit code long before."""


def report(event: dict[str, Any]) -> None:
    """Tell the driver something, from a worker."""
    print(_MARK + json.dumps(event), flush=True)


def run_workers(
    num_proc: int,
    function: Callable[[Any], Any],
    job: Any,
    *,
    env: Mapping[str, str],
    on_event: Callable[[dict[str, Any]], None],
    start_timeout: int = 120,
    profile: ResourceProfile | None = None,
) -> list[Any]:
    """Run `function(job)` in `num_proc` Horovod processes, each in a Spark task.

    The package travels with the function: Horovod's processes do not see what `--py-files` brought to Spark's.

    Parameters
    ----------
    num_proc : int
    function : callable
        Anything that cloudpickle takes.
    job : object
        Anything that cloudpickle takes.
    env : mapping
        Environment variables of the workers.
    on_event : callable
        Gets what the workers `report`.
    start_timeout : int
        Seconds until all processes must have started.
    profile : ResourceProfile, optional
        What the processes' tasks hold; see `aslspark.training.gpus.gpu_tasks`.

    Returns
    -------
    list
        What each rank returned, by rank.

    Raises
    ------
    AslsparkError
        Where a worker fails: with its rank and its traceback, or its last words where it left none.
    """
    from horovod.spark.common.backend import SparkBackend

    out, err = _Ear(on_event), _Ear(on_event)
    backend = SparkBackend(num_proc, env=dict(env), stdout=out, stderr=err, verbose=0, start_timeout=start_timeout)
    try:
        with _quiet_cancellation(), _horovods_tasks(profile):
            results: list[Any] = backend.run(_carried(function, job))
    except Exception as error:
        out.close()
        err.close()
        raise AslsparkError(_what_went_wrong(error, out, err)) from error
    return results


def _carried(function: Callable[[Any], Any], job: Any) -> Callable[[], Any]:
    """Wrap a function so that a process without this package on its path can run it."""
    archive = _package_archive()
    pickled = cloudpickle.dumps((function, job))
    mark, began = _MARK, BEGAN

    def run() -> Any:
        # Pickled by value, since it is nested: nothing in here may need the package before it is on the path.
        import importlib.util
        import json
        import os
        import pickle
        import sys
        import tempfile
        import time
        import traceback

        os.environ[began] = repr(time.time())
        scratch = tempfile.TemporaryDirectory(prefix="aslspark-")
        try:
            if importlib.util.find_spec("aslspark") is None:
                path = os.path.join(scratch.name, "aslspark.zip")
                with open(path, "wb") as file:
                    file.write(archive)
                sys.path.insert(0, path)
            function, job = pickle.loads(pickled)
            return function(job)
        except BaseException:
            event = {
                "event": "failed",
                "rank": int(os.environ.get("HOROVOD_RANK", -1)),
                "host": os.uname().nodename,
                "traceback": traceback.format_exc(),
            }
            print(mark + json.dumps(event), flush=True)
            raise
        finally:
            scratch.cleanup()

    return run


@contextmanager
def _horovods_tasks(profile: ResourceProfile | None) -> Iterator[None]:
    """Give Horovod's Spark tasks a resource profile, and no other stage's; and let them end when their work has.

    `horovod.spark.run` offers neither. It makes its tasks by one call of `SparkContext.range`, and for as long as it
    runs that call is answered here.
    """
    context = SparkContext._active_spark_context
    if context is None:
        yield
        return
    usual = context.range

    def range_for_horovod(*args: Any, **words: Any) -> RDD[int]:
        tasks = usual(*args, **words)
        if profile is not None:
            tasks = tasks.withResources(profile)
        with_index = tasks.mapPartitionsWithIndex

        def with_index_ended_in_time(mapper: Callable[[int, Any], Any], *more: Any) -> RDD[Any]:
            return with_index(_ended_in_time(mapper), *more)

        tasks.mapPartitionsWithIndex = with_index_ended_in_time  # type: ignore[assignment,method-assign]
        return tasks

    context.range = range_for_horovod  # type: ignore[method-assign]
    try:
        yield
    finally:
        del context.range


def _ended_in_time(mapper: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
    """Wrap what a Spark task does for its Horovod process.

    The task is meant to live 3 s at least, for the driver to hear how the process ended. Horovod counts them from the
    end of the process instead of from its start, so that every task holds its slot 3 s longer than it works.
    """
    seconds = SECONDS_AFTER_THE_END

    def mapped(index: int, rows: Any) -> Any:
        import horovod.spark.runner

        horovod.spark.runner.MINIMUM_COMMAND_LIFETIME_S = seconds
        return mapper(index, rows)

    return mapped


@contextmanager
def _quiet_cancellation() -> Iterator[None]:
    """Keep a Java stack trace off the console: Horovod cancels its own Spark job when a worker has failed."""
    usual = threading.excepthook

    def hook(unhandled: threading.ExceptHookArgs) -> None:
        if "cancelled job group horovod.spark.run" not in str(unhandled.exc_value):
            usual(unhandled)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = usual


def _package_archive() -> bytes:
    """Zip the package's own source, from its folder or from the zip that --py-files brought."""
    folder = Path(aslspark.__file__).parent
    inside = next((parent for parent in folder.parents if parent.is_file()), None)
    if inside is not None:
        return inside.read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.rglob("*.py")):
            zipped.write(path, str(Path("aslspark") / path.relative_to(folder)))
    return archive.getvalue()


class _Ear(io.TextIOBase):
    """Hears the workers' output: Horovod writes each worker's from a thread of its own, in pieces of any length."""

    def __init__(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._on_event = on_event
        self._pieces: dict[int, str] = {}
        self._lock = threading.Lock()
        self.failures: list[dict[str, Any]] = []
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            writer = threading.get_ident()
            *lines, self._pieces[writer] = (self._pieces.get(writer, "") + text).split("\n")
            for line in lines:
                self._hear(line)
        return len(text)

    def close(self) -> None:
        with self._lock:
            for rest in self._pieces.values():
                self._hear(rest)
            self._pieces.clear()

    def _hear(self, line: str) -> None:
        words = _PREFIX.sub("", line)
        if not words.startswith(_MARK):
            if words.strip():
                self.last_lines.append(line)
            return
        event = json.loads(words[len(_MARK) :])
        if event["event"] == "failed":
            self.failures.append(event)
            return
        try:
            self._on_event(event)
        except Exception:  # a broken display must not end the training
            traceback.print_exc(file=sys.stderr)


def _what_went_wrong(error: Exception, out: _Ear, err: _Ear) -> str:
    # When one worker fails the others fail after it, in the operation they shared with it.
    first_hand = [f for f in out.failures if "HorovodInternalError" not in f["traceback"]]
    for failure in first_hand or out.failures:
        words = failure["traceback"].strip()
        return f"worker {failure['rank']} on {failure['host']} failed: {words.splitlines()[-1]}\n{words}"
    if "Timed out waiting" in str(error):
        return f"the workers did not start in time: {str(error).splitlines()[0]}"
    code = re.search(r"Process name: (\d+)\s*\n?Exit code: (-?\d+)", str(error))
    tail = "\n".join([*out.last_lines, *err.last_lines][-20:])
    if code:
        rank, exit_code = code.groups()
        killed = " (killed: out of memory, or by hand)" if exit_code in ("137", "-9") else ""
        return f"worker {rank} ended with exit code {exit_code}{killed}; its last words:\n{tail}"
    return f"the training failed: {error}\n{tail}"

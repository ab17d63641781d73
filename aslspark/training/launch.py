"""Starts one function in every Horovod process, and hears from them.

In: a worker's function and its job. Out: each rank's result; or which worker failed, and why, within seconds.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
import traceback
import zipfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
from pyspark.resource import ResourceProfile

import aslspark
from aslspark.errors import AslsparkError
from aslspark.training.horovod_run import HorovodRun, SilentWorkerError

_MARK = "@aslspark "
_AFTER_ANOTHER = re.compile(r"HorovodInternalError|node gradients\b|Op:Horovod")
"""In a traceback: an operation of all workers failed; in torch, in the graph of a Keras step, outside of it."""
_PREFIX = re.compile(r"^\[(\d+)\]<std(?:out|err)>:")
KEPT_LINES = 200
BEGAN = "ASLSPARK_BEGAN"
"""Environment variable of a worker: its wall clock when it took its job, before the framework was imported."""

SIGN_OF_LIFE_SECONDS = 2.0
"""Between two of a worker's signs of life, from a thread of its own."""
SILENCE_SECONDS = 20.0
"""After which a worker that gave one is taken for lost: its host is cut off, or the process is stopped."""
GOODBYE_SECONDS = 60.0
"""That a worker's silence may last when its work is done, until its process has ended."""
START_SECONDS = 120
"""Until all processes must have started, unless Horovod's own `HOROVOD_SPARK_START_TIMEOUT` is set."""


class WorkerError(AslsparkError):
    """A worker did not come to its end.

    Parameters
    ----------
    message : str
    lost : bool
        It was killed or cut off, so that another try may well succeed; otherwise it raised an error.
    silent : bool
        Nothing more was heard of it: Spark may not yet know that its host is gone.
    """

    def __init__(self, message: str, lost: bool = False, silent: bool = False) -> None:
        super().__init__(message)
        self.lost, self.silent = lost, silent


class StoppedEarly(Exception):  # noqa: N818  (no error: somebody has seen enough)
    """The run was ended on request."""


def report(event: dict[str, Any]) -> None:
    """Tell the driver something, from a worker."""
    sys.stdout.write(_MARK + json.dumps(event) + "\n")  # at once: other threads write too
    sys.stdout.flush()


def run_workers(
    num_proc: int,
    function: Callable[[Any], Any],
    job: Any,
    *,
    env: Mapping[str, str],
    on_event: Callable[[dict[str, Any]], None],
    start_timeout: int | None = None,
    profile: ResourceProfile | None = None,
    stopped: threading.Event | None = None,
) -> list[Any]:
    """Run `function(job)` in `num_proc` Horovod processes, each in a Spark task.

    The package travels with the function: Horovod's processes do not see what `--py-files` brought to Spark's.
    However it ends, by Ctrl-C too, no process is left.

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
    start_timeout : int, optional
        Seconds until all processes must have started.
    profile : ResourceProfile, optional
        What the processes' tasks hold; see `aslspark.training.gpus.gpu_tasks`.
    stopped : threading.Event, optional
        When it is set, the run ends.

    Returns
    -------
    list
        What each rank returned, by rank.

    Raises
    ------
    WorkerError
        With the worker's rank, its host and its traceback, or its last words where it left none.
    AslsparkError
        Where a worker raised one: its message.
    StoppedEarly
    """
    from horovod.spark.common.backend import SparkBackend

    out, err = _Ear(on_event), _Ear(on_event)
    start_timeout = start_timeout or int(os.environ.get("HOROVOD_SPARK_START_TIMEOUT", START_SECONDS))
    backend = SparkBackend(num_proc, env=dict(env), stdout=out, stderr=err, verbose=0, start_timeout=start_timeout)
    run = HorovodRun(profile)

    def silent() -> str | None:
        if stopped is not None and stopped.is_set():
            return "stopped on request"
        return out.silent()

    try:
        results: list[Any] = run.watched(lambda: backend.run(_carried(function, job)), silent)
    except Exception as error:
        if stopped is not None and stopped.is_set():
            raise StoppedEarly from error
        out.close()
        err.close()
        raise _what_went_wrong(error, run.exits, out, err) from error
    return results


def _carried(function: Callable[[Any], Any], job: Any) -> Callable[[], Any]:
    """Wrap a function so that a process without this package on its path can run it."""
    archive = _package_archive()
    pickled = cloudpickle.dumps((function, job))
    mark, began, seconds = _MARK, BEGAN, SIGN_OF_LIFE_SECONDS

    def run() -> Any:
        # Pickled by value, since it is nested: nothing in here may need the package before it is on the path.
        import importlib.util
        import json
        import os
        import pickle
        import sys
        import tempfile
        import threading
        import time
        import traceback

        os.environ[began] = repr(time.time())
        who = {"rank": int(os.environ.get("HOROVOD_RANK", -1)), "host": os.uname().nodename}

        def tell(event: str, **more: Any) -> None:
            sys.stdout.write(mark + json.dumps({"event": event, **who, **more}) + "\n")
            sys.stdout.flush()

        ended = threading.Event()

        def live() -> None:
            while not ended.wait(seconds):
                tell("alive")

        tell("alive")
        threading.Thread(target=live, daemon=True).start()
        try:
            if importlib.util.find_spec("aslspark") is None:
                # Without a name: a process that is killed leaves none.
                package = tempfile.TemporaryFile()  # noqa: SIM115  (open for as long as the process lives)
                package.write(archive)
                package.flush()
                sys.path.insert(0, f"/proc/self/fd/{package.fileno()}")
            function, job = pickle.loads(pickled)
            return function(job)
        except BaseException as error:
            ours = str(error) if type(error).__name__ == "AslsparkError" else None
            tell("failed", traceback=traceback.format_exc(), ours=ours)
            raise
        finally:
            ended.set()
            tell("ended")

    return run


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
        self._heard: dict[int, tuple[float, str]] = {}
        """When the next sign of life of a rank is awaited at the latest, and its host."""
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

    def host_of(self, rank: int) -> str:
        """Return ' on ' and the host of a rank; empty where it was never heard."""
        return f" on {self._heard[rank][1]}" if rank in self._heard else ""

    def silent(self) -> str | None:
        """Say which worker has been silent for too long; None: none has."""
        with self._lock:
            for rank, (until, host) in sorted(self._heard.items()):
                if time.monotonic() > until:
                    return f"worker {rank} on {host} was not heard from for {SILENCE_SECONDS:g} s"
        return None

    def _hear(self, line: str) -> None:
        words = _PREFIX.sub("", line)
        if not words.startswith(_MARK):
            if words.strip():
                self.last_lines.append(line)
            return
        event = json.loads(words[len(_MARK) :])
        if event["event"] in ("alive", "ended"):
            seconds = SILENCE_SECONDS if event["event"] == "alive" else GOODBYE_SECONDS
            self._heard[event["rank"]] = (time.monotonic() + seconds, event["host"])
            return
        if event["event"] == "failed":
            self.failures.append(event)
            return
        try:
            self._on_event(event)
        except Exception:  # a broken display must not end the training
            traceback.print_exc(file=sys.stderr)


def _what_went_wrong(error: Exception, exits: Mapping[int, int], out: _Ear, err: _Ear) -> AslsparkError:
    if isinstance(error, SilentWorkerError):
        return WorkerError(f"{error}: its host is cut off, or the process hangs", lost=True, silent=True)
    failures = {failure["rank"]: failure for failure in out.failures}
    tail = "\n".join([*out.last_lines, *err.last_lines][-20:])
    # When one worker is gone the others fail after it, in the operation they shared with it.
    for rank in [*(rank for rank, code in exits.items() if code != 0), *failures]:
        failure = failures.get(rank)
        if failure is None:
            code = exits[rank]
            why = ": killed, out of memory or by hand" if code in (137, -9) else ""
            ended = f"ended with exit code {code}{why}" if code != -1 else "was lost with the executor that held it"
            return WorkerError(f"worker {rank}{out.host_of(rank)} {ended}; its last words:\n{tail}", lost=True)
        if not _AFTER_ANOTHER.search(failure["traceback"]):
            if failure["ours"]:
                return AslsparkError(failure["ours"])
            words = _with_last_line_first(failure)
            return WorkerError(f"worker {rank} on {failure['host']} failed: {words}")
    for rank, failure in failures.items():
        words = _with_last_line_first(failure)
        return WorkerError(f"worker {rank} on {failure['host']} lost its connection to another: {words}", lost=True)
    if "Timed out waiting" in str(error):
        return WorkerError(f"the workers did not start in time: {str(error).splitlines()[0]}", lost=True)
    return WorkerError(f"the training failed: {error}\n{tail}", lost=True)


def _with_last_line_first(failure: Mapping[str, Any]) -> str:
    words = failure["traceback"].strip()
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
    return f"{last}\n{words}"

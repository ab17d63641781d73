"""Starts one function in every process of a fit, by Horovod or TorchDistributor, and hears from them.

In: a worker's function and its job. Out: each rank's result; or which worker failed, and why, within seconds.
"""

from __future__ import annotations

import io
import os
import re
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
from pyspark.resource import ResourceProfile

import aslspark
from aslspark.errors import AslsparkError
from aslspark.training.collective import HOROVOD, TORCH_DISTRIBUTOR
from aslspark.training.hearing import SIGN_OF_LIFE_SECONDS, Ear, reporter
from aslspark.training.horovod_run import HorovodRun
from aslspark.training.torch_run import TorchRun
from aslspark.training.watched_run import NOT_STARTED, SilentWorkerError, WatchedRun

_AFTER_ANOTHER = re.compile(r"HorovodInternalError|node gradients\b|Op:Horovod|torch/distributed/distributed_c10d")
"""In a traceback: an operation of all workers failed; in torch, in the graph of a Keras step, outside of it; in
torch's own."""
BEGAN = "ASLSPARK_BEGAN"
"""Environment variable of a worker: its wall clock when it took its job, before the framework was imported."""
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
    launcher: str = HOROVOD,
) -> list[Any]:
    """Run `function(job)` in `num_proc` processes, each in a Spark task.

    The package travels with the function: the launchers' processes do not see what `--py-files` brought to Spark's.
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
    launcher : {'horovod', 'torch_distributor'}
        Who starts the processes; see `aslspark.training.collective`.

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
    out, err = Ear(on_event), Ear(on_event)
    start_seconds = start_timeout or int(os.environ.get("HOROVOD_SPARK_START_TIMEOUT", START_SECONDS))
    run: WatchedRun = TorchRun() if launcher == TORCH_DISTRIBUTOR else HorovodRun(profile)

    def silent() -> str | None:
        if stopped is not None and stopped.is_set():
            return "stopped on request"
        return out.silent()

    try:
        results = run.run(num_proc, _carried(function, job), env, (out, err), silent, start_seconds)
    except AslsparkError:
        raise
    except Exception as error:
        if stopped is not None and stopped.is_set():
            raise StoppedEarly from error
        out.close()
        err.close()
        raise _what_went_wrong(error, run.exits, out, err) from error
    if stopped is not None and stopped.is_set():
        raise StoppedEarly  # they were done before they could be ended
    return results


def _carried(function: Callable[[Any], Any], job: Any) -> Callable[[], Any]:
    """Wrap a function so that a process without this package on its path can run it."""
    archive = _package_archive()
    pickled = cloudpickle.dumps((function, job))
    report, began, seconds = reporter(), BEGAN, SIGN_OF_LIFE_SECONDS

    def run() -> Any:
        # Pickled by value, since it is nested: nothing in here may need the package before it is on the path.
        import gc
        import importlib.util
        import os
        import pickle
        import sys
        import tempfile
        import threading
        import time
        import traceback

        os.environ[began] = repr(time.time())
        # What is imported stays to the end: to look through it for garbage is a quarter of the imports' time.
        gc.disable()
        rank = os.environ.get("HOROVOD_RANK") or os.environ.get("RANK", "-1")  # torch.distributed's
        who = {"rank": int(rank), "host": os.uname().nodename}

        def tell(event: str, **more: Any) -> None:
            report({"event": event, **who, **more})

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
            gc.freeze()  # Python looks through everything as it ends: longer than a second, where a framework is

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


def _what_went_wrong(error: Exception, exits: Mapping[int, int], out: Ear, err: Ear) -> AslsparkError:
    if isinstance(error, SilentWorkerError) and not str(error).startswith(NOT_STARTED):
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
    if NOT_STARTED in str(error):
        return WorkerError(f"the workers did not start in time: {str(error).splitlines()[0]}", lost=True)
    return WorkerError(f"the training failed: {error}\n{tail}", lost=True)


def _with_last_line_first(failure: Mapping[str, Any]) -> str:
    words = failure["traceback"].strip()
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
    return f"{last}\n{words}"

"""One call of `horovod.spark.run` that can be ended, and that ends when a worker has.

Horovod waits for every process, however long one that is cut off stays silent; it takes Ctrl-C for itself and keeps
it; it hands on what workers say when 64 KiB of it have come; and it offers no way to stop. What it calls to start a
process, to read its output, to hear of signals and to make Spark tasks is answered here for as long as it runs.
"""

from __future__ import annotations

import codecs
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from traceback import extract_tb
from types import SimpleNamespace, TracebackType
from typing import Any

import psutil
from pyspark import RDD, SparkContext
from pyspark.resource import ResourceProfile

from aslspark.training.hearing import Ear
from aslspark.training.watched_run import LOOK_SECONDS, OTHERS_SECONDS, WatchedRun

SECONDS_AFTER_THE_END = 0.2
"""That a Spark task waits when its process has ended: the driver has asked for the exit code long before."""
ABORT_SECONDS = 8.0
"""That a worker's host has to end it: Horovod gives a process five seconds between SIGTERM and SIGKILL."""


class HorovodRun(WatchedRun):
    """Runs `horovod.spark.run`.

    Parameters
    ----------
    profile : ResourceProfile, optional
        What its tasks hold; see `aslspark.training.gpus.gpu_tasks`.
    """

    def __init__(self, profile: ResourceProfile | None) -> None:
        super().__init__()
        self._profile = profile
        self._abort = threading.Event()
        self._group: str | None = None

    def run(
        self,
        num_proc: int,
        work: Callable[[], Any],
        env: Mapping[str, str],
        ears: tuple[Ear, Ear],
        silent: Callable[[], str | None],
        start_seconds: int,
    ) -> list[Any]:
        """Run `work` in so many processes; see `WatchedRun.run`."""
        from horovod.spark.common.backend import SparkBackend

        out, err = ears
        backend = SparkBackend(num_proc, env=dict(env), stdout=out, stderr=err, verbose=0, start_timeout=start_seconds)
        results: list[Any] = self.watched(lambda: backend.run(work), silent)
        return results

    def _give_up(self) -> None:
        self._abort.set()

    def _end(self) -> None:
        """End all processes, and the Spark job."""
        self._abort.set()
        context = SparkContext._active_spark_context
        if not self._over.wait(OTHERS_SECONDS) and self._group is not None and context is not None:
            context.cancelJobGroup(self._group)
        self._over.wait(ABORT_SECONDS + OTHERS_SECONDS)

    @contextmanager
    def _ways(self) -> Iterator[None]:
        import horovod.runner.common.util.network
        import horovod.runner.gloo_run
        import horovod.spark.driver.driver_service
        import horovod.spark.driver.rsh
        import horovod.spark.gloo_run

        usual_rsh = horovod.spark.gloo_run.rsh
        service = horovod.spark.driver.driver_service.SparkDriverService
        usual_interfaces = service.get_common_interfaces

        def rsh(driver: Any, key: Any, host: Any, command: str, *rest: Any, **words: Any) -> int:
            match = re.search(r"HOROVOD_RANK=(\d+)", command)
            code = self._run_process(lambda: usual_rsh(driver, key, host, command, *rest, **words))
            code = -1 if code is None else code  # which is what a task answers that ends before its process
            self._note_exit(int(match[1]) if match else -1, code)
            return code

        stand_ins = (
            (horovod.spark.gloo_run, "rsh", rsh),
            # It would take SIGINT and SIGTERM for itself, for good, and from the main thread alone.
            (horovod.runner.gloo_run, "register_shutdown_event", lambda: self._abort),
            # It would let a lone worker on another host look for the driver at its own loopback.
            (service, "get_common_interfaces", lambda driver: reachable_interfaces(driver, usual_interfaces(driver))),
            # It would wait for 64 KiB of a worker's output before it handed the first line on.
            (horovod.runner.common.util.network, "shutil", SimpleNamespace(copyfileobj=copy_lines)),
            # A broken connection is told as what it means.
            (horovod.spark.driver.rsh, "traceback", SimpleNamespace(print_exc=lambda: None)),
        )
        usual = [getattr(module, name) for module, name, _ in stand_ins]
        for module, name, stand_in in stand_ins:
            setattr(module, name, stand_in)
        try:
            with quiet_cancellation(), horovods_tasks(self._profile, self._learn_group):
                yield
        finally:
            for (module, name, _), was in zip(stand_ins, usual, strict=True):
                setattr(module, name, was)

    def _learn_group(self, group: str | None) -> None:
        self._group = group

    def _run_process(self, call: Callable[[], int | None]) -> int | None:
        """Wait for a process on its host, but not for a host that does not answer when all are to end."""
        codes: list[int | None] = []
        thread = threading.Thread(target=lambda: codes.append(call()), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_SECONDS)
            if self._abort.is_set():
                thread.join(ABORT_SECONDS)
                break
        return codes[0] if codes else -1


def reachable_interfaces(driver: Any, names: set[str]) -> set[str]:
    """Leave out loopback, where a worker is on another host than the driver and there is another way."""
    from horovod.spark.common.util import host_hash

    if set(driver.task_host_hash_indices()) <= {host_hash()}:
        return names
    loopback = {name for name, all_of in psutil.net_if_addrs().items() if any(a.address == "127.0.0.1" for a in all_of)}
    return names - loopback or names


def copy_lines(source: Any, target: Any) -> None:
    """Copy UTF-8 text as it comes, line by line; stands in for `shutil.copyfileobj` where Horovod's driver reads."""
    if not isinstance(source, codecs.StreamReader):
        shutil.copyfileobj(source, target)
        return
    read: Callable[[], bytes] = source.stream.readline  # type: ignore[attr-defined]  # of a buffered socket
    for line in iter(read, b""):
        target.write(line.decode("utf-8", errors="replace"))


@contextmanager
def horovods_tasks(
    profile: ResourceProfile | None, tell_group: Callable[[str | None], None] = lambda group: None
) -> Iterator[None]:
    """Give Horovod's Spark tasks a resource profile, and no other stage's; and let them end when their work has.

    `horovod.spark.run` offers neither. It makes its tasks by one call of `SparkContext.range`, and for as long as it
    runs that call is answered here.

    Parameters
    ----------
    profile : ResourceProfile, optional
    tell_group : callable
        Gets the name of the job group that the tasks belong to.
    """
    context = SparkContext._active_spark_context
    if context is None:
        yield
        return
    usual = context.range

    def range_for_horovod(*args: Any, **words: Any) -> RDD[int]:
        tell_group(context.getLocalProperty("spark.jobGroup.id"))
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
def quiet_cancellation() -> Iterator[None]:
    """Keep stack traces off the console that say no more than that a worker has failed."""
    usual = threading.excepthook

    def hook(unhandled: threading.ExceptHookArgs) -> None:
        words = str(unhandled.exc_value)
        # Spark itself cancels all jobs at Ctrl-C; and threads that read from a lost host end in an OSError.
        expected = "cancelled job group horovod.spark.run" in words or "cancellation of all jobs" in words
        if not expected and not (isinstance(unhandled.exc_value, OSError) and _of_horovod(unhandled.exc_traceback)):
            usual(unhandled)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = usual


def _of_horovod(trace: TracebackType | None) -> bool:
    return trace is not None and any("/horovod/" in frame.filename for frame in extract_tb(trace))

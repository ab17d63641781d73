"""One call of Spark's TorchDistributor: barrier tasks, in each torchrun with one process. Imports nothing of Horovod.

It hands on the result of rank 0 alone; it starts processes in the environment of Spark's; its words from the workers
lose their order when one is long; and when a worker fails it says no more than that. The workers' side of that is
made up for in the processes themselves, the driver's by answering for as long as it runs what hears the workers.
"""

from __future__ import annotations

import re
import socketserver
import struct
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyspark import SparkContext

from aslspark.errors import AslsparkError
from aslspark.session import running_session
from aslspark.training.gpus import tasks_hold_gpus
from aslspark.training.hearing import Ear
from aslspark.training.watched_run import LOOK_SECONDS, NOT_STARTED, WatchedRun

ENDED_SECONDS = 15.0
"""That Spark has to end the tasks of a cancelled job: it looks every two seconds, and waits two more."""
_RANK, _EXIT = re.compile(r"^\s*rank\s+: (\d+) \(local_rank"), re.compile(r"^\s*exitcode\s+: (-?\d+) \(pid")
"""In torchrun's words on a process that failed."""


class TorchRun(WatchedRun):
    """Runs `pyspark.ml.torch.distributor.TorchDistributor`."""

    def __init__(self) -> None:
        super().__init__()
        self._group = f"aslspark-{uuid.uuid4().hex}"

    def run(
        self,
        num_proc: int,
        work: Callable[[], Any],
        env: Mapping[str, str],
        ears: tuple[Ear, Ear],
        silent: Callable[[], str | None],
        start_seconds: int,
    ) -> list[Any]:
        """Run `work` in so many processes; see `WatchedRun.run`.

        Raises
        ------
        AslsparkError
            Where Spark's settings rule TorchDistributor out.
        """
        from pyspark.ml.torch.distributor import TorchDistributor

        spark = running_session()
        assert spark is not None
        context = spark.sparkContext
        if context.getConf().get("spark.dynamicAllocation.enabled") == "true":
            raise AslsparkError(
                "spark.dynamicAllocation.enabled=true: TorchDistributor's tasks start together or not at all, which "
                "Spark does not do with it; set it to false, or training.launcher=horovod"
            )
        self._ear = ears[0]
        distributor = TorchDistributor(num_proc, local_mode=False, use_gpu=tasks_hold_gpus(spark))
        distributor.logger.setLevel("WARNING")  # it would say that it has started, and ended
        started = time.monotonic()

        def call() -> Any:
            # Not interrupted: Spark would forget the Python worker, and all that it has started would run on.
            context.setJobGroup(self._group, "training", interruptOnCancel=False)
            return distributor.run(_in_torchrun(work, dict(env)))

        def silent_or_late() -> str | None:
            if self._ear.failures and self._first_failure is None:
                self._first_failure = time.monotonic()
            if self._ear.ranks < num_proc and time.monotonic() - started > start_seconds:
                heard = f"{self._ear.ranks} of {num_proc} processes were heard from in {start_seconds} s"
                return f"{NOT_STARTED}: {heard}; workers must reach the driver at spark.driver.host"
            return silent()

        try:
            results: list[Any] = self.watched(call, silent_or_late)
        except BaseException:
            self._wait_for_tasks()
            raise
        return results

    @contextmanager
    def _ways(self) -> Iterator[None]:
        from pyspark.ml.torch import log_communication

        run = self

        class Handler(socketserver.BaseRequestHandler):
            """Reads what a task sends: the length of a line, and the line. Spark's own takes half a line for one."""

            def handle(self) -> None:
                self.request.settimeout(LOOK_SECONDS)
                held, rank = b"", -1
                while True:
                    try:
                        piece = self.request.recv(1 << 16)
                    except TimeoutError:
                        if self.server.is_active:  # type: ignore[attr-defined]  # Spark's LogStreamingServer sets it
                            continue
                        return
                    if not piece:
                        return
                    held += piece
                    while len(held) >= 4 and len(held) >= 4 + (length := struct.unpack(">i", held[:4])[0]):
                        line, held = held[4 : 4 + length].decode(errors="replace"), held[4 + length :]
                        rank = run._hear(line, rank)

        spark: Any = log_communication
        usual, spark.WriteLogToStdout = spark.WriteLogToStdout, Handler
        try:
            yield
        finally:
            spark.WriteLogToStdout = usual

    def _hear(self, line: str, rank: int) -> int:
        """Take a line, with the rank that torchrun spoke of before it; return that of which it speaks now."""
        self._ear.write(f"{line}\n")
        found = _RANK.match(line)
        if found:
            return int(found[1])
        code = _EXIT.match(line)
        if code:
            self._note_exit(rank, int(code[1]))
        return rank

    def _give_up(self) -> None:
        context = SparkContext._active_spark_context
        if context is not None:
            context.cancelJobGroup(self._group)

    def _end(self) -> None:
        self._give_up()
        self._over.wait(ENDED_SECONDS)

    def _wait_for_tasks(self) -> None:
        """Wait until no process of this run is left: one that hangs is killed by Spark, seconds after the job ended."""
        until = time.monotonic() + ENDED_SECONDS
        while self._active_tasks() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    def _active_tasks(self) -> int:
        context = SparkContext._active_spark_context
        if context is None:
            return 0
        tracker = context.statusTracker()
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(self._group)]
        stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
        return sum(stage.numActiveTasks for stage in stages if stage)


def _in_torchrun(work: Callable[[], Any], env: Mapping[str, str]) -> Callable[[], Any]:
    """Wrap what a process does: with its environment from its start on, it gives rank 0 what every rank returned."""

    def run() -> Any:
        # Pickled by value, since it is nested: nothing in here may need the package, which `work` puts on the path.
        import ctypes
        import os
        import signal
        import socket
        import sys

        if any(os.environ.get(name) != value for name, value in env.items()):
            os.environ.update(env)
            # Again from the start, as the same process: glibc and OpenMP read their settings once.
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        print(flush=True)  # a task's first line is Spark's to show, whoever hears the others
        # torchrun has half a second to end this process before it is killed itself.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if "GLOO_SOCKET_IFNAME" not in os.environ:
            # Gloo would take the interface of this host's name, which is often loopback.
            import psutil

            with socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))) as way:
                own = way.getsockname()[0]
            for name, addresses in psutil.net_if_addrs().items():
                if any(each.address == own for each in addresses):
                    os.environ["GLOO_SOCKET_IFNAME"] = name
        result = work()
        import torch.distributed as ranks

        if not ranks.is_initialized():
            ranks.init_process_group("gloo")
        results: list[Any] | None = [None] * ranks.get_world_size() if ranks.get_rank() == 0 else None
        ranks.gather_object(result if results is None else None, results)
        ranks.destroy_process_group()
        if results is not None:
            results[0] = result  # which holds the weights, and so stays where it is
        return results

    return run

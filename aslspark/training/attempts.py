"""A fit that goes on: when workers are lost it is taken up again from its last epoch, with those that are left.

In: a worker's function and its job. Out: each rank's result, from the try that came to the end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.spark_session import (
    IS_SPARK_3,
    dynamic_allocation,
    is_connect,
    is_local,
    master,
    seconds_setting,
    wait_for_slots,
)
from aslspark.common.store_path import AnyPath, any_path
from aslspark.training.checkpoint import read_checkpoint
from aslspark.training.events import OnEvent
from aslspark.training.flat_copy import flat_copies
from aslspark.training.launch.failures import WorkerError
from aslspark.training.launch.run import run_workers
from aslspark.training.launch.stage import Stage
from aslspark.training.worker import WorkerJob

log = logging.getLogger("aslspark")

REPLACED_SECONDS = 30.0
"""That a cluster has to put another executor in a lost one's place, before it goes on with fewer."""
LOOK_SECONDS = 0.5


class Attempts:
    """Tries to bring a fit to its end.

    Parameters
    ----------
    function : callable
        What each process does with the job; see `aslspark.training.worker.run_epochs`.
    tries : int
        At most.
    profile : ResourceProfile, optional
        What the processes' tasks hold.
    scratch : Path or StorePath
        For the flat copies of `feed=petastorm`.
    """

    def __init__(
        self,
        spark: SparkSession,
        function: Callable[[Any], Any],
        tries: int,
        profile: ResourceProfile | None,
        scratch: AnyPath,
    ) -> None:
        self._spark, self._function, self._tries = spark, function, tries
        self._profile, self._scratch = profile, scratch
        self.stopped = threading.Event()
        """To be set by who wants the run to end."""
        self.launched = 0.0
        """Wall clock when the last try began."""

    def run(self, job: WorkerJob, num_proc: int, env: Mapping[str, str], on_event: OnEvent) -> list[Any]:
        """Run the job in `num_proc` processes, and again, with as many as there is room for, where some are lost.

        A worker's own error is tried again only where an epoch was finished before it: otherwise it would come again.

        Parameters
        ----------
        job : WorkerJob
            With `checkpoints` and `fit`.
        env, on_event
            See `aslspark.training.launch.run.run_workers`.

        Raises
        ------
        AslsparkError
            The last try's, with how many there were.
        """
        epoch, wanted = self._epochs_kept(job), num_proc
        for attempt in range(1, self._tries + 1):
            if epoch:
                log.info(
                    "going on after epoch %d of %d, with %s",
                    epoch,
                    job.training.epochs,
                    counted(num_proc, "process", "processes"),
                )
            executors = self._executors()
            try:
                return self._once(replace(job, start_epoch=epoch), num_proc, env, on_event)
            except WorkerError as error:
                kept = self._epochs_kept(job)
                if not error.lost and kept == epoch:
                    raise  # it would come again
                if attempt == self._tries:
                    raise AslsparkError(
                        f"{error}\ngiven up after {counted(attempt, 'try', 'tries')} (training.tries), {kept} of "
                        f"{job.training.epochs} epochs done"
                    ) from error
                first_line = str(error).splitlines()[0].removesuffix("; its last words:")  # they are in the lines below
                log.warning("%s; try %d of %d begins", first_line, attempt + 1, self._tries)
                if error.silent and not is_local(self._spark):
                    self._wait_until_all_answer(executors, num_proc)
                epoch, num_proc = kept, self._slots_left(wanted)  # of those lost before, some may be back
        raise AssertionError("unreachable")

    def _once(self, job: WorkerJob, num_proc: int, env: Mapping[str, str], on_event: OnEvent) -> list[Any]:
        copies = (
            flat_copies(job, num_proc, str(self._scratch)) if job.training.feed == "petastorm" else nullcontext(job)
        )
        with copies as ready:
            self.launched = time.time()
            return run_workers(
                num_proc,
                self._function,
                ready,
                env=env,
                on_event=on_event,
                profile=self._profile,
                stopped=self.stopped,
                launcher=job.training.launcher,
                folder=job.checkpoints,
                modules=self._modules(job),
            )

    def _modules(self, job: WorkerJob) -> list[str]:
        """Name what workers find imported: where their function is, if it goes to them by its name.

        In local mode alone, where fits follow each other, and not with the TensorFlow of Spark 3.5, with which forking
        was not tried. Not with GPUs: CUDA outlives no fork, and nobody promises that importing a framework leaves it
        alone.
        """
        by_name = "<locals>" not in self._function.__qualname__
        may_fork = by_name and job.gpu is None and is_local(self._spark) and not IS_SPARK_3
        return [self._function.__module__] if may_fork else []

    def _epochs_kept(self, job: WorkerJob) -> int:
        found = read_checkpoint(any_path(job.checkpoints), job.fit)
        return found.progress.epochs if found else 0

    def _slots_left(self, wanted: int) -> int:
        """Wait for a replacement, and return how many processes there is room for."""
        slots = wait_for_slots(self._spark, wanted, REPLACED_SECONDS, self._profile)
        if slots == 0:
            raise AslsparkError(
                f"{master(self._spark)} has no task slot left; when it has some again, go on with --resume"
            )
        return wanted if slots is None else min(slots, wanted)

    def _executors(self) -> set[str]:
        if is_connect(self._spark):
            return set()  # a server names none
        infos: Any = self._spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()
        return {f"{info.host()}:{info.port()}" for info in infos}

    def _wait_until_all_answer(self, before: set[str], num_proc: int) -> None:
        """Wait until as many tasks as the fit had answer at once, or Spark has given an executor up.

        Until Spark has, it counts the slots of a host that is gone, and tasks sent there hang. A worker that was not
        heard from may as well have been slow, on a host that answers.
        """
        deadline = time.monotonic() + seconds_setting(self._spark, "spark.network.timeout", 120.0) * 1.5
        # Under dynamic allocation one slot could answer for all.
        probe = None if dynamic_allocation(self._spark) else Stage(self._spark, num_proc, self._profile, _answer)
        answered = probe.ended if probe else threading.Event()
        while before <= self._executors() and time.monotonic() < deadline:
            if answered.wait(LOOK_SECONDS):
                return
        if probe:
            probe.cancel()


def _answer(task: int) -> tuple[int, bytes]:
    return task, b""

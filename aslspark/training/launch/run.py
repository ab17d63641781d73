"""Runs one function in N processes, each in a Spark task, and hears from them.

In: a worker's function and its job. Out: each rank's result; or which worker failed, and why, within seconds. One stage
does it, whose tasks start together or not at all; nothing connects to the driver.
"""

from __future__ import annotations

import os
import pickle
import secrets
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import cloudpickle
from pyspark.resource import ResourceProfile

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.spark_session import running_session
from aslspark.common.store_path import any_path, store_environment
from aslspark.training.events import Event, OnEvent
from aslspark.training.launch.failures import WorkerError, what_went_wrong
from aslspark.training.launch.launchers import HOROVOD
from aslspark.training.launch.mailbox import SIGN_OF_LIFE_SECONDS, Mailbox
from aslspark.training.launch.stage import Stage
from aslspark.training.launch.task import (
    DONE,
    ENDED,
    FAILED,
    OVER,
    SILENCE_SECONDS,
    SILENT,
    START_SILENCE_SECONDS,
    STARTED,
    WORKING,
    Plan,
    run_task,
)

START_SECONDS = 120
"""Until all processes must have started, unless Horovod's own `HOROVOD_SPARK_START_TIMEOUT` is set."""
OTHERS_SECONDS = 3.0
"""That the other workers have, when one has failed, to say so themselves."""
ENDING_SECONDS = 6.0
"""That tasks have to end when they are told to, and again when Spark is."""
RESULTS_SECONDS = 60.0
"""That Spark has to hand over what tasks have returned that were all done."""
GONE_SECONDS = 2 * SIGN_OF_LIFE_SECONDS
"""After which a task that others wait for is taken for gone."""


class StoppedEarly(Exception):  # noqa: N818  (no error: somebody has seen enough)
    """The run was ended on request."""


def run_workers(
    num_proc: int,
    function: Callable[[Any], Any],
    job: Any,
    *,
    env: Mapping[str, str],
    on_event: OnEvent,
    start_timeout: int | None = None,
    profile: ResourceProfile | None = None,
    stopped: threading.Event | None = None,
    launcher: str = HOROVOD,
    folder: str | None = None,
    modules: Sequence[str] = (),
) -> list[Any]:
    """Run `function(job)` in `num_proc` processes, each in a Spark task. However it ends, by Ctrl-C too, none is left.

    Parameters
    ----------
    function : callable
        Anything that cloudpickle takes.
    job : object
        Anything that cloudpickle takes.
    env : mapping
        Environment variables of the workers.
    on_event : callable
        Gets what the workers report.
    start_timeout : int, optional
        Seconds until all processes must have started.
    profile : ResourceProfile, optional
        What the processes' tasks hold; see `aslspark.training.gpus.gpu_tasks`.
    stopped : threading.Event, optional
        When it is set, the run ends.
    launcher : {'horovod', 'torch'}
        What averages gradients; see `aslspark.training.collective`.
    folder : str, optional
        On a file system or in a store that the driver and all workers share; None: the temporary one, where all are
        on one host.
    modules : sequence of str
        What may be imported once on each executor, for the workers of several fits; see
        `aslspark.training.launch.fork_server`. None: each worker is a process that has imported nothing.

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
    spark = running_session()
    if spark is None:
        raise AslsparkError("there is no running SparkSession; start one before fitting")
    mailbox = Mailbox(any_path(folder or tempfile.gettempdir()) / f"aslspark-launch-{uuid.uuid4().hex}", num_proc)
    plan = Plan(
        folder=str(mailbox.folder),
        size=num_proc,
        launcher=launcher,
        work=cloudpickle.dumps((function, job)),
        env={**store_environment(), **env},
        modules=tuple(modules),
        driver=str(spark.conf.get("spark.driver.host", "127.0.0.1")),
        secret=secrets.token_urlsafe(24),
    )
    start_seconds = start_timeout or int(os.environ.get("HOROVOD_SPARK_START_TIMEOUT", START_SECONDS))
    try:
        stage = Stage(spark, num_proc, profile, partial(run_task, plan))
        patience = GONE_SECONDS * mailbox.patience
        try:
            _watch(mailbox, stage, on_event, stopped or threading.Event(), start_seconds)
            patience = RESULTS_SECONDS
        finally:
            mailbox.end()
            _wait_for_the_end(mailbox, stage, patience)
    finally:
        mailbox.remove()
    if stage.error is not None or len(stage.results) < num_proc:
        raise WorkerError(f"the results of the workers were lost: {stage.error}", lost=True)
    return [pickle.loads(stage.results[rank]) for rank in range(num_proc)]


def _watch(
    mailbox: Mailbox,
    stage: Stage,
    on_event: OnEvent,
    stopped: threading.Event,
    start_seconds: int,
) -> None:
    """Wait until every worker is done; raise what keeps one from it."""
    began, first_trouble = time.monotonic(), 0.0
    while True:
        ended = stage.ended.wait(mailbox.look_seconds)
        for event in mailbox.read():
            _hand_on(event, on_event)
        if stopped.is_set():
            raise StoppedEarly
        now, states = time.monotonic(), [status.get("state") for status in mailbox.statuses]
        if all(state == DONE for state in states):
            return
        in_trouble = [state in (FAILED, ENDED, SILENT) for state in states]
        first_trouble = first_trouble or (now if ended or any(in_trouble) else 0.0)
        over = bool(first_trouble) and (all(in_trouble) or SILENT in states or now - first_trouble > OTHERS_SECONDS)
        # A task that has never said anything waits for its slot, for as long as `start_seconds` allow.
        silences = [mailbox.silence(task) if status["beat"] else 0.0 for task, status in enumerate(mailbox.statuses)]
        have_joined = not {WORKING, DONE}.isdisjoint(states)
        limit = GONE_SECONDS if over else SILENCE_SECONDS if have_joined else START_SILENCE_SECONDS
        if over or max(silences) > limit * mailbox.patience:
            why = str(stage.error or "")
            raise what_went_wrong(mailbox.statuses, silences, limit * mailbox.patience, why) from stage.error
        started = sum(state in (STARTED, WORKING, DONE) for state in states)
        if started < len(states) and now - began > start_seconds and not first_trouble:
            raise WorkerError(
                f"the workers did not start in time: {started} of "
                f"{counted(len(states), 'process was', 'processes were')} heard from in {start_seconds} s",
                lost=True,
            )


def _hand_on(event: Event, on_event: OnEvent) -> None:
    try:
        on_event(event)
    except Exception:  # a broken display must not end the training
        traceback.print_exc(file=sys.stderr)


def _wait_for_the_end(mailbox: Mailbox, stage: Stage, patience: float) -> None:
    """Wait until every task has ended its process, but for one that is silent: it is gone, or cut off.

    Not until the job has ended: at Ctrl-C Spark has then only begun to end its tasks. Who has not ended by then has
    `patience` seconds before Spark is told to end it.
    """
    until, gone = time.monotonic() + ENDING_SECONDS * mailbox.patience, GONE_SECONDS * mailbox.patience
    while time.monotonic() < until:
        for _ in mailbox.read():
            pass
        heard = [status for task, status in enumerate(mailbox.statuses) if mailbox.silence(task) < gone]
        if all(status.get("state") == OVER for status in heard):
            break
        time.sleep(mailbox.look_seconds)
    if not stage.ended.wait(patience):
        stage.cancel()
        stage.ended.wait(ENDING_SECONDS)

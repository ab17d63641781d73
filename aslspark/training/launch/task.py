"""What a Spark task of a fit does: it finds the others, starts its worker process, and hands on what that says.

In: a `Plan` and the task's number. Out: the rank and the pickled result; all else goes through the mailbox while the
task runs. It ends when the driver says so, and its process with it.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from pyspark import TaskContext

from aslspark.common.errors import AslsparkError
from aslspark.common.store_path import any_path
from aslspark.training.launch import child, store
from aslspark.training.launch.launchers import HOROVOD
from aslspark.training.launch.mailbox import LOOK_SECONDS, TaskMail, TaskStatus
from aslspark.training.launch.places import LOOPBACK, Place, interface_of, own_address, places, this_host
from aslspark.training.launch.process import WorkerProcess

GPU = "ASLSPARK_GPU"
"""Environment variable of a worker: the address of the GPU that Spark gave its task."""
SILENCE_SECONDS = 8.0
"""After which a rank that had joined the others is taken for lost; signs of life come from a thread of its own."""
START_SILENCE_SECONDS = 60.0
"""The same as long as processes still import: a library that loads lets no other thread of Python's run, and keeps the
processors of a small machine busy."""

REACH_SECONDS = 3.0
"""That the host of rank 0 may take to answer another's."""

STARTED, WORKING, DONE = "started", "working", "done"
FAILED, ENDED, SILENT = "failed", "ended", "silent"
"""What a task says of its worker."""
OVER = "over"
"""What it says of itself when it has ended its worker."""


@dataclass(frozen=True)
class Plan:
    """What every task of a fit is told."""

    folder: str
    """The mailbox."""
    size: int
    launcher: str
    work: bytes = field(repr=False)
    """The pickled function and its job."""
    env: Mapping[str, str] = field(repr=False)
    """Of the workers, with the keys of the stores."""
    modules: tuple[str, ...]
    """What is imported before workers are forked."""
    driver: str
    """An address of the driver's host, to which all hosts know a way."""
    secret: str = field(repr=False)
    """Who knows it is of this fit."""


class _Ended(Exception):  # noqa: N818  (no error: the driver has ordered it)
    """The driver wants the end."""


def run_task(plan: Plan, task: int) -> tuple[int, bytes] | None:
    """Do one task's part, and return its rank and its pickled result, where there is one.

    Raises
    ------
    AslsparkError
        Where the mailbox cannot be written from here.
    """
    mail, context = TaskMail(any_path(plan.folder, plan.env), task), TaskContext.get()
    assert context is not None
    if mail.status_of(task).get("beat"):
        # Spark tries again what was lost. The driver does that itself, from a checkpoint and with those that are left.
        _wait_for_the_end(mail, quietly=True)
        return None
    try:
        with ExitStack() as stack:
            place, env = _find_the_others(plan, mail, task, stack)
            if "gpu" in context.resources():
                env[GPU] = context.resources()["gpu"].addresses[0]
            process = WorkerProcess(plan.env, env, plan.work, plan.modules, lambda: _stay(mail))
            return _run_worker(place, process, mail)
    except _Ended:
        return None
    except Exception as error:
        ours = str(error) if isinstance(error, AslsparkError) else None
        mail.tell(state=FAILED, traceback=traceback.format_exc(), ours=ours)
        _wait_for_the_end(mail)  # an error of the task's own would be tried again by Spark, and told by it at length
        return None
    finally:
        mail.tell(state=OVER)


def _find_the_others(plan: Plan, mail: TaskMail, task: int, stack: ExitStack) -> tuple[Place, dict[str, str]]:
    """Return this task's place, and the environment in which its worker finds the others."""
    mail.tell(host=this_host(), address=own_address(plan.driver), name=os.uname().nodename)
    others = [_wait_for(mail, other, "address") for other in range(plan.size)]
    place = places([other["host"] for other in others])[task]
    # On one host nothing is to be seen from outside it.
    addresses = [LOOPBACK if place.local_size == place.size else other["address"] for other in others]
    mail.tell(rank=place.rank)
    if place.rank == 0:
        server = store.StoreServer(addresses[task], plan.secret)
        stack.callback(server.close)
        mail.tell(port=server.port)
    port = str(_wait_for(mail, 0, "port")["port"])  # rank 0 is task 0's
    address, interface = f"{addresses[0]}:{port}/{plan.secret}", interface_of(addresses[task])
    if addresses[task] != addresses[0]:
        # A host that is cut off may still see the folder, by another wire.
        mail.reaches_others = lambda: _answers(address, int(port))
    if plan.launcher == HOROVOD:
        return place, {
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": address,
            "HOROVOD_GLOO_RENDEZVOUS_PORT": port,
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
            "HOROVOD_GLOO_IFACE": interface,
            "HOROVOD_HOSTNAME": addresses[task],
            **{f"HOROVOD_{name.upper()}": str(number) for name, number in place._asdict().items()},
        }
    numbers = {"RANK": place.rank, "WORLD_SIZE": place.size, "LOCAL_RANK": place.local_rank}
    env = {store.ADDRESS: address, store.PORT: port, "GLOO_SOCKET_IFNAME": interface}
    return place, {**env, **{name: str(number) for name, number in numbers.items()}}


def _wait_for_the_end(mail: TaskMail, quietly: bool = False) -> None:
    while not mail.is_over():
        if not quietly:
            mail.give_sign_of_life()
        time.sleep(mail.look_seconds)


def _wait_for(mail: TaskMail, task: int, said: str) -> TaskStatus:
    while said not in (status := mail.status_of(task)):
        _stay(mail)
        time.sleep(mail.look_seconds / 2)
    return status


def _stay(mail: TaskMail) -> None:
    """Give a sign of life, unless the driver wants the end."""
    if mail.is_over():
        raise _Ended
    mail.give_sign_of_life()


def _answers(address: str, port: int) -> bool:
    try:
        store.ask(address, port, "GET", "alive", seconds=REACH_SECONDS)
    except OSError:
        return False
    return True


def _run_worker(place: Place, process: WorkerProcess, mail: TaskMail) -> tuple[int, bytes] | None:
    """Hand on what a worker says until the driver orders the end; then end it, and return its result."""
    result: tuple[int, bytes] | None = None
    state, heard, patience = "", time.monotonic(), START_SILENCE_SECONDS
    try:
        while not mail.is_over():
            before, about = state, TaskStatus()
            for kind, content in process.messages(LOOK_SECONDS):
                heard = time.monotonic()
                if kind == child.EVENT:
                    mail.tell(content)
                elif kind == child.AT_WORK:
                    state, patience = WORKING, SILENCE_SECONDS
                elif kind == child.RESULT:
                    state, result = DONE, (place.rank, content)
                elif kind == child.FAILED:
                    state, about = FAILED, content
                else:
                    state = state or STARTED
            if state not in (DONE, FAILED, ENDED, SILENT):
                if (code := process.exit_code()) is not None:
                    state, about = ENDED, {"code": code}
                elif time.monotonic() - heard > patience:
                    state, about = SILENT, {"patience": patience, "traceback": process.stack()}
            if state != before:
                about["state"], about["words"] = state, process.last_words
                mail.tell(**about)
            mail.give_sign_of_life()
    finally:
        process.end(at_once=result is None)
    return result

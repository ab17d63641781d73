"""Which worker went wrong, and how: one error out of what all tasks have said."""

from __future__ import annotations

import re

from aslspark.common.errors import AslsparkError
from aslspark.training.launch.mailbox import TaskStatus
from aslspark.training.launch.task import DONE, ENDED, FAILED, SILENT

_AFTER_ANOTHER = re.compile(r"HorovodInternalError|node gradients\b|Op:Horovod|torch/distributed/distributed_c10d")
"""In a traceback: an operation of all workers failed; in torch, in the graph of a Keras step, outside of it; in
torch's own."""
_LINES = 20


class WorkerError(AslsparkError):
    """A worker did not come to its end.

    Parameters
    ----------
    lost : bool
        It was killed or cut off, so that another try may well succeed; otherwise it raised an error.
    silent : bool
        Nothing more was heard of its task, or by it of the others: Spark may not yet know that a host is gone.
    """

    def __init__(self, message: str, lost: bool = False, silent: bool = False) -> None:
        super().__init__(message)
        self.lost, self.silent = lost, silent


def what_went_wrong(statuses: list[TaskStatus], silences: list[float], limit: float, why: str) -> AslsparkError:
    """Make the error of the worker that was first, and not of one that failed after it.

    Parameters
    ----------
    statuses : list of TaskStatus
        What each task said last.
    silences : list of float
        Seconds since then.
    limit : float
        Of them, from which on a task is taken for lost.
    why : str
        What Spark says, where no worker explains it.
    """
    why = why.partition("\n\tat ")[0]  # without Java's stack
    # One that was killed before one that gave up after it.
    for status in sorted(_in_state(statuses, ENDED), key=lambda each: each["code"] != -9):
        killed = ": killed, out of memory or by hand" if status["code"] == -9 else ""
        code = status["code"] if status["code"] >= 0 else 128 - status["code"]  # of a signal, as shells say it
        words = f"ended with exit code {code}{killed}; its last words:\n{_last_lines(status)}"
        return WorkerError(f"{_who(status)} {words}", lost=True)
    for status in _in_state(statuses, SILENT):
        words = f"was not heard from for {status['patience']:g} s: the process hangs"
        return WorkerError(f"{_who(status)} {words}\n{status['traceback'] or _last_lines(status)}", lost=True)
    failed = _in_state(statuses, FAILED)
    for status in failed:
        if not _AFTER_ANOTHER.search(status["traceback"]):
            if status["ours"]:
                return AslsparkError(status["ours"])
            return WorkerError(f"{_who(status)} failed: {_with_last_line_first(status)}")
    silence, task = max((silence, task) for task, silence in enumerate(silences))
    if silence > limit and statuses[task].get("state") != DONE:
        # Worker 0 holds what the others talk to, and can be cut off from nothing but itself.
        cut_off = "" if statuses[task].get("rank") == 0 else ", or its host cut off from worker 0's"
        words = f"was not heard from for {limit:g} s: its executor is lost or too busy{cut_off}"
        return WorkerError(f"{_who(statuses[task])} {words}\n{why}".strip(), lost=True, silent=True)
    for status in failed:
        words = f"lost its connection to another: {_with_last_line_first(status)}"
        return WorkerError(f"{_who(status)} {words}", lost=True, silent=True)
    return WorkerError(f"the training failed: {why}", lost=True)


def _in_state(statuses: list[TaskStatus], state: str) -> list[TaskStatus]:
    return [status for status in statuses if status.get("state") == state]


def _who(status: TaskStatus) -> str:
    return f"worker {status.get('rank', '?')} on {status.get('name', 'an unknown host')}"


def _last_lines(status: TaskStatus) -> str:
    return "\n".join(status["words"].splitlines()[-_LINES:])


def _with_last_line_first(status: TaskStatus) -> str:
    words = status["traceback"].strip()
    return f"{words.splitlines()[-1].strip()}\n{words}"

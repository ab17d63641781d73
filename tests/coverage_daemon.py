"""Spark's daemon of Python workers, for `make coverage`: a worker writes down what it ran when its task has ended.

Spark keeps its workers for the next task and ends them by a signal, when nothing can be written any more.
"""

from __future__ import annotations

from typing import Any

from coverage import Coverage
from pyspark import daemon

_run_task = daemon.worker_main


def run_task_and_save(*streams: Any) -> None:
    """Run a task as ever; what coverage has seen so far is saved behind it."""
    try:
        _run_task(*streams)
    finally:
        if measuring := Coverage.current():
            measuring.save()


if __name__ == "__main__":
    daemon.worker_main = run_task_and_save
    daemon.manager()

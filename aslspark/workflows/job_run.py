"""What every workflow does around its work: it shows its log, and keeps a run in MLflow where the settings say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aslspark.common.log_output import show_log
from aslspark.common.settings import Config
from aslspark.registry.tracking import tracked


@contextmanager
def job_run(config: Config, job: str, out: str | None = None, **about: Any) -> Iterator[None]:
    """Run a job's work in the block; see `aslspark.registry.tracking.tracked` for the parameters."""
    show_log()
    with tracked(config, job, out, **about):
        yield


def as_paths(given: str | Sequence[str]) -> list[str]:
    """Return the paths of a parameter that takes one or several."""
    return [given] if isinstance(given, str) else list(given)

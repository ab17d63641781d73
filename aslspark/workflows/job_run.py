"""What every workflow does around its work: it shows its log, and keeps a run in MLflow where the settings say so."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any

from pyspark.sql import SparkSession

from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.command_line import next_command
from aslspark.common.errors import AslsparkError
from aslspark.common.log_output import RESULT, show_log
from aslspark.common.progress import doing
from aslspark.common.settings import Config
from aslspark.registry.tracking import tracked

log = logging.getLogger("aslspark")


@contextmanager
def job_run(spark: SparkSession, config: Config, job: str, out: str | None = None, **about: Any) -> Iterator[None]:
    """Run a job's work in the block, and show how far it is; see `tracked` for the other parameters."""
    show_log()
    with doing(job, spark=spark), tracked(config, job, out, **about):
        yield


def log_result(where: str | Path, figure: str, *, look: str = "", then: str = "") -> None:
    """Log what a job came to: where it is, the figure that matters, what to look at, and the next command.

    Parameters
    ----------
    where : str or Path
    figure : str
    look : str
        A file to open.
    then : str
        As `next_command` gives it.
    """
    log.log(RESULT, "%s: %s", where, figure)
    for head, words in (("look", look), ("next", then)):
        if words:
            log.log(RESULT, "  %s: %s", head, words)


def training_command(config: Config, data: Sequence[str], *more: str) -> str:
    """Return the `next_command` that trains what a job has judged, on the data that it was given."""
    classifier = config.mllib.classifier
    job = ("train-cnn",) if classifier == NO_CLASSIFIER else ("train-baseline", "--model", classifier)
    return next_command(*job, *(["--data", *data] if data else []), "--out", "runs/mine", *more)


def as_paths(given: str | Sequence[str]) -> list[str]:
    """Return the paths of a parameter that takes one or several.

    Raises
    ------
    AslsparkError
        Where it is something else, such as a DataFrame.
    """
    return one_or_several(given, str)


def one_or_several(given: Any, kinds: type | UnionType) -> list[Any]:
    """Return as a list what may be one of some kinds, or several.

    Raises
    ------
    AslsparkError
        Where it is something else.
    """
    several = [given] if isinstance(given, kinds) else given
    if not isinstance(several, Sequence):
        raise _not_a_source(several)
    for each in several:
        if not isinstance(each, kinds):
            raise _not_a_source(each)
    return list(several)


def _not_a_source(given: object) -> AslsparkError:
    """Return the error that says what may stand in place of something that is no path and no DataFrame of Spark."""
    kind = type(given)
    if hasattr(given, "columns"):
        hint = (
            "aslspark.ingest and aslspark.score take Spark's DataFrames (spark.createDataFrame makes one of pandas'), "
            "aslspark.train the folder that aslspark.ingest wrote"
        )
    else:
        hint = "give a path as text, or several in a list"
    return AslsparkError(f"data: a {kind.__module__.partition('.')[0]} {kind.__name__} is not read here; {hint}")

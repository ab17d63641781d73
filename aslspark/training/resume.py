"""The folder of a training run that has not come to its end: what was ingested, the checkpoints, the bundle so far.

It lies beside the bundle that is to be, as `OUT.unfinished`, becomes the bundle when all went well, and is kept when
there is a checkpoint to go on from.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from typing import Any

from aslspark.common.redacted_files import write_json
from aslspark.common.same_run import require_same_run
from aslspark.common.settings import declarations
from aslspark.common.store_path import AnyPath, remove_folder
from aslspark.training.checkpoint import has_checkpoint
from aslspark.training.data import INGESTED, is_ingested
from aslspark.training.unfinished import CHECKPOINTS, LOCK, alone, require_resumed, unfinished_folder

log = logging.getLogger("aslspark")

RUN_FILE = "run.json"
MAY_DIFFER = tuple(name for name, setting in declarations().items() if setting.metadata.get("resumable"))
"""Settings that a run may go on with, though it began with others."""


@contextmanager
def unfinished_run(out: AnyPath, about: Mapping[str, Any], resume: bool) -> Iterator[AnyPath]:
    """Give the folder of a run while it lasts.

    Parameters
    ----------
    out : Path or StorePath
        The bundle's folder.
    about : mapping
        What the run is given: `data`, `test_data` (lists of paths) and `settings` (by section).
    resume : bool
        Go on with the one that is there.

    Raises
    ------
    AslsparkError
        Where there is one and `resume` is not asked for, or the other way round; where it was given something else;
        where another job is at work on it.
    """
    folder = unfinished_folder(out)
    if resume:
        require_resumed(out, resume)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):  # who is at work on it is said before that it is unfinished
        require_resumed(out, resume)
        if resume:
            require_same_run(
                "--resume: the run",
                _compared(json.loads((folder / RUN_FILE).read_text())),
                _compared(about),
                "give the same, or begin a new one",
                options={"data": "--data", "test_data": "--test-data"},
                may_differ=MAY_DIFFER,
            )
        else:
            with suppress(OSError, ValueError):  # of a run that was killed before its first checkpoint
                _keep_ingested(folder, out, bool(json.loads((folder / RUN_FILE).read_text())["data"]))
            _empty(folder)
            write_json(folder / RUN_FILE, about)
        try:
            yield folder
        except BaseException:
            if has_checkpoint(folder / CHECKPOINTS):
                log.info("what was trained so far is kept in %s; the same command with --resume goes on", folder)
            else:
                remove_folder(folder)
            raise
        remove_folder(folder)


@contextmanager
def ingest_kept(scratch: AnyPath, out: AnyPath, data: Sequence[str]) -> Iterator[None]:
    """Keep what a job ingested for itself where a later step fails: as `OUT.ingested`, which --data takes.

    A run with a checkpoint has it in its own folder, for --resume.

    Parameters
    ----------
    scratch : Path or StorePath
        What `training_data` is given, on the file system of `out`, or in its store.
    out : Path or StorePath
        What the job was to leave.
    data : sequence of str
        What it was given; drawn hands are not kept, since they are drawn again in no time.
    """
    try:
        yield
    except BaseException:
        if not has_checkpoint(scratch / CHECKPOINTS):
            _keep_ingested(scratch, out, bool(data))
        raise


def _keep_ingested(scratch: AnyPath, out: AnyPath, is_given: bool) -> None:
    ingested = scratch / INGESTED
    if not is_given or not is_ingested(str(ingested)):
        return
    endings = chain([""], (f"-{number}" for number in count(2)))
    names = (out.absolute().with_name(f"{out.name}.ingested{ending}") for ending in endings)
    kept = next(path for path in names if not path.exists())
    ingested.rename(kept)  # type: ignore[arg-type]  # both are of one kind
    log.info("what was ingested is kept: --data %s, in place of what was given, needs no ingest", kept)


def _compared(about: Mapping[str, Any]) -> dict[str, Any]:
    """Name settings as people do, without a word before their section."""
    return {"data": about["data"], "test_data": about["test_data"], **about["settings"]}


def _empty(folder: AnyPath) -> None:
    """Remove what a run left that was killed before its first checkpoint."""
    for path in folder.iterdir():
        if path.is_dir():
            remove_folder(path)
        elif path.name != LOCK:
            path.unlink()

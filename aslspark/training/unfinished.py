"""A bundle that is to be -> the folder of its run while that has not come to its end, and whether that is asked for.

It needs no Spark, so that a job can tell before Spark starts.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from aslspark.common.errors import AslsparkError
from aslspark.common.store_path import AnyPath, StorePath
from aslspark.training.checkpoint import has_checkpoint

CHECKPOINTS, LOCK = "checkpoints", ".lock"


def unfinished_folder(out: AnyPath) -> AnyPath:
    """Return where a run lies while it lasts, and when it did not come to its end."""
    return out.absolute().with_name(f"{out.name}.unfinished")


def require_resumed(out: AnyPath, resume: bool) -> None:
    """See that a run which did not come to its end is gone on with if it is there, and only then.

    Parameters
    ----------
    out : Path or StorePath
        The bundle's folder.
    resume : bool
        Whether it is asked to go on.

    Raises
    ------
    AslsparkError
        Naming the folder and what would do.
    """
    folder = unfinished_folder(out)
    there = has_checkpoint(folder / CHECKPOINTS)
    if resume and not there:
        raise AslsparkError(f"--resume: {folder} holds no run to go on with; leave --resume out to begin")
    if there and not resume:
        raise AslsparkError(
            f"--out {out}: {folder} holds a run that did not come to its end; "
            "go on with it by --resume, or remove that folder"
        )


@contextmanager
def alone(folder: AnyPath) -> Iterator[None]:
    """Keep other jobs away from the folder of a run.

    Raises
    ------
    AslsparkError
        Where another is at work on it.
    """
    if isinstance(folder, StorePath):  # stores know no locks
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AslsparkError(f"{folder}: another job is at work on it; choose another --out") from error
        except OSError:  # mounted stores without locks
            pass
        yield

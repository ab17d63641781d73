"""What a fit leaves behind after each epoch, so that it can go on: one file, whole or absent, without code in it.

In: a network's state as arrays, and what the loop remembers. Out: `epoch-NNNN.npz` in a folder that all workers share,
on a mount or in an object store; the last two and the best epoch's are kept.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from aslspark.common.atomic_file import replace_file
from aslspark.common.errors import AslsparkError
from aslspark.common.plain_folder import NotPlain, PlainFolder
from aslspark.common.store_path import AnyPath, StorePath
from aslspark.models.fit_result import Alert, EpochRow

log = logging.getLogger("aslspark")

FORMAT = 1
KEPT = 2
"""Of the latest, beside the best epoch's: the one before the last is there if the last cannot be read."""
_NAME = re.compile(r"epoch-(\d{4,})\.npz")
_ABOUT, _WEIGHTS, _STATE = "about", "weights", "state/"

State = Mapping[str, npt.NDArray[Any]]


@dataclass
class Progress:
    """What the loop remembers from one epoch to the next, beside the network's own state."""

    epochs: int = 0
    """That are done."""
    history: list[EpochRow] = field(default_factory=list)
    watch: list[Alert] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = 0
    spent: dict[str, float] = field(default_factory=dict)
    over: bool = False
    """The fit has come to its end: nothing is left to train."""


@dataclass(frozen=True)
class Checkpoint:
    """A fit between two epochs."""

    progress: Progress
    weights: bytes
    """Of the best epoch; see `aslspark.training.loop.Trainable.weights`."""
    current: bytes
    """Of the last epoch."""
    state: State
    """Of the optimizer; see `aslspark.training.loop.Trainable.state`."""


def write_checkpoint(folder: AnyPath, fit: str, progress: Progress, weights: bytes, state: State) -> None:
    """Write one epoch's file, and remove those that are no longer wanted.

    It is written beside its place, flushed and renamed: a process that ends at any moment leaves the earlier ones.

    Parameters
    ----------
    folder : Path or StorePath
        It must be there.
    fit : str
        What fit it belongs to; `read_checkpoint` asks for the same.
    weights : bytes
        Of the epoch that has just ended.
    state : mapping of str to array

    Raises
    ------
    AslsparkError
        Where there is no room on the disk, or the folder cannot be written.
    """
    about = json.dumps({"format": FORMAT, "fit": fit, "progress": asdict(progress)})
    path = _path(folder, progress.epochs)
    content = io.BytesIO()
    arrays: dict[str, Any] = {_ABOUT: _bytes(about.encode()), _WEIGHTS: _bytes(weights)}
    arrays |= {_STATE + name: array for name, array in state.items()}
    np.savez(content, **arrays)
    try:
        replace_file(path, content.getbuffer(), flush=True)
        _flush_folder(folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why, then = "there is no room on the disk", "make room"
        if not full:
            why, then = str(error.strerror or error), "see that the driver and all workers can write there"
        raise AslsparkError(
            f"checkpoint of epoch {progress.epochs}: {path}, {content.tell() / 2**20:.1f} MiB, cannot be written: "
            f"{why}; {then}, then go on with --resume"
        ) from error
    done = sorted(number for number in _written(folder) if number <= progress.epochs)
    for number in set(done[:-KEPT]) - {progress.best_epoch}:
        _path(folder, number).unlink(missing_ok=True)


def has_checkpoint(folder: AnyPath) -> bool:
    """Say whether an epoch was kept there."""
    return bool(_written(folder))


def fit_name(*parts: Any) -> str:
    """Make a short name of what tells a fit from others: anything that JSON takes."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_checkpoint(folder: AnyPath, fit: str, epoch: int | None = None) -> Checkpoint | None:
    """Read the latest epoch that can be read; None where there is none.

    Parameters
    ----------
    fit : str
        See `write_checkpoint`.
    epoch : int, optional
        This one and no other.

    Raises
    ------
    AslsparkError
        Where it belongs to another fit.
    """
    for number in sorted(_written(folder), reverse=True) if epoch is None else [epoch]:
        try:
            about, weights, state = _read(_path(folder, number))
            if about["fit"] != fit:
                raise AslsparkError(
                    f"{folder}: its checkpoints are of another fit (other data, labels, network or settings); "
                    "give an empty folder, or what that fit was given"
                )
            progress = Progress(**about["progress"])
            best = weights
            if progress.best_epoch not in (0, number):
                best = _read(_path(folder, progress.best_epoch))[1]
        except (OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, NotPlain, zipfile.BadZipFile) as error:
            log.warning("%s cannot be read (%s), and is left out", _path(folder, number), error)
            continue
        return Checkpoint(progress, best, weights, state)
    return None


def _read(path: AnyPath) -> tuple[dict[str, Any], bytes, dict[str, npt.NDArray[Any]]]:
    with _opened(path) as file, np.load(file, allow_pickle=False) as archive:
        about = json.loads(archive[_ABOUT].tobytes())
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, not {FORMAT}")
        state = {name[len(_STATE) :]: archive[name] for name in archive.files if name.startswith(_STATE)}
        return about, archive[_WEIGHTS].tobytes(), state


@contextmanager
def _opened(path: AnyPath) -> Iterator[BinaryIO]:
    if isinstance(path, StorePath):
        yield io.BytesIO(path.read_bytes())
        return
    with PlainFolder(path.parent) as folder, folder.open(path.name) as file:
        yield file


def _written(folder: AnyPath) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]


def _path(folder: AnyPath, epoch: int) -> AnyPath:
    return folder / f"epoch-{epoch:04}.npz"


def _bytes(content: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _flush_folder(folder: AnyPath) -> None:
    if isinstance(folder, StorePath):
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # some mounted stores have folders that cannot be opened
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)

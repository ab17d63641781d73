"""A bundle's folder: written whole or not at all, sealed with the SHA-256 of every file, checked when it is read.

In: a folder. Out: its manifest, or what is wrong with it. Nothing here needs Spark, so that a service can read bundles.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aslspark
from aslspark.bundle_checks import Refused, check_links, check_manifest
from aslspark.errors import AslsparkError
from aslspark.paths import local_path

FORMAT = 1
MANIFEST, SUMS, ONNX = "bundle.json", "SHA256SUMS", "network.onnx"


def require_new(path: str) -> Path:
    """Return the local path of a folder that is to be made, and see that nothing is in its place.

    Raises
    ------
    AslsparkError
        Where it is there already, or its parent cannot be written.
    """
    out = Path(local_path(path))
    if out.exists():
        raise AslsparkError(f"--out {path}: it exists already; choose another name or remove it")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise AslsparkError(f"--out {path}: {parent} cannot be written; choose another place")
    return out


@contextmanager
def whole_folder(path: Path, scratch: Path | None = None) -> Iterator[Path]:
    """Give a temporary folder to write into, which takes the name `path` when all went well.

    Whatever ends the work early, nothing is left behind.

    Parameters
    ----------
    path : Path
    scratch : Path, optional
        The temporary folder, on the same file system; without it, a sibling.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    if scratch is None:
        scratch = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)  # of a job that was killed
    scratch.mkdir()
    try:
        yield scratch
        _flush(scratch)
        os.rename(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def seal(folder: Path) -> None:
    """Write the SHA-256 of every file, in the format of `sha256sum`."""
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / SUMS).write_text("".join(lines))


def behind_alias(path: str) -> str:
    """Return what an alias of a registry stands for now: it may be moved while its files are read."""
    link = Path(local_path(path))
    return str(link.resolve()) if link.is_symlink() else path


def read_manifest(path: str, setting: str = "--model ") -> dict[str, Any]:
    """Check a bundle and return its manifest.

    Parameters
    ----------
    path : str
    setting : str
        By which the path was given; errors begin with it.

    Raises
    ------
    AslsparkError
        Where the folder is no bundle, a newer one, not as it was written, or names what is not its own; it says which
        file.
    """
    folder = Path(local_path(path))
    if not folder.is_dir():
        raise AslsparkError(f"{setting}{path}: there is no such folder; give the --out of a training job")
    if not (folder / SUMS).is_file() or not (folder / MANIFEST).is_file():
        raise AslsparkError(f"{setting}{path}: no bundle: {SUMS} or {MANIFEST} is missing")
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise AslsparkError(f"{setting}{path}: {SUMS} was changed; copy the bundle again") from error
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if not match:
            raise AslsparkError(f"{setting}{path}: {SUMS} was changed; copy the bundle again")
        sums[match[2]] = match[1]
    there = {file.relative_to(folder).as_posix(): file for file in _files(folder)}
    for name in sorted(sums.keys() | there.keys()):
        if name not in there:
            raise AslsparkError(f"{setting}{path}: {name} is missing; copy the bundle again")
        if name not in sums:
            raise AslsparkError(
                f"{setting}{path}: {name} does not belong to the bundle; remove it or copy the bundle again"
            )
        if _digest(there[name]) != sums[name]:
            raise AslsparkError(f"{setting}{path}: {name} was changed (its SHA-256 differs); copy the bundle again")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        written = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AslsparkError(
            f"{setting}{path}: {MANIFEST} is not what aslspark writes; copy the bundle again"
        ) from error
    if written != FORMAT:
        raise AslsparkError(
            f"{setting}{path}: bundle format {written}; this aslspark {aslspark.__version__} reads "
            f"{FORMAT}: use the version that wrote it"
        )
    with refusal_named(setting, path):
        check_links(folder)
        check_manifest(manifest, sums)
    return manifest


@contextmanager
def refusal_named(setting: str, path: str) -> Iterator[None]:
    """Turn what `aslspark.bundle_checks` refuses into an error that names the bundle."""
    try:
        yield
    except Refused as refused:
        raise AslsparkError(
            f"{setting}{path}: it was not made by this package ({refused}), and nothing of it was loaded; "
            "take a bundle of a training job"
        ) from refused


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())

"""A bundle's folder -> its manifest and files, checked by their SHA-256; and the writing of such folders.

A folder is written whole or not at all. This module needs no Spark, so that a service can read bundles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from aslspark.bundle.boxed import LETTERS, boxed
from aslspark.bundle.checks import check_manifest
from aslspark.bundle.manifest import Manifest
from aslspark.common.command_line import nearest
from aslspark.common.errors import AslsparkError
from aslspark.common.load_refused import LoadRefused
from aslspark.common.package import VERSION
from aslspark.common.plain_folder import NotPlain, PlainFolder, quoted
from aslspark.common.store_path import AnyPath, StorePath, any_path, as_local_folder, remove_folder

FORMAT = 1
MANIFEST, SUMS, ONNX, PIPELINE = "bundle.json", "SHA256SUMS", "network.onnx", "pipeline"
HANDS = "hands/"
"""The folder of the networks that find hands."""
STAGE_FOLDER = "bundle"
"""The bundle's folder in a saved Pipeline stage."""
MOST_FILE_BYTES = 2 << 30
"""Of one file; ONNX allows 2 GiB."""
MOST_LISTED_BYTES = 32 << 20
"""Of SHA256SUMS; enough for 50,000 files with paths of 500 characters."""


def require_new(path: str) -> AnyPath:
    """Return a folder that is to be made, as Python opens it, and check that it does not exist.

    Raises
    ------
    AslsparkError
        Where it exists, or its parent cannot be written.
    """
    out = any_path(path)
    if out.exists():
        raise AslsparkError(f"--out {path}: it exists already; choose another name or remove it")
    if isinstance(out, StorePath):
        return out
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise AslsparkError(f"--out {path}: {parent} cannot be written; choose another place")
    return out


@contextmanager
def whole_folder(path: AnyPath, scratch: Path | None = None) -> Iterator[Path]:
    """Give a temporary folder on this machine, which becomes `path` on success and is removed on any failure.

    Into a store it is copied at the end, SHA256SUMS last, without which nothing takes it for a bundle.

    Parameters
    ----------
    scratch : Path, optional
        The temporary folder, on the same file system; by default a sibling of `path`. Of no use in a store.
    """
    if isinstance(path, StorePath):
        with TemporaryDirectory(prefix="aslspark-") as temporary:
            try:
                yield Path(temporary)
                path.copy_from(Path(temporary), last=[SUMS])
            except BaseException:
                remove_folder(path)
                raise
        return
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    if scratch is None:
        scratch = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)  # left by a killed job
    scratch.mkdir()
    try:
        yield scratch
        _flush(scratch)
        os.rename(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def seal(folder: Path) -> None:
    """Write SHA256SUMS with the SHA-256 of every file, in the format of `sha256sum`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))


def resolve_alias(path: str) -> str:
    """Return the path that a registry's alias stands for now; the alias may change while files are read."""
    link = any_path(path)
    return str(link.resolve()) if isinstance(link, Path) and link.is_symlink() else path


@dataclass(frozen=True)
class BundleContents:
    """The content of a bundle at the time of reading; its files are not opened again."""

    manifest: Manifest
    files: Mapping[str, bytes]
    """The files that were asked for and exist, by name."""
    digest: str
    """Identifies the bundle: the SHA-256 of its SHA256SUMS."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Of every file, in bytes."""


def require_folder(path: str, setting: str = "--model ") -> None:
    """See that a bundle's folder is there; what is in it, `read_bundle` checks.

    Raises
    ------
    AslsparkError
        Naming what was probably meant.
    """
    place = any_path(boxed(path))
    if place.is_dir():
        return
    beside = os.listdir(place.parent) if isinstance(place, Path) and place.parent.is_dir() else []
    hint = nearest(place.name, [*beside, *([LETTERS] if place.name == path else [])])
    raise AslsparkError(f"{setting}{path}: there is no such folder{hint or '; give the --out of a training job'}")


def read_bundle(
    path: str, setting: str = "--model ", keep: Collection[str] = (), copy_to: Path | None = None
) -> BundleContents:
    """Check a bundle, and read or copy its files in the same pass.

    Every file is opened once, relative to its folder, and the bytes that are kept or copied are those whose SHA-256 was
    compared. Links are refused, except that `path` itself may be one (an alias); hard links count as files.

    Parameters
    ----------
    setting : str
        Opens errors: the option by which the path was given.
    keep : collection of str
        Names of files, and of folders (ending in ``/``), whose bytes are returned.
    copy_to : Path, optional
        An empty folder, into which every file is copied.

    Raises
    ------
    AslsparkError
        Where the folder is no bundle, of a newer format, was changed, or names anything unknown; the message names the
        file.
    """
    try:
        place = boxed(path)
        require_folder(path, setting)
        with as_local_folder(place, known_by=SUMS) as folder, PlainFolder(folder) as plain:
            names = plain.names()
            if SUMS not in names or MANIFEST not in names:
                raise AslsparkError(f"{setting}{path}: no bundle: {SUMS} or {MANIFEST} is missing")
            with plain.open(SUMS) as file:
                listed = _read_limited(file, SUMS, MOST_LISTED_BYTES)
            sums = _parse_sums(listed, f"{setting}{path}")
            _require_listed(names, sums, f"{setting}{path}")
            names_kept = {MANIFEST, *(name for name in names if _is_wanted(name, keep))}
            kept, sizes = {}, {}
            for name in sums:
                with plain.open(name) as file:
                    content, sizes[name] = _read_checked(
                        file, name, sums[name], f"{setting}{path}", name in names_kept, copy_to
                    )
                if content is not None:
                    kept[name] = content
            if copy_to is not None:
                (copy_to / SUMS).write_bytes(listed)
    except NotPlain as found:
        raise AslsparkError(
            f"{setting}{path}: {found}: a bundle is read only where it holds plain files and folders, and nothing of "
            "it was loaded; copy it again, with what links lead to if that is to be trusted (cp -rL)"
        ) from found
    except LoadRefused as refused:
        raise _not_ours(setting, path, refused) from refused
    except OSError as error:
        raise AslsparkError(f"{setting}{path}: it cannot be read ({error.strerror or error}); mend that") from error
    try:
        manifest: Any = json.loads(kept[MANIFEST].decode("utf-8"))
        written = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AslsparkError(
            f"{setting}{path}: {MANIFEST} is not what aslspark writes; copy the bundle again"
        ) from error
    if written != FORMAT:
        raise AslsparkError(
            f"{setting}{path}: bundle format {ascii(written)[:20]}; this aslspark {VERSION} reads "
            f"{FORMAT}: use the version that wrote it"
        )
    with refusal_named(setting, path):
        check_manifest(manifest, sums)
    return BundleContents(manifest, kept, hashlib.sha256(listed).hexdigest(), sizes)


def read_manifest(path: str, setting: str = "--model ") -> Manifest:
    """Check a bundle and return its manifest; see `read_bundle`."""
    return read_bundle(path, setting).manifest


def _is_wanted(name: str, keep: Collection[str]) -> bool:
    return any(name.startswith(part) if part.endswith("/") else name == part for part in keep)


def _read_limited(file: BinaryIO, name: str, most: int) -> bytes:
    content = file.read(most + 1)
    if len(content) > most:
        raise LoadRefused(f"{name} has more than {most:,} bytes")
    return content


def _parse_sums(listed: bytes, where: str) -> dict[str, str]:
    """Parse SHA256SUMS: name -> SHA-256."""
    problem = f"{where}: {SUMS} was changed; copy the bundle again"
    try:
        lines = listed.decode("utf-8").split("\n")  # splitlines would split at other characters too
    except UnicodeDecodeError as error:
        raise AslsparkError(problem) from error
    sums: dict[str, str] = {}
    for line in lines[:-1]:
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if not match or match[2] in sums:
            raise AslsparkError(problem)
        sums[match[2]] = match[1]
    if lines[-1]:
        raise AslsparkError(problem)
    return sums


def _require_listed(names: Collection[str], sums: Mapping[str, str], where: str) -> None:
    present = set(names) - {SUMS}
    for name in sorted(sums.keys() ^ present):
        if name not in present:
            raise AslsparkError(f"{where}: {quoted(name)} is missing; copy the bundle again")
        raise AslsparkError(
            f"{where}: {quoted(name)} does not belong to the bundle; remove it or copy the bundle again"
        )


def _read_checked(
    file: BinaryIO, name: str, expected: str, where: str, keep: bool, copy_to: Path | None
) -> tuple[bytes | None, int]:
    """Read a file, check its SHA-256, and return its bytes if they are to be kept, and how many they are."""
    digest, blocks, size = hashlib.sha256(), [], 0
    with contextlib.ExitStack() as stack:
        copy = None
        if copy_to is not None:
            target = copy_to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = stack.enter_context(target.open("xb"))
        while block := file.read(1 << 20):
            size += len(block)
            if size > MOST_FILE_BYTES:
                raise LoadRefused(f"{name} has more than {MOST_FILE_BYTES:,} bytes")
            digest.update(block)
            if keep:
                blocks.append(block)
            if copy is not None:
                copy.write(block)
    if digest.hexdigest() != expected:
        raise AslsparkError(f"{where}: {quoted(name)} was changed (its SHA-256 differs); copy the bundle again")
    return b"".join(blocks) if keep else None, size


@contextmanager
def refusal_named(setting: str, path: str) -> Iterator[None]:
    """Turn `LoadRefused` into an error that names the bundle."""
    try:
        yield
    except LoadRefused as refused:
        raise _not_ours(setting, path, refused) from refused


def _not_ours(setting: str, path: str, refused: LoadRefused) -> AslsparkError:
    return AslsparkError(
        f"{setting}{path}: it was not made by this package ({refused}), and nothing of it was loaded; "
        "take a bundle of a training job"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())

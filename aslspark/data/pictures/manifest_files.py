"""A manifest of pictures -> a `PictureSource` of the files that its rows name."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Sequence

from pyspark.sql import SparkSession

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.data.files.local_folders import SPECIAL, as_text
from aslspark.data.files.store_files import StoreFiles, plain_path
from aslspark.data.pictures.files import MISSING, binary_files, files_below, list_files, source_of_files, topmost
from aslspark.data.pictures.listing import ListedFile, PictureSource, labelled_by_row, once_each, with_named_splits
from aslspark.data.pictures.manifest import ManifestRow, parse_manifest, read_manifest_text
from aslspark.data.pictures.options import PictureOptions
from aslspark.images.endings import is_picture_name
from aslspark.images.local_file import UNREADABLE

OUTSIDE = "outside of its folder"


def open_manifest(
    spark: SparkSession, store: StoreFiles, path: str, options: PictureOptions, name: str = ""
) -> PictureSource:
    """List the pictures that a manifest names.

    On stores that are not local, Spark reads whole folders, and files that the manifest does not name are dropped: if a
    manifest names a few pictures among many, it is faster to copy them to a folder of their own.

    Parameters
    ----------
    path : str
        Qualified, of a file with the header of a manifest.
    name : str
        The file's name, where it may say the split of its rows.
    """
    rows = parse_manifest(read_manifest_text(store, path), as_text(path)) or []
    files = named_files(spark, store, path, rows, options.roots)
    labelled = (labelled_by_row(file, row, options) for row, file in zip(rows, files, strict=True))
    pictures = with_named_splits(once_each(labelled), options, name)
    if all(picture.reason is not None for picture in pictures):
        first = pictures[0]
        raise AslsparkError(
            f"source {as_text(path)}: none of its {counted(len(rows), 'picture')} can be read "
            f"(row {first.row}, {first.name!r}: {first.reason}: {first.detail})"
        )
    return source_of_files(spark, files, pictures)


def unnamed_pictures(
    spark: SparkSession, store: StoreFiles, folder: str, sources: Iterable[PictureSource]
) -> list[str]:
    """Return a line about the pictures below a folder that none of its manifests names, if there are any."""
    named = {picture.path for source in sources for picture in source.pictures}
    below = files_below(spark, store, folder).listed
    unnamed = [file.name for file in below if is_picture_name(file.name) and not named & {file.path, real_path(file)}]
    if not unnamed:
        return []
    return [f"{as_text(folder)}: {counted(len(unnamed), 'picture')} that no manifest names, such as {unnamed[0]}"]


def real_path(file: ListedFile) -> str:
    """Return the path of a file behind any links, as a manifest's entry for it has it."""
    return file.path if file.file is None else f"file:{as_text(os.path.realpath(os.fsdecode(file.file)))}"


def named_files(
    spark: SparkSession, store: StoreFiles, manifest: str, rows: Sequence[ManifestRow], roots: Sequence[str]
) -> list[ListedFile]:
    """Find the files that the rows of a manifest name.

    Parameters
    ----------
    manifest : str
        Its qualified path.
    roots : sequence of str
        Qualified folders in which it may name files, beside its own.

    Returns
    -------
    list of ListedFile
        One for each row, with a reason where the path is empty, missing, or outside of the folders (also by a link). No
        file is opened.
    """
    base = manifest.rpartition("/")[0]
    folders = [base, *roots]
    local_roots = [os.path.realpath(local) for folder in folders if (local := store.local(folder)) is not None]
    other_roots = [plain_path(folder).rstrip("/") for folder in folders if store.local(folder) is None]
    files: list[ListedFile] = []
    others: dict[int, str] = {}
    for place, row in enumerate(rows):
        name = redact(as_text(row.path))
        path = _resolved(base, row.path)
        if not row.path:
            files.append(ListedFile(name, name, -1, None, MISSING, "the row names no file"))
        elif (local := store.local(path)) is not None:
            files.append(_local_named(local, row.path, name, local_roots))
        elif any(plain_path(path).startswith(f"{root}/") for root in other_roots):
            others[place] = plain_path(path)
            files.append(ListedFile(path, name, -1))
        else:
            files.append(ListedFile(name, name, -1, None, OUTSIDE, _OUTSIDE_DETAIL))
    if others:
        _find_others(spark, store, files, others)
    return files


_OUTSIDE_DETAIL = "a manifest names files below its own folder alone; others need their folder in pictures.roots"


def _local_named(local: str, written: str, name: str, roots: Sequence[str]) -> ListedFile:
    """Find a local file; a missing one whose path has backslashes is looked up with slashes, as Windows means them."""
    candidates = [local]
    if "\\" in written:
        candidates.append(os.path.normpath(local.replace("\\", "/")))
    # By the redacted name as written: in a normalised path, a secret looks like a folder.
    missing = ListedFile(name, name, -1, None, MISSING, "there is no such file")
    for candidate in candidates:
        try:
            real = os.path.realpath(candidate)
            if not any(real == root or real.startswith(f"{root.rstrip('/')}/") for root in roots):
                return missing._replace(reason=OUTSIDE, detail=_OUTSIDE_DETAIL)
            if not os.path.exists(real):
                continue
            length, is_file = os.path.getsize(real), os.path.isfile(real)
        except (OSError, ValueError):  # a NUL in the path, or a cycle of links
            continue
        problem = () if is_file else (UNREADABLE, SPECIAL if not os.path.isdir(real) else "it is a folder")
        return ListedFile(f"file:{as_text(real)}", name, length, os.fsencode(real), *problem)
    return missing


def _find_others(spark: SparkSession, store: StoreFiles, files: list[ListedFile], others: dict[int, str]) -> None:
    """Look up the files of other stores, and replace their entries of `files`."""
    folders = [
        folder for folder in topmost({path.rpartition("/")[0] for path in others.values()}) if store.exists(folder)
    ]
    known = (
        {plain_path(file): (file, length) for file, length in list_files(binary_files(spark, folders))}
        if folders
        else {}
    )
    for place, path in others.items():
        if path in known:
            listed_path, length = known[path]
            files[place] = files[place]._replace(path=listed_path, length=length)
        else:
            files[place] = files[place]._replace(reason=MISSING, detail=f"there is no file {redact(path)!r}")


def _resolved(base: str, path: str) -> str:
    if re.match(r"^[A-Za-z][A-Za-z0-9+.-]*:[/\\]", path):
        return path
    if path.startswith("/"):
        # On the file system of the manifest.
        system = re.match(r"^[a-z][a-z0-9+.-]*:(//[^/]*)?(?=/)", base)
        return f"{system.group(0) if system else ''}{posixpath.normpath('/' + path.lstrip('/'))}"
    scheme, colon, rest = base.partition(":") if ":" in base else ("", "", base)
    return f"{scheme}{colon}{posixpath.normpath(f'{rest}/{path}')}"

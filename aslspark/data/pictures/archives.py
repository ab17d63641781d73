"""A zip of a picture folder, or of a manifest with its pictures -> a `PictureSource`, unpacked into Parquet.

The zip's directory is checked first. No file gets a name from the zip, so that no entry can be written elsewhere.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa
from pyarrow import parquet
from pyspark.sql import DataFrame, SparkSession

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.data.files.local_folders import as_text, is_hidden, lines_about_hidden
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.files.table_endings import PLAIN_ENDINGS, is_table_name
from aslspark.data.pictures.files import MISSING
from aslspark.data.pictures.listing import (
    ListedFile,
    Picture,
    PictureSource,
    labelled_by_folder,
    labelled_by_row,
    once_each,
    with_named_splits,
)
from aslspark.data.pictures.manifest import MAX_MANIFEST_BYTES, ManifestRow, decode_manifest, parse_manifest
from aslspark.data.pictures.options import PictureOptions
from aslspark.images.endings import is_picture_name

MAX_ENTRIES = 1_000_000
MAX_UNPACKED_BYTES = 32 << 30
MAX_RATIO = 100
"""Most times that an entry may grow: JPEG and PNG hardly shrink, so that more is made to fill a disk."""

PART_BYTES, ROW_GROUP_BYTES, PIECE_BYTES = 64 << 20, 4 << 20, 4 << 10

UNSAFE_NAME = "unsafe name"
ENCRYPTED = "encrypted"
NOT_DEFLATED = "packed in another way"
DEFLATED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods that Python's `zipfile` unpacks piece by piece; with others, 150 bytes (of bzip2) become 200 MB at once."""
DAMAGED = "damaged in the zip"


def open_zip(spark: SparkSession, store: StoreFiles, path: str, options: PictureOptions) -> PictureSource:
    """List the pictures of a zip without unpacking them.

    Parameters
    ----------
    path : str
        Qualified.

    Raises
    ------
    AslsparkError
        Where it is no zip, is too large, or has no picture with a label.
    """
    with store.opened(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # a damaged directory raises nearly anything
            raise AslsparkError(f"source {path} is no zip, or cut short ({error}): copy it again") from error
        entries = [entry for entry in archive.infolist() if not _is_passed_over(entry.filename)]
        hidden = [name for entry in archive.infolist() if _is_hidden_file(name := _name(entry))]
        _check_sizes(path, entries)
        manifests, passed = _manifests(archive, entries, path)
    if not manifests:
        files = [ListedFile(entry.filename, _name(entry), entry.file_size) for entry in entries]
        listed, unused = labelled_by_folder(files, options)
        if not listed:
            raise AslsparkError(_nothing_in(path, entries))
    else:
        listed, unused = _labelled_by_manifests(entries, manifests, options)
    passed += [*unused, *lines_about_hidden(hidden)]
    pictures = _checked(listed, entries, by_manifest=bool(manifests))
    usable = {picture.path for picture in pictures if picture.reason is None}
    lost = (DAMAGED, "it cannot be unpacked")
    lines = [f"{as_text(path)}: {line}" for line in passed]
    return PictureSource("", once_each(pictures), _unpacker(spark, store, path, usable), lost, lines)


def _checked(listed: Sequence[Picture], entries: Sequence[zipfile.ZipInfo], by_manifest: bool) -> list[Picture]:
    """Give a reason to pictures whose entries are unsafe, encrypted, packed in another way, or repeated."""
    encrypted = {entry.filename for entry in entries if entry.flag_bits & 1}
    others = {entry.filename for entry in entries if entry.compress_type not in DEFLATED}
    seen: set[str] = set()
    pictures = []
    for picture in listed:
        if picture.reason is None and not (_is_safe(picture.path) and (by_manifest or _is_safe(picture.name))):
            picture = picture._replace(reason=UNSAFE_NAME, detail="it points outside of the zip")
        elif picture.reason is None and picture.path in encrypted:
            picture = picture._replace(reason=ENCRYPTED, detail="pack it again without a password")
        elif picture.reason is None and picture.path in others:
            picture = picture._replace(reason=NOT_DEFLATED, detail="pack it again with deflate, as zips mostly are")
        elif picture.reason is None and picture.path in seen:
            picture = picture._replace(reason=DAMAGED, detail="a second entry of this name")
        if picture.reason is None or not by_manifest:
            seen.add(picture.path)
        pictures.append(picture)
    return pictures


def _name(entry: zipfile.ZipInfo) -> str:
    r"""Return an entry's name with slashes: programs for Windows have written ``hands\A\1.jpg``."""
    return entry.filename if "/" in entry.filename else entry.filename.replace("\\", "/")


def _nothing_in(path: str, entries: Sequence[zipfile.ZipInfo]) -> str:
    tables = sorted(_name(entry) for entry in entries if is_table_name(entry.filename))
    if tables:
        more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
        return (
            f"source {as_text(path)} holds tables ({tables[0][:80]!r}{more}): unpack it and name the tables themselves"
        )
    return (
        f"source {as_text(path)} has no picture in a folder that is called like a label (A to Z, del, nothing, space), "
        "and no manifest with path,label"
    )


def _is_passed_over(name: str) -> bool:
    """Tell folders, empty names, hidden files and macOS metadata."""
    *folders, file = name.replace("\\", "/").split("/")
    if not file or _lies_hidden(folders):
        return True
    return is_hidden(file) and file.strip(".") != ""


def _is_hidden_file(name: str) -> bool:
    """Tell pictures and tables whose names begin with a dot; those of macOS and in hidden folders do not count."""
    *folders, file = name.split("/")
    if _lies_hidden(folders) or file.startswith("._"):
        return False
    return is_hidden(file) and (is_picture_name(file) or is_table_name(file))


def _lies_hidden(folders: Sequence[str]) -> bool:
    return folders[:1] == ["__MACOSX"] or any(folder.startswith(".") and folder.strip(".") for folder in folders)


def _is_safe(name: str) -> bool:
    return not (name.startswith(("/", "\\")) or ":" in name.split("/")[0] or ".." in name.replace("\\", "/").split("/"))


def _check_sizes(path: str, entries: Sequence[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise AslsparkError(f"source {path} has {len(entries):,} entries, more than {MAX_ENTRIES:,}: divide it")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_UNPACKED_BYTES:
        raise AslsparkError(
            f"source {path} unpacks to {unpacked:,} bytes, more than {MAX_UNPACKED_BYTES:,}: divide it or unpack it"
        )
    for entry in entries:
        if entry.file_size > 1 << 20 and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise AslsparkError(
                f"source {path}: {entry.filename[:80]!r} unpacks {entry.compress_size:,} bytes to {entry.file_size:,}; "
                f"no picture shrinks {MAX_RATIO} times, so nothing of this zip is read"
            )


def _manifests(
    archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], path: str
) -> tuple[list[tuple[str, list[ManifestRow]]], list[str]]:
    """Find the manifests of a zip with their rows; return them and lines about the other tables.

    Only the topmost folder with a manifest counts: deeper ones are copies or parts of it.
    """
    tables = [entry for entry in entries if _name(entry).lower().endswith(PLAIN_ENDINGS)]
    manifests: list[tuple[str, list[ManifestRow]]] = []
    passed: list[str] = []
    depth = -1
    for entry in sorted(tables, key=lambda entry: (_name(entry).count("/"), _name(entry))):
        name = _name(entry)
        if depth >= 0 and name.count("/") > depth:
            passed.append(f"{name}: it lies deeper than the manifest {manifests[0][0]}")
            continue
        if entry.flag_bits & 1 or entry.file_size > MAX_MANIFEST_BYTES:
            passed.append(f"{name}: encrypted, or larger than {MAX_MANIFEST_BYTES:,} bytes")
            continue
        try:
            text = decode_manifest(_read(archive, entry))
        except Exception as error:  # each compression method has its own errors
            # Without their messages, which quote bytes of the zip.
            kind = type(error).__name__
            raise AslsparkError(
                f"source {as_text(path)}: {name[:80]!r} cannot be unpacked ({kind}): pack it again"
            ) from error
        if rows := parse_manifest(text, f"source {as_text(path)}: {name[:80]!r}"):
            manifests.append((name, rows))
            depth = name.count("/")
        else:
            passed.append(f"{name}: no manifest with path,label")
    return manifests, passed


def _labelled_by_manifests(
    entries: Sequence[zipfile.ZipInfo], manifests: Sequence[tuple[str, list[ManifestRow]]], options: PictureOptions
) -> tuple[list[Picture], list[str]]:
    of_name = {_name(entry): entry for entry in entries}
    pictures = []
    for manifest, rows in manifests:
        base, _, file = manifest.rpartition("/")
        listed = [_named_in_zip(row, base, of_name, options) for row in rows]
        pictures += with_named_splits(listed, options, file)
    pictures = once_each(pictures)
    named = {picture.path for picture in pictures}
    unnamed = sum(is_picture_name(name) and entry.filename not in named for name, entry in of_name.items())
    return pictures, [f"{counted(unnamed, 'picture')} that no manifest names"] if unnamed else []


def _named_in_zip(
    row: ManifestRow, base: str, of_name: Mapping[str, zipfile.ZipInfo], options: PictureOptions
) -> Picture:
    spellings = [row.path, row.path.replace("\\", "/")]
    names = [posixpath.normpath(posixpath.join(base, path)) for path in spellings if not path.startswith("/")]
    name = next((name for name in names if name in of_name), names[0] if names else row.path)
    entry = of_name.get(name)
    path = as_text(name) if entry is None else entry.filename
    listed = ListedFile(path, redact(as_text(row.path)), -1 if entry is None else entry.file_size)
    picture = labelled_by_row(listed, row, options)
    if picture.reason is None and not _is_safe(name):
        return picture._replace(reason=UNSAFE_NAME, detail="it points outside of the zip")
    if picture.reason is None and entry is None:
        return picture._replace(reason=MISSING, detail="it is not in the zip")
    return picture


def _unpacker(spark: SparkSession, store: StoreFiles, path: str, names: set[str]) -> Callable[[str], DataFrame]:
    unpacked: set[str] = set()

    def contents(scratch: str) -> DataFrame:
        if scratch not in unpacked:
            unpack(scratch)
            unpacked.add(scratch)
        return spark.read.schema("path string, content binary").parquet(scratch)

    def unpack(scratch: str) -> None:
        schema = pa.schema([("path", pa.string()), ("content", pa.binary())])
        with store.opened(path) as file:
            for number, groups in enumerate(_parts(_unpacked(zipfile.ZipFile(file), names))):
                part = io.BytesIO()
                with parquet.ParquetWriter(part, schema, compression="none", use_dictionary=False) as writer:
                    for group in groups:
                        columns = [pa.array(column) for column in zip(*group, strict=True)]
                        writer.write_table(pa.table(columns, schema=schema))
                store.write(f"{scratch}/part-{number:05d}.parquet", part.getvalue())

    return contents


def _unpacked(archive: zipfile.ZipFile, names: set[str]) -> Iterator[tuple[str, bytes]]:
    """Unpack entries one by one; a damaged one is left out, which ingest notices afterwards."""
    done: set[str] = set()
    for entry in archive.infolist():
        if entry.filename in names and entry.filename not in done:
            done.add(entry.filename)
            try:
                data = _read(archive, entry)
            except Exception:  # each compression method has its own errors
                continue
            yield entry.filename, data


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Unpack an entry in small pieces: read at once, it may unpack to more than the directory says."""
    if entry.compress_type not in DEFLATED:
        raise NotImplementedError(f"{NOT_DEFLATED} than deflate")
    with archive.open(entry) as file:
        return b"".join(iter(lambda: file.read(PIECE_BYTES), b""))


def _parts(entries: Iterator[tuple[str, bytes]]) -> Iterator[Iterator[list[tuple[str, bytes]]]]:
    """Gather entries into row groups, and row groups into parts, by their bytes."""
    part: list[list[tuple[str, bytes]]] = []
    group: list[tuple[str, bytes]] = []
    in_group = in_part = 0
    for entry in entries:
        group.append(entry)
        in_group += len(entry[1])
        if in_group >= ROW_GROUP_BYTES:
            part.append(group)
            in_part += in_group
            group, in_group = [], 0
        if in_part >= PART_BYTES:
            yield iter(part)
            part, in_part = [], 0
    if group:
        part.append(group)
    if part:
        yield iter(part)

"""Zips of a picture folder or of a manifest with its pictures: checked by their directory, unpacked into Parquet.

Nothing is unpacked under a name from the zip, so no entry can reach outside; the zip is read through Hadoop's streams.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa
from pyarrow import parquet
from pyspark.sql import DataFrame, SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.data.files.hadoop_files import HadoopFiles
from aslspark.data.files.local_folders import as_text
from aslspark.data.files.table_endings import is_table_name
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
"""JPEG and PNG hardly shrink; what unpacks to more than this times its size was made to fill a disk."""

PART_BYTES, ROW_GROUP_BYTES, PIECE_BYTES = 64 << 20, 4 << 20, 4 << 10

UNSAFE_NAME = "unsafe name"
ENCRYPTED = "encrypted"
NOT_DEFLATED = "packed in another way"
DEFLATED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of the others, Python's `zipfile` unpacks as much at once as there is: 150 bytes of bzip2 to 200 MB."""
DAMAGED = "damaged in the zip"


def open_zip(spark: SparkSession, hadoop: HadoopFiles, path: str, options: PictureOptions) -> PictureSource:
    """List the pictures of a zip, without unpacking it.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    path : str
        Qualified.
    options : PictureOptions

    Raises
    ------
    AslsparkError
        Where it is no zip, holds too much, or holds no picture with a label.
    """
    with hadoop.opened(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # a damaged directory raises this and that
            raise AslsparkError(f"source {path} is no zip, or cut short ({error}): copy it again") from error
        entries = [entry for entry in archive.infolist() if not _is_passed_over(entry.filename)]
        _check_sizes(path, entries)
        manifests, passed = _manifests(archive, entries, path)
    if not manifests:
        listed, unused = labelled_by_folder([ListedFile(e.filename, _name(e), e.file_size) for e in entries], options)
        passed += unused
        if not listed:
            raise AslsparkError(_nothing_in(path, entries))
    else:
        listed, unused = _labelled_by_manifests(entries, manifests, options)
        passed += unused
    encrypted = {entry.filename for entry in entries if entry.flag_bits & 1}
    others = {entry.filename for entry in entries if entry.compress_type not in DEFLATED}
    seen: set[str] = set()
    pictures = []
    for picture in listed:
        if picture.reason is None and not (_is_safe(picture.path) and (manifests or _is_safe(picture.name))):
            picture = picture._replace(reason=UNSAFE_NAME, detail="it points outside of the zip")
        elif picture.reason is None and picture.path in encrypted:
            picture = picture._replace(reason=ENCRYPTED, detail="pack it again without a password")
        elif picture.reason is None and picture.path in others:
            picture = picture._replace(reason=NOT_DEFLATED, detail="pack it again with deflate, as zips mostly are")
        elif picture.reason is None and picture.path in seen:
            picture = picture._replace(reason=DAMAGED, detail="a second entry of this name")
        if picture.reason is None or not manifests:
            seen.add(picture.path)
        pictures.append(picture)
    usable = {picture.path for picture in pictures if picture.reason is None}
    lost = (DAMAGED, "it cannot be unpacked")
    lines = [f"{as_text(path)}: {line}" for line in passed]
    return PictureSource("", once_each(pictures), _unpacker(spark, hadoop, path, usable), lost, lines)


def _name(entry: zipfile.ZipInfo) -> str:
    r"""Name an entry with slashes: programs for Windows have written ``hands\A\1.jpg``."""
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
    """Tell folders, names that are none, and what the Mac's Finder and others put beside the files."""
    if not name or name.endswith("/"):
        return True
    parts = name.replace("\\", "/").split("/")
    return any(part.startswith(".") and part.strip(".") for part in parts) or parts[0] == "__MACOSX"


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
    """Find the manifests of a zip, with the rows of each, and say which tables are none.

    They lie in one folder, the topmost that holds one: deeper ones are copies or parts of it.
    """
    tables = [entry for entry in entries if _name(entry).lower().endswith(".csv")]
    found: list[tuple[str, list[ManifestRow]]] = []
    passed: list[str] = []
    depth = -1
    for entry in sorted(tables, key=lambda entry: (_name(entry).count("/"), _name(entry))):
        name = _name(entry)
        if depth >= 0 and name.count("/") > depth:
            passed.append(f"{name}: it lies deeper than the manifest {found[0][0]}")
            continue
        if entry.flag_bits & 1 or entry.file_size > MAX_MANIFEST_BYTES:
            passed.append(f"{name}: encrypted, or larger than {MAX_MANIFEST_BYTES:,} bytes")
            continue
        try:
            text = decode_manifest(_read(archive, entry))
        except Exception as error:  # each way of packing has errors of its own
            # Not in its own words, which quote bytes of the zip.
            kind = type(error).__name__
            raise AslsparkError(
                f"source {as_text(path)}: {name[:80]!r} cannot be unpacked ({kind}): pack it again"
            ) from error
        if rows := parse_manifest(text, f"source {as_text(path)}: {name[:80]!r}"):
            found.append((name, rows))
            depth = name.count("/")
        else:
            passed.append(f"{name}: no manifest with path,label")
    return found, passed


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
    left = sum(is_picture_name(name) and entry.filename not in named for name, entry in of_name.items())
    return pictures, [f"{left} pictures that no manifest names"] if left else []


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


def _unpacker(spark: SparkSession, hadoop: HadoopFiles, path: str, wanted: set[str]) -> Callable[[str], DataFrame]:
    unpacked: set[str] = set()

    def contents(scratch: str) -> DataFrame:
        if scratch not in unpacked:
            unpack(scratch)
            unpacked.add(scratch)
        return spark.read.schema("path string, content binary").parquet(scratch)

    def unpack(scratch: str) -> None:
        schema = pa.schema([("path", pa.string()), ("content", pa.binary())])
        with hadoop.opened(path) as file:
            for number, groups in enumerate(_parts(_unpacked(zipfile.ZipFile(file), wanted))):
                part = io.BytesIO()
                with parquet.ParquetWriter(part, schema, compression="none", use_dictionary=False) as writer:
                    for group in groups:
                        columns = [pa.array(column) for column in zip(*group, strict=True)]
                        writer.write_table(pa.table(columns, schema=schema))
                hadoop.write(f"{scratch}/part-{number:05d}.parquet", part.getvalue())

    return contents


def _unpacked(archive: zipfile.ZipFile, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Unpack entries one by one; one that is damaged has no bytes, and is missed afterwards."""
    done: set[str] = set()
    for entry in archive.infolist():
        if entry.filename in wanted and entry.filename not in done:
            done.add(entry.filename)
            try:
                data = _read(archive, entry)
            except Exception:  # each way of packing has errors of its own
                continue
            yield entry.filename, data


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Unpack an entry in small pieces: asked for all of it, `zipfile` unpacks more than the directory says."""
    if entry.compress_type not in DEFLATED:
        raise NotImplementedError(f"{NOT_DEFLATED} than deflate")
    with archive.open(entry) as file:
        return b"".join(iter(lambda: file.read(PIECE_BYTES), b""))


def _parts(entries: Iterator[tuple[str, bytes]]) -> Iterator[Iterator[list[tuple[str, bytes]]]]:
    """Gather entries into row groups, and those into parts, by their bytes."""
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

"""Paths -> a DataFrame to score, with a column of pictures.

In: pixel tables with or without labels, pictures, Parquet with pictures, or an ingested folder. Out: all rows; bad ones
too, for which scoring gives the reason.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import label_named, nearest_label
from aslspark.common.paths import mounted_as_spark
from aslspark.common.redaction import redact
from aslspark.common.settings import ColumnConfig
from aslspark.data.catalog_tables import nor_a_table, table_of
from aslspark.data.discover_sources import landmark_parquet, short_names
from aslspark.data.files.file_bytes import with_content
from aslspark.data.files.local_folders import as_text, is_special
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.files.stores import open_store
from aslspark.data.files.table_endings import TABLE_ENDINGS
from aslspark.data.path_contents import PathContents, inspect_path
from aslspark.data.pictures.files import LOST, contents_of, files_below, files_table
from aslspark.data.pictures.listing import ListedFile, unread_reason
from aslspark.data.pictures.manifest import parse_manifest, read_manifest_text
from aslspark.data.pictures.manifest_files import named_files, real_path
from aslspark.data.pictures.reading import packing
from aslspark.data.samples import REPORT_FILE, read_parquet, read_samples
from aslspark.data.tables.unlabelled_tables import landmark_frame, table_rows
from aslspark.images.endings import PICTURE_ENDINGS, is_picture_name

logger = logging.getLogger(__name__)

FILE = "file"
"""The column of paths of local files; see `SignClassifierModel.are_paths`."""
PICTURE_COLUMNS = ("picture", "image", "pixels", "content", "data")
"""Where pictures are looked for in tables, in this order."""


def rows_to_score(
    spark: SparkSession,
    paths: Sequence[str],
    roots: Sequence[str] = (),
    columns: ColumnConfig | None = None,
    *,
    with_contents: bool = True,
) -> tuple[DataFrame, str]:
    """Read what is to be scored, and log what is passed over.

    For picture files it changes the session's settings for the size of batches, since files are held in memory whole.

    Parameters
    ----------
    paths : sequence of str
        All of one kind: pixel tables (.csv, .csv.gz, .csv.bz2, or folders of them; ``label`` may be missing), or
        pictures (files, folders with pictures at any depth, manifests), or one ingested folder, one Parquet table, or
        one table of Spark's catalog or of Delta.
    roots : sequence of str
        Qualified folders in which manifests may name pictures, beside their own.
    columns : ColumnConfig, optional
        What the columns of such a table are called.
    with_contents : bool
        Whether the rows of picture files are to have the files' bytes. Otherwise those of local files have their paths
        alone, and scoring opens them: the bytes then do not pass through Java.

    Returns
    -------
    DataFrame
        For pixel tables, see `aslspark.data.tables.unlabelled_tables.table_rows`. For pictures, a row for each file:
        `path` (string), `label` (string or null, of the manifest or of the innermost folder below the path), `unread`
        (string or null, why the file was not read; see `with_reasons`) and `content` (binary, the file) or `file`
        (binary, its path). Otherwise the columns of the table.
    str
        The column of pictures.
    """
    paths = [mounted_as_spark(path) for path in paths]
    store = open_store(spark)
    if len(paths) == 1 and (table := table_of(spark, store, paths[0], columns or ColumnConfig())) is not None:
        return table, _require_picture_column(table, paths[0])
    _require_files(spark, store, paths)
    if len(paths) == 1 and (frame := landmark_parquet(spark, store, paths[0])) is not None:
        return landmark_frame(frame, paths[0]), "picture"
    if len(paths) == 1 and store.exists(f"{paths[0]}/{REPORT_FILE}"):
        store.require_spelled(paths[0], "--data ")
        return read_samples(spark, paths[0]), "picture"
    found = _find(spark, store, paths, roots)
    if found.tables and found.pictures:
        raise AslsparkError(f"--data {as_text(paths[1])}: give pixel tables or pictures, not both at once")
    if found.tables or found.pictures:
        for line in dict.fromkeys(found.passed_over):
            logger.info("passed over: %s", redact(line))
    if found.tables:
        names = short_names([redact(as_text(table)) for table in found.tables])
        return table_rows(spark, store, dict(zip(found.tables, names, strict=True))), "pixels"  # or none of them
    if found.pictures:
        rows = _picture_rows(spark, found.pictures, with_contents)
        return rows, rows.columns[-1]
    if len(paths) > 1:
        raise AslsparkError(f"--data {paths[1]}: give pixel tables, folders of pictures, or one Parquet table")
    if found.passed_over and not _holds_parquet(store, paths[0]):
        raise AslsparkError(f"--data {as_text(paths[0])}: nothing in it can be scored: {found.passed_over[0]}")
    store.require_spelled(paths[0], "--data ")
    return _parquet(spark, store, paths[0])


def _require_files(spark: SparkSession, store: StoreFiles, paths: Sequence[str]) -> None:
    if missing := [path for path in paths if not store.exists(path)]:
        instead = nor_a_table(spark, missing[0]) or (
            f"; name a pixel table, pictures, Parquet or an ingested folder{store.lost_letters(missing[0])}"
        )
        raise AslsparkError(f"--data {as_text(missing[0])}: it does not exist{instead}")
    if special := [path for path in paths if is_special(store.qualified(path))]:
        raise AslsparkError(f"--data {as_text(special[0])}: it is a pipe or a device; name a file or a folder")


@dataclass
class _Found:
    """Pixel tables and pictures at the given paths, and lines about what is passed over."""

    tables: list[str] = field(default_factory=list)
    pictures: list[FileToScore] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def _find(spark: SparkSession, store: StoreFiles, paths: Sequence[str], roots: Sequence[str]) -> _Found:
    found = _Found()
    notes: list[str] = []
    for path in (store.qualified(path) for path in paths):
        contents = inspect_path(store, path)
        if contents.zip:
            raise AslsparkError(f"--data {as_text(path)}: it is a zip; unpack it and name the folder")
        found.passed_over += contents.passed_over
        found.passed_over += [f"{as_text(note)}: neither a manifest nor a pixel table" for note in contents.notes]
        if contents.manifests or not contents.tables:
            found.passed_over += [
                f"{as_text(table)}: a pixel table beside a manifest: score it by itself" for table in contents.tables
            ]
            files, others = _files_at(spark, store, path, contents, roots)
            found.pictures += files
            found.passed_over += others
        else:
            found.tables += contents.tables
            found.passed_over += [as_text(other) for other in contents.others]
        notes += contents.notes
    if not found.tables and not found.pictures:
        found.tables = notes  # to be refused by their headers
    return found


def with_reasons(scored: DataFrame) -> DataFrame:
    """Set `reason` for files that were not read; to scoring they are only empty.

    Parameters
    ----------
    scored : DataFrame
        Rows of `rows_to_score` with the columns of scoring; others are returned unchanged.
    """
    if not {"unread", "reason"} <= set(scored.columns):
        return scored
    return scored.withColumn("reason", F.coalesce("unread", "reason")).drop("unread")


def named_picture_column(table: DataFrame) -> str | None:
    """Return the first column of a table that is called as columns of pictures are; None where none is."""
    return next((name for name in PICTURE_COLUMNS if name in table.columns), None)


class FileToScore(NamedTuple):
    """A file to score, and its label if it has one."""

    file: ListedFile
    label: str | None


def _holds_parquet(store: StoreFiles, path: str) -> bool:
    if not store.is_folder(path):
        return True
    return any(entry.is_folder or entry.name.endswith(".parquet") for entry in store.entries(path))


def _files_at(
    spark: SparkSession, store: StoreFiles, path: str, contents: PathContents, roots: Sequence[str]
) -> tuple[list[FileToScore], list[str]]:
    """List the pictures at a path, those of manifests first, and lines about what is passed over."""
    named: dict[str, FileToScore] = {}
    for manifest in contents.manifests:
        rows = parse_manifest(read_manifest_text(store, manifest), as_text(manifest)) or []
        for row, file in zip(rows, named_files(spark, store, manifest, rows, roots), strict=True):
            key = file.path if file.reason is None else f"{manifest} row {row.number}"
            named.setdefault(key, FileToScore(file, label_named(row.label)))
    if not store.is_folder(path):
        if contents.picture:
            length = os.path.getsize(local) if (local := store.local(path)) else store.length(path)
            file = ListedFile(as_text(path), path.rpartition("/")[2], length, os.fsencode(local) if local else None)
            return [FileToScore(file, None)], []
        return list(named.values()), []
    below = files_below(spark, store, path)
    files = list(named.values())
    others: list[str] = []
    for file in below.listed:
        name = file.name.rpartition("/")[2]
        if not is_picture_name(name):
            others.append(file.name)
        elif file.path not in named and real_path(file) not in named:
            files.append(FileToScore(file, nearest_label(file.name.split("/")[:-1])))
    base = as_text(path)
    lines = [f"{base}: {line}" for line in below.passed_over]
    tables = {as_text(table).rpartition("/")[2] for table in (*contents.manifests, *contents.notes, *contents.tables)}
    if files and (others := [name for name in others if name not in tables]):
        no_pictures = counted(
            len(others), "file that is no picture by its ending", "files that are no pictures by their endings"
        )
        lines.append(f"{base}: {no_pictures}, such as {others[0]}")
    return files, lines


def _picture_rows(spark: SparkSession, pictures: Sequence[FileToScore], with_contents: bool) -> DataFrame:
    """Make a row for each file, whether or not it can be read; the picture is the last column."""
    # The path in the result is redacted; see `aslspark.common.redaction`.
    plan = [(file.path, redact(file.path), label, _why_unread(file)) for file, label in pictures]
    readable = [file.length for (file, _), row in zip(pictures, plan, strict=True) if row[3] is None]
    remote = [row for row, (file, _) in zip(plan, pictures, strict=True) if file.file is None and not row[3]]
    # Batches fit in memory, and tasks have enough files to be worth starting. Spark reads none of the local ones, and
    # how it divides files is left alone: a later ingest in this session would divide its tables in another way.
    for name, value in packing(spark, readable).items():
        if remote or not name.startswith("spark.sql.files."):
            spark.conf.set(name, value)
    columns = ("path", "label", "unread")
    local = [(file, row[1:]) for row, (file, _) in zip(plan, pictures, strict=True) if file.file is not None or row[3]]
    parts = []
    if local:
        files = files_table(spark, local, columns)
        if not with_contents and not remote:
            return files.select(*columns, FILE)
        parts.append(with_content(files).select(*columns, "content"))
    if remote:
        contents = contents_of(spark, [file for file, _ in pictures if file.file is None])
        planned = spark.createDataFrame(remote, "path string, redacted string, label string, unread string")
        # A left join, so that a file that cannot be opened keeps its row.
        joined = planned.join(contents, "path", "left")
        unread = F.when(F.col("content").isNull(), F.lit(": ".join(LOST))).alias("unread")
        parts.append(joined.select(F.col("redacted").alias("path"), "label", unread, "content"))
    return reduce(DataFrame.unionByName, parts)


def _why_unread(file: ListedFile) -> str | None:
    reason = unread_reason(file)
    return None if reason is None else ": ".join(reason)


def _parquet(spark: SparkSession, store: StoreFiles, path: str) -> tuple[DataFrame, str]:
    try:
        table = read_parquet(spark, path)
    except AslsparkError:
        raise
    except Exception as error:
        problem = "it is no pixel table, picture or Parquet file"
        if store.is_folder(path):
            names = sorted(entry.name for entry in store.entries(path))
            problem = f"it holds no pixel table, picture or Parquet file (but {', '.join(names[:3]) or 'nothing'})"
        # Of Java's causes only the last one is about the file.
        causes = [line.split(": ", 2)[-1] for line in str(error).splitlines() if line.startswith("Caused by: ")]
        raise AslsparkError(
            f"--data {redact(as_text(path))}: {problem}; pixel tables end in {', '.join(TABLE_ENDINGS)}, pictures in "
            f"{', '.join(PICTURE_ENDINGS)}{''.join(f' ({cause})' for cause in causes[-1:])}"
        ) from error
    return table, _require_picture_column(table, path)


def _require_picture_column(table: DataFrame, name: str) -> str:
    column = named_picture_column(table)
    if column is None:
        raise AslsparkError(
            f"--data {name}: no column of pictures among {', '.join(table.columns)}; call it one of "
            f"{', '.join(PICTURE_COLUMNS)}, or name it with columns.picture"
        )
    return column

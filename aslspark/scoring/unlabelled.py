"""Paths -> a DataFrame to score, with a column that holds the pictures: nothing is checked away here.

In: pixel tables with or without labels, folders of pictures, Parquet of pictures, ingested folders. Out: rows; bad
ones too, so that scoring can say in each what is wrong with it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import label_named, nearest_label
from aslspark.common.paths import mounted_as_spark
from aslspark.common.redaction import redact
from aslspark.data.discover_sources import short_names
from aslspark.data.files.file_bytes import with_content
from aslspark.data.files.hadoop_files import HadoopFiles
from aslspark.data.files.local_folders import as_text, is_special
from aslspark.data.files.table_endings import TABLE_ENDINGS
from aslspark.data.path_contents import PathContents, inspect_path
from aslspark.data.pictures.files import (
    LOST,
    contents_of,
    files_below,
    files_table,
    named_files,
    real_path,
)
from aslspark.data.pictures.listing import ListedFile, unread_reason
from aslspark.data.pictures.manifest import parse_manifest, read_manifest_text
from aslspark.data.pictures.reading import packing
from aslspark.data.samples import REPORT_FILE, read_parquet, read_samples
from aslspark.data.tables.unlabelled_tables import table_rows
from aslspark.images.endings import PICTURE_ENDINGS, is_picture_name

logger = logging.getLogger(__name__)

PICTURE_COLUMNS = ("picture", "image", "pixels", "content", "data")
"""Where pictures are looked for in tables, in this order."""


def rows_to_score(spark: SparkSession, paths: Sequence[str], roots: Sequence[str] = ()) -> tuple[DataFrame, str]:
    """Read what is to be scored, and log what of it is passed over.

    For files of pictures it sets, in the session, how many Spark reads at once: they are held in memory whole.

    Parameters
    ----------
    spark : SparkSession
    paths : sequence of str
        Of one kind: pixel tables (.csv, .csv.gz, .csv.bz2, or folders of them; ``label`` may be missing), or pictures
        (files, folders with them anywhere below, manifests), or one ingested folder, or one Parquet table.
    roots : sequence of str
        Qualified folders in which manifests may name pictures, beside their own.

    Returns
    -------
    DataFrame
        Of pixel tables: `source` (string), `row` (long, counted from 1 in its source), `label` (string as written,
        null without one) and `pixels`, a struct as `samples.PICTURE_TYPE` with why the row cannot be used; see
        `aslspark.data.tables.unlabelled_tables.table_rows`. Of pictures, a row a file:
        `path` (string), `label` (string, as a manifest says or the nearest folder below the path; null without one),
        `unread` (string, why the file was not read, else null; see `with_reasons`) and `content` (binary, the file).
        Else the table's own columns.
    str
        The column that holds the pictures.
    """
    paths = [mounted_as_spark(path) for path in paths]
    hadoop = HadoopFiles(spark)
    if missing := [path for path in paths if not hadoop.exists(path)]:
        raise AslsparkError(
            f"--data {as_text(missing[0])}: it does not exist; name a pixel table, pictures, Parquet or an ingested "
            f"folder{hadoop.lost_letters(missing[0])}"
        )
    if special := [path for path in paths if is_special(hadoop.qualified(path))]:
        raise AslsparkError(f"--data {as_text(special[0])}: it is a pipe or a device; name a file or a folder")
    if len(paths) == 1 and hadoop.exists(f"{paths[0]}/{REPORT_FILE}"):
        hadoop.require_spelled(paths[0], "--data ")
        return read_samples(spark, paths[0]), "picture"
    tables: list[str] = []
    pictures: list[FileToScore] = []
    passed: list[str] = []
    notes: list[str] = []
    for path in (hadoop.qualified(path) for path in paths):
        found = inspect_path(hadoop, path)
        if found.zip:
            raise AslsparkError(f"--data {as_text(path)}: it is a zip; unpack it and name the folder")
        passed += found.passed_over
        passed += [f"{as_text(note)}: neither a manifest nor a pixel table" for note in found.notes]
        if found.manifests or not found.tables:
            passed += [
                f"{as_text(table)}: a pixel table beside a manifest: score it by itself" for table in found.tables
            ]
            files, others = _files_at(spark, hadoop, path, found, roots)
            pictures += files
            passed += others
        else:
            tables += found.tables
            passed += [as_text(other) for other in found.others]
        notes += found.notes
    if not tables and not pictures:
        tables = notes  # to be refused by their header
    if tables and pictures:
        raise AslsparkError(f"--data {as_text(paths[1])}: give pixel tables or pictures, not both at once")
    if tables or pictures:
        for line in dict.fromkeys(passed):
            logger.info("passed over: %s", redact(line))
    if tables:
        names = dict(zip(tables, short_names([redact(as_text(table)) for table in tables]), strict=True))
        return table_rows(spark, hadoop, names), "pixels"
    if pictures:
        return _picture_rows(spark, pictures), "content"
    if len(paths) > 1:
        raise AslsparkError(f"--data {paths[1]}: give pixel tables, folders of pictures, or one Parquet table")
    if passed and not _holds_parquet(hadoop, paths[0]):
        raise AslsparkError(f"--data {as_text(paths[0])}: nothing in it can be scored: {passed[0]}")
    hadoop.require_spelled(paths[0], "--data ")
    return _parquet(spark, hadoop, paths[0])


def with_reasons(scored: DataFrame) -> DataFrame:
    """Say in `reason`, of files that were not read, why: scoring itself sees only that they are empty.

    Parameters
    ----------
    scored : DataFrame
        Rows of `rows_to_score` with the columns of scoring; others come back as they are.
    """
    if not {"unread", "reason"} <= set(scored.columns):
        return scored
    return scored.withColumn("reason", F.coalesce("unread", "reason")).drop("unread")


def named_picture_column(table: DataFrame) -> str | None:
    """Return the first column of a table that is called as columns of pictures are; None where none is."""
    return next((name for name in PICTURE_COLUMNS if name in table.columns), None)


class FileToScore(NamedTuple):
    """A file to score, and the label that it is said to have."""

    file: ListedFile
    label: str | None


def _holds_parquet(hadoop: HadoopFiles, path: str) -> bool:
    if not hadoop.is_folder(path):
        return True
    return any(entry.is_folder or entry.name.endswith(".parquet") for entry in hadoop.entries(path))


def _files_at(
    spark: SparkSession, hadoop: HadoopFiles, path: str, found: PathContents, roots: Sequence[str]
) -> tuple[list[FileToScore], list[str]]:
    """List the pictures at a path: those that its manifests name, and whatever else is there."""
    named: dict[str, FileToScore] = {}
    for manifest in found.manifests:
        rows = parse_manifest(read_manifest_text(hadoop, manifest), as_text(manifest)) or []
        for row, file in zip(rows, named_files(spark, hadoop, manifest, rows, roots), strict=True):
            key = file.path if file.reason is None else f"{manifest} row {row.number}"
            named.setdefault(key, FileToScore(file, label_named(row.label)))
    if not hadoop.is_folder(path):
        if found.picture:
            length = os.path.getsize(local) if (local := hadoop.local(path)) else hadoop.length(path)
            file = ListedFile(as_text(path), path.rpartition("/")[2], length, os.fsencode(local) if local else None)
            return [FileToScore(file, None)], []
        return list(named.values()), []
    below = files_below(spark, hadoop, path)
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
    tables = {as_text(table).rpartition("/")[2] for table in (*found.manifests, *found.notes, *found.tables)}
    if files and (others := [name for name in others if name not in tables]):
        lines.append(f"{base}: {len(others)} files that are no pictures by their endings, such as {others[0]}")
    return files, lines


def _picture_rows(spark: SparkSession, pictures: Sequence[FileToScore]) -> DataFrame:
    """Read files: a row each, whether it can be read or not."""
    # What is scored keeps its path, without the key that may stand in it; see `aslspark.common.redaction`.
    plan = [(file.path, redact(file.path), label, _why_unread(file)) for file, label in pictures]
    readable = [file.length for (file, _), row in zip(pictures, plan, strict=True) if row[3] is None]
    # As many rows go to Python at once as fit in memory, and as many files to a task as keep it busy.
    for name, value in packing(spark, readable).items():
        spark.conf.set(name, value)
    columns = ("path", "label", "unread", "content")
    local = [(file, row[1:]) for row, (file, _) in zip(plan, pictures, strict=True) if file.file is not None or row[3]]
    parts = []
    if local:
        parts.append(with_content(files_table(spark, local, ("path", "label", "unread"))).select(*columns))
    far = [row for row, (file, _) in zip(plan, pictures, strict=True) if file.file is None and not row[3]]
    if far:
        contents = contents_of(spark, [file for file, _ in pictures if file.file is None])
        wanted = spark.createDataFrame(far, "path string, shown string, label string, unread string")
        # From the plan's side, so that a file which cannot be opened keeps its row.
        joined = wanted.join(contents, "path", "left")
        unread = F.when(F.col("content").isNull(), F.lit(": ".join(LOST))).alias("unread")
        parts.append(joined.select(F.col("shown").alias("path"), "label", unread, "content"))
    return reduce(DataFrame.unionByName, parts)


def _why_unread(file: ListedFile) -> str | None:
    reason = unread_reason(file)
    return None if reason is None else ": ".join(reason)


def _parquet(spark: SparkSession, hadoop: HadoopFiles, path: str) -> tuple[DataFrame, str]:
    try:
        table = read_parquet(spark, path)
    except AslsparkError:
        raise
    except Exception as error:
        holds = "it is no pixel table, picture or Parquet file"
        if hadoop.is_folder(path):
            names = sorted(entry.name for entry in hadoop.entries(path))
            holds = f"it holds no pixel table, picture or Parquet file (but {', '.join(names[:3]) or 'nothing'})"
        # Of Java's lines the last cause alone speaks of the file.
        causes = [line.split(": ", 2)[-1] for line in str(error).splitlines() if line.startswith("Caused by: ")]
        raise AslsparkError(
            f"--data {redact(as_text(path))}: {holds}; pixel tables end in {', '.join(TABLE_ENDINGS)}, pictures in "
            f"{', '.join(PICTURE_ENDINGS)}{''.join(f' ({cause})' for cause in causes[-1:])}"
        ) from error
    column = named_picture_column(table)
    if column is None:
        raise AslsparkError(
            f"--data {path}: no column of pictures among {', '.join(table.columns)}; name it one of "
            f"{', '.join(PICTURE_COLUMNS)}"
        )
    return table, column

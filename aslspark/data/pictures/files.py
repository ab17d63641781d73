"""The path of a folder of pictures -> a `PictureSource`; and tables of the files of a list.

Python lists and opens local files, since it finds every name; Spark those of other stores.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from aslspark.common.errors import AslsparkError
from aslspark.common.spark_session import TASKS_OF_TABLE, parallelism, settings
from aslspark.data.files.file_bytes import with_content
from aslspark.data.files.local_folders import SPECIAL, as_text, walk
from aslspark.data.files.store_files import StoreFiles, no_pattern, plain_path
from aslspark.data.pictures.listing import ListedFile, Picture, PictureSource, labelled_by_folder, once_each
from aslspark.data.pictures.options import PictureOptions
from aslspark.images.endings import is_picture_name
from aslspark.images.local_file import MAX_FILE_BYTES, UNREADABLE

# Opening a file costs about as much as decoding this many bytes. With Spark's default, 4 MB, every 32 pictures become
# a task.
OPEN_COST_BYTES = 8 << 10
TASKS_A_SLOT = 3
LEAST_TASK_BYTES, MOST_TASK_BYTES = 1 << 20, 128 << 20

MISSING = "missing"
HIDDEN = "hidden name"
LOST = (UNREADABLE, "it vanished, or could not be opened, after it was listed")
MOST_FOLDERS_SEARCHED = 1000
"""Folders that are searched for pictures whose names begin with _, which Spark silently passes over."""


@dataclass
class FilesBelow:
    """All files below a folder."""

    listed: list[ListedFile]
    passed_over: list[str] = field(default_factory=list)
    """Lines, with paths relative to the folder."""


def files_below(spark: SparkSession, store: StoreFiles, path: str) -> FilesBelow:
    """List all files below a folder.

    Parameters
    ----------
    path : str
        Qualified.

    Raises
    ------
    AslsparkError
        For a folder without read permission, or a link that leads back to a folder above it.
    """
    if (local := store.local(path)) is not None:
        walked = walk(local)
        listed = [
            ListedFile(
                f"file:{as_text(file.path)}",
                as_text(file.name),
                file.length,
                os.fsencode(file.path),
                *((UNREADABLE, SPECIAL) if file.special else ()),
            )
            for file in walked.files
        ]
        return FilesBelow(listed, walked.passed_over)
    base = plain_path(path).rstrip("/")
    files = [
        ListedFile(file, plain_path(file).removeprefix(f"{base}/"), length)
        for file, length in list_files(binary_files(spark, [path]))
    ]
    hidden, folders = _hidden(store, base, {file.name.rpartition("/")[0] for file in files})
    advice = "Spark passes over names that begin with _: rename it"
    files += [ListedFile(f"{base}/{name}", name, 0, None, HIDDEN, advice) for name in hidden]
    return FilesBelow(files, folders)


def contents_of(spark: SparkSession, files: Iterable[ListedFile]) -> DataFrame:
    """Make the table of the bytes of files.

    Returns
    -------
    DataFrame
        path (string, as in `ListedFile`) and file (binary, a path for `aslspark.data.files.file_bytes`) where all are
        local; else path and content (binary), without files that cannot be opened or are larger than `MAX_FILE_BYTES`.
    """
    files = list(files)
    local = [file for file in files if file.file is not None]
    others = [file for file in files if file.file is None]
    parts = []
    if local or not others:
        parts.append(files_table(spark, [(file, (file.path,)) for file in local], ("path",)))
    if others:
        folders = topmost({file.path.rpartition("/")[0] for file in others})
        paths = F.broadcast(spark.createDataFrame([(file.path,) for file in others], "path string"))
        # Filtered by length, since reading a file above 2 GB would end the job.
        below = binary_files(spark, folders).where(F.col("length") <= MAX_FILE_BYTES)
        parts.append(below.select("path", "content").join(paths, "path", "left_semi"))
    if len(parts) == 1:
        return parts[0]
    return with_content(parts[0]).select("path", "content").unionByName(parts[1])


def files_table(
    spark: SparkSession, files: Sequence[tuple[ListedFile, tuple[str | None, ...]]], columns: Sequence[str]
) -> DataFrame:
    """Make a table of local files, in a fixed order and in tasks of about the same bytes.

    The table begins in memory, as Arrow: rows of an RDD would pass through a Python worker on their way.

    Parameters
    ----------
    files : sequence of ListedFile and tuple of str
        Each file with its values of `columns`.

    Returns
    -------
    DataFrame
        `columns` (string) and file (binary, the path; empty where there is none). Spark deals it to as many tasks as
        TASKS_OF_TABLE says when it is read, which `reading.packing` chooses.
    """
    tasks = int(spark.conf.get(TASKS_OF_TABLE, None) or parallelism(spark))
    largest_first = sorted(files, key=lambda pair: (-pair[0].length, pair[0].path))
    dealt = [pair for start in range(tasks) for pair in largest_first[start::tasks]]
    values: dict[str, list[Any]] = {name: [row[place] for _, row in dealt] for place, name in enumerate(columns)}
    values["file"] = [file.file or b"" for file, _ in dealt]
    schema = StructType([*(StructField(name, StringType()) for name in columns), StructField("file", BinaryType())])
    return spark.createDataFrame(pd.DataFrame(values, columns=schema.names, dtype=object), schema)


def binary_files(spark: SparkSession, folders: Sequence[str]) -> DataFrame:
    """Read all files below folders of a store that is not local.

    Returns
    -------
    DataFrame
        path (string), length (long), content (binary), modificationTime. Files are read only where content is used.
    """
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    # A file that cannot be opened must not end the job; ingest notices and reports it afterwards.
    reader = reader.option("ignoreMissingFiles", "true").option("ignoreCorruptFiles", "true")
    return reader.load([no_pattern(folder) for folder in folders])


def list_files(files: DataFrame) -> list[tuple[str, int]]:
    """List path and length of all files, including empty ones, which Spark leaves out of its tables."""
    with settings(files.sparkSession, {"spark.sql.files.openCostInBytes": str(OPEN_COST_BYTES)}):
        rows = files.select("path", "length").toPandas()
    listed = list(zip(rows["path"].tolist(), rows["length"].tolist(), strict=True))
    if len(uris := files.inputFiles()) != len(listed):
        known = {plain_path(path) for path, _ in listed}
        paths = (plain_path(unquote(uri)) for uri in uris)
        listed += [(path, 0) for path in paths if path not in known]
    return listed


def open_folder(
    spark: SparkSession, store: StoreFiles, path: str, options: PictureOptions, known: Collection[str] = ()
) -> PictureSource | None:
    """List the pictures of a folder with a sub-folder for each label.

    Parameters
    ----------
    path : str
        Qualified.
    known : collection of str
        Names of files in the folder that are reported elsewhere.

    Returns
    -------
    PictureSource or None
        None where there is no picture below the folder. Its `name` is still empty.

    Raises
    ------
    AslsparkError
        Where no picture lies in a folder with the name of a label.
    """
    below = files_below(spark, store, path)
    if not any(is_picture_name(file.name) for file in below.listed):
        return None
    pictures, passed = labelled_by_folder((file for file in below.listed if file.name not in known), options)
    if not pictures:
        raise AslsparkError(
            f"source {as_text(path)} has pictures, but none in a folder that is called like a label (A to Z, del, "
            f"nothing, space): {passed[0]}; give other names with pictures.labels, or a manifest with path,label"
        )
    base = as_text(plain_path(path)).rstrip("/")
    lines = [f"{base}: {line}" for line in [*passed, *below.passed_over]]
    return source_of_files(spark, below.listed, once_each(pictures), lines)


def source_of_files(
    spark: SparkSession, files: Iterable[ListedFile], pictures: Sequence[Picture], passed_over: list[str] | None = None
) -> PictureSource:
    """Make the source of listed files, of which those whose pictures can be used are read. It has no name yet."""
    usable = {picture.path for picture in pictures if picture.reason is None}
    usable_files = {file.path: file for file in files if file.path in usable}
    return PictureSource(
        name="",
        pictures=list(pictures),
        contents=lambda _scratch: contents_of(spark, usable_files.values()),
        lost=LOST,
        passed_over=passed_over or [],
        local=usable_files if all(file.file is not None for file in usable_files.values()) else None,
    )


def _hidden(store: StoreFiles, base: str, folders: set[str]) -> tuple[list[str], list[str]]:
    """Find pictures and folders whose names begin with _, which Spark does not list."""
    files, below = [], []
    for folder in sorted(folders | {""})[:MOST_FOLDERS_SEARCHED]:
        for name, is_folder in store.underscored_in(f"{base}/{folder}".rstrip("/")):
            path = f"{folder}/{name}".lstrip("/")
            if is_folder:
                below.append(f"{path}: Spark passes over names that begin with _")
            elif is_picture_name(name):
                files.append(path)
    return files, below


def topmost(folders: set[str]) -> list[str]:
    """Return the folders that lie in no other of them."""
    topmost: list[str] = []
    for folder in sorted(folders, key=lambda folder: f"{folder}/"):
        if not topmost or not f"{folder}/".startswith(f"{topmost[-1].rstrip('/')}/"):
            topmost.append(folder)
    return topmost

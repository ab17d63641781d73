"""Folders and manifests of picture files, wherever they lie.

In: a path. Out: a `PictureSource`. Files of this machine are listed and opened by Python, which finds every name; those
of other stores by Spark.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.common.spark_session import settings
from aslspark.data.files.file_bytes import MAX_FILE_BYTES, UNREADABLE, with_content
from aslspark.data.files.hadoop_files import HadoopFiles, no_pattern, plain_path
from aslspark.data.files.local_folders import SPECIAL, as_text, walk
from aslspark.data.pictures.listing import (
    ListedFile,
    Picture,
    PictureSource,
    labelled_by_folder,
    labelled_by_row,
    once_each,
    with_named_splits,
)
from aslspark.data.pictures.manifest import ManifestRow, parse_manifest, read_manifest_text
from aslspark.data.pictures.options import PictureOptions
from aslspark.images.endings import is_picture_name

# A file costs about as much to open as so many of its bytes to decode. Spark's own guess, 4 MB, makes a task of
# every 32 pictures.
OPEN_COST_BYTES = 8 << 10
TASKS_A_SLOT = 3

MISSING = "missing"
OUTSIDE = "outside of its folder"
HIDDEN = "hidden name"
LOST = (UNREADABLE, "it vanished, or could not be opened, after it was listed")
MOST_FOLDERS_SEARCHED = 1000
"""For pictures whose names begin with _, which Spark passes over without a word."""


@dataclass
class FilesBelow:
    """All files below a folder.

    Parameters
    ----------
    listed : list of ListedFile
    passed_over : list of str
        In words, below the folder.
    """

    listed: list[ListedFile]
    passed_over: list[str] = field(default_factory=list)


def files_below(spark: SparkSession, hadoop: HadoopFiles, path: str) -> FilesBelow:
    """List all files below a folder.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    path : str
        Qualified.

    Raises
    ------
    AslsparkError
        Where a folder may not be read, or a link leads back to it.
    """
    if (local := hadoop.local(path)) is not None:
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
    hidden, folders = _hidden(hadoop, base, {file.name.rpartition("/")[0] for file in files})
    trouble = "Spark passes over names that begin with _: rename it"
    files += [ListedFile(f"{base}/{name}", name, 0, None, HIDDEN, trouble) for name in hidden]
    return FilesBelow(files, folders)


def contents_of(spark: SparkSession, files: Iterable[ListedFile]) -> DataFrame:
    """Give the table with the bytes of files.

    Returns
    -------
    DataFrame
        path (string, as in `ListedFile`) and file (binary, a path for `aslspark.data.files.file_bytes`) where all lie
        on this machine; else path and content (binary), without those that cannot be opened or are larger than
        `MAX_FILE_BYTES`.
    """
    files = list(files)
    local = [file for file in files if file.file is not None]
    others = [file for file in files if file.file is None]
    parts = []
    if local or not others:
        parts.append(files_table(spark, [(file, (file.path,)) for file in local], ("path",)))
    if others:
        folders = _topmost({file.path.rpartition("/")[0] for file in others})
        wanted = F.broadcast(spark.createDataFrame([(file.path,) for file in others], "path string"))
        # By its length Spark leaves a file unread; asked for its bytes, it ends the job above 2 GB.
        below = binary_files(spark, folders).where(F.col("length") <= MAX_FILE_BYTES)
        parts.append(below.select("path", "content").join(wanted, "path", "left_semi"))
    if len(parts) == 1:
        return parts[0]
    return with_content(parts[0]).select("path", "content").unionByName(parts[1])


def files_table(
    spark: SparkSession, files: Sequence[tuple[ListedFile, tuple[str | None, ...]]], columns: Sequence[str]
) -> DataFrame:
    """Make a table of files of this machine, in tasks of about as many bytes each, in the same order every time.

    Parameters
    ----------
    spark : SparkSession
    files : sequence of ListedFile and tuple of str
        Each file with its values of `columns`.
    columns : sequence of str

    Returns
    -------
    DataFrame
        `columns` (string) and file (binary, the path; empty where there is none).
    """
    largest_first = sorted(files, key=lambda pair: (-pair[0].length, pair[0].path))
    cost = sum(max(0, file.length) for file, _ in files) + OPEN_COST_BYTES * len(files)
    slots = max(1, spark.sparkContext.defaultParallelism)
    task_bytes = max(1 << 20, min(-(-cost // (TASKS_A_SLOT * slots)), 128 << 20))
    tasks = max(1, -(-cost // task_bytes))
    rows = [
        (*values, bytearray(file.file or b"")) for start in range(tasks) for file, values in largest_first[start::tasks]
    ]
    schema = ", ".join([*(f"{column} string" for column in columns), "file binary"])
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, tasks), schema, verifySchema=False)


def binary_files(spark: SparkSession, folders: Sequence[str]) -> DataFrame:
    """Read all files below folders of another store than this machine.

    Returns
    -------
    DataFrame
        path (string), length (long), content (binary), modificationTime. Bytes are only read where content is used.
    """
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    # One that cannot be opened must not end the job; ingest misses it afterwards, and says so.
    reader = reader.option("ignoreMissingFiles", "true").option("ignoreCorruptFiles", "true")
    return reader.load([no_pattern(folder) for folder in folders])


def list_files(files: DataFrame) -> list[tuple[str, int]]:
    """List path and length of all files; of empty ones too, which Spark leaves out of its tables."""
    with settings(files.sparkSession, {"spark.sql.files.openCostInBytes": str(OPEN_COST_BYTES)}):
        found = files.select("path", "length").toPandas()
    listed = list(zip(found["path"].tolist(), found["length"].tolist(), strict=True))
    if len(files._jdf.inputFiles()) != len(listed):
        there = {plain_path(path) for path, _ in listed}
        every = (plain_path(unquote(uri)) for uri in files.inputFiles())
        listed += [(path, 0) for path in every if path not in there]
    return listed


def open_folder(
    spark: SparkSession, hadoop: HadoopFiles, path: str, options: PictureOptions, known: Collection[str] = ()
) -> PictureSource | None:
    """List a folder with a sub-folder for each label.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    path : str
        Qualified.
    options : PictureOptions
    known : collection of str
        Names of files in the folder that somebody else answers for.

    Returns
    -------
    PictureSource or None
        None where no picture lies below the folder. Its `name` is still empty.

    Raises
    ------
    AslsparkError
        Where there are pictures, but in no folder that is called like a label.
    """
    below = files_below(spark, hadoop, path)
    if not any(is_picture_name(file.name) for file in below.listed):
        return None
    pictures, passed = labelled_by_folder((file for file in below.listed if file.name not in known), options)
    if not pictures:
        raise AslsparkError(
            f"source {as_text(path)} has pictures, but none in a folder that is called like a label (A to Z, del, "
            f"nothing, space): {passed[0]}; give other names with pictures.labels, or a manifest with path,label"
        )
    base = as_text(plain_path(path)).rstrip("/")
    return PictureSource(
        name="",
        pictures=(pictures := once_each(pictures)),
        contents=_contents(spark, below.listed, pictures),
        lost=LOST,
        passed_over=[f"{base}: {line}" for line in [*passed, *below.passed_over]],
    )


def _contents(
    spark: SparkSession, files: Iterable[ListedFile], pictures: Iterable[Picture]
) -> Callable[[str], DataFrame]:
    usable = {picture.path for picture in pictures if picture.reason is None}
    wanted = {file.path: file for file in files if file.path in usable}
    return lambda _scratch: contents_of(spark, wanted.values())


def _hidden(hadoop: HadoopFiles, base: str, folders: set[str]) -> tuple[list[str], list[str]]:
    """Find pictures and folders whose names begin with _, beside what Spark lists."""
    files, below = [], []
    for folder in sorted(folders | {""})[:MOST_FOLDERS_SEARCHED]:
        for name, is_folder in hadoop.underscored_in(f"{base}/{folder}".rstrip("/")):
            path = f"{folder}/{name}".lstrip("/")
            if is_folder:
                below.append(f"{path}: Spark passes over names that begin with _")
            elif is_picture_name(name):
                files.append(path)
    return files, below


def open_manifest(
    spark: SparkSession, hadoop: HadoopFiles, path: str, options: PictureOptions, name: str = ""
) -> PictureSource:
    """List the pictures that a manifest names.

    On other stores than this machine all files below their folders are read and those that are not in the manifest
    dropped, since Spark reads folders: pictures that few rows name among many are better copied to a folder of
    their own.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    path : str
        Qualified, of a file whose header `is_manifest_header`.
    options : PictureOptions
    name : str
        Its own name, where that may say the split of rows of which nothing else does.
    """
    rows = parse_manifest(read_manifest_text(hadoop, path), as_text(path)) or []
    files = named_files(spark, hadoop, path, rows, options.roots)
    labelled = (labelled_by_row(file, row, options) for row, file in zip(rows, files, strict=True))
    pictures = with_named_splits(once_each(labelled), options, name)
    if all(picture.reason is not None for picture in pictures):
        first = pictures[0]
        raise AslsparkError(
            f"source {as_text(path)}: none of its {len(rows)} pictures can be read "
            f"(row {first.row}, {first.name!r}: {first.reason}: {first.detail})"
        )
    return PictureSource("", pictures, _contents(spark, files, pictures), LOST)


def unnamed_pictures(
    spark: SparkSession, hadoop: HadoopFiles, folder: str, sources: Iterable[PictureSource]
) -> list[str]:
    """Say how many pictures lie below a folder that none of its manifests names."""
    named = {picture.path for source in sources for picture in source.pictures}
    below = files_below(spark, hadoop, folder).listed
    left = [file.name for file in below if is_picture_name(file.name) and not named & {file.path, real_path(file)}]
    return [f"{as_text(folder)}: {len(left)} pictures that no manifest names, such as {left[0]}"] if left else []


def real_path(file: ListedFile) -> str:
    """Return the path of a file behind any links, as a manifest's entry for it has it."""
    return file.path if file.file is None else f"file:{as_text(os.path.realpath(os.fsdecode(file.file)))}"


def named_files(
    spark: SparkSession, hadoop: HadoopFiles, manifest: str, rows: Sequence[ManifestRow], roots: Sequence[str]
) -> list[ListedFile]:
    """Find the files that the rows of a manifest name.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    manifest : str
        Its qualified path.
    rows : sequence of ManifestRow
    roots : sequence of str
        Qualified folders that it may name files in, beside its own.

    Returns
    -------
    list of ListedFile
        One a row. Those that lie elsewhere, by their path or by where a link leads, that are missing, or that are
        no paths have their reason; nothing is opened.
    """
    base = manifest.rpartition("/")[0]
    folders = [base, *roots]
    local_roots = [os.path.realpath(local) for folder in folders if (local := hadoop.local(folder)) is not None]
    other_roots = [plain_path(folder).rstrip("/") for folder in folders if hadoop.local(folder) is None]
    found: list[ListedFile] = []
    others: dict[int, str] = {}
    for place, row in enumerate(rows):
        name = redact(as_text(row.path))
        path = _resolved(base, row.path)
        if not row.path:
            found.append(ListedFile(name, name, -1, None, MISSING, "the row names no file"))
        elif (local := hadoop.local(path)) is not None:
            found.append(_local_named(local, row.path, name, local_roots))
        elif any(plain_path(path).startswith(f"{root}/") for root in other_roots):
            others[place] = plain_path(path)
            found.append(ListedFile(path, name, -1))
        else:
            found.append(ListedFile(name, name, -1, None, OUTSIDE, _OUTSIDE_DETAIL))
    if others:
        _find_others(spark, hadoop, found, others)
    return found


_OUTSIDE_DETAIL = "a manifest names files below its own folder alone; others need their folder in pictures.roots"


def _local_named(local: str, written: str, name: str, roots: Sequence[str]) -> ListedFile:
    """Find a file of this machine; one with backslashes that is not there may have been written on Windows."""
    spellings = [local]
    if "\\" in written:
        spellings.append(os.path.normpath(local.replace("\\", "/")))
    # By the name as it was written and masked: in a path that is made plain, a key is no longer told from a folder.
    missing = ListedFile(name, name, -1, None, MISSING, "there is no such file")
    for spelled in spellings:
        try:
            real = os.path.realpath(spelled)
            if not any(real == root or real.startswith(f"{root.rstrip('/')}/") for root in roots):
                return missing._replace(reason=OUTSIDE, detail=_OUTSIDE_DETAIL)
            if not os.path.exists(real):
                continue
            length, is_file = os.path.getsize(real), os.path.isfile(real)
        except (OSError, ValueError):  # a NUL in it, or links in a circle
            continue
        trouble = () if is_file else (UNREADABLE, SPECIAL if not os.path.isdir(real) else "it is a folder")
        return ListedFile(f"file:{as_text(real)}", name, length, os.fsencode(real), *trouble)
    return missing


def _find_others(spark: SparkSession, hadoop: HadoopFiles, found: list[ListedFile], others: dict[int, str]) -> None:
    """Look up the files of other stores, in place."""
    folders = [
        folder for folder in _topmost({path.rpartition("/")[0] for path in others.values()}) if hadoop.exists(folder)
    ]
    there = (
        {plain_path(file): (file, length) for file, length in list_files(binary_files(spark, folders))}
        if folders
        else {}
    )
    for place, path in others.items():
        if path in there:
            spelled, length = there[path]
            found[place] = found[place]._replace(path=spelled, length=length)
        else:
            found[place] = found[place]._replace(reason=MISSING, detail=f"there is no file {redact(path)!r}")


def _resolved(base: str, path: str) -> str:
    if re.match(r"^[A-Za-z][A-Za-z0-9+.-]*:[/\\]", path):
        return path
    if path.startswith("/"):
        # On the same file system as the manifest.
        system = re.match(r"^[a-z][a-z0-9+.-]*:(//[^/]*)?(?=/)", base)
        return f"{system.group(0) if system else ''}{posixpath.normpath('/' + path.lstrip('/'))}"
    scheme, colon, rest = base.partition(":") if ":" in base else ("", "", base)
    return f"{scheme}{colon}{posixpath.normpath(f'{rest}/{path}')}"


def _topmost(folders: set[str]) -> list[str]:
    """Leave out folders that lie in others of them: they are read with those."""
    kept: list[str] = []
    for folder in sorted(folders, key=lambda folder: f"{folder}/"):
        if not kept or not f"{folder}/".startswith(f"{kept[-1].rstrip('/')}/"):
            kept.append(folder)
    return kept

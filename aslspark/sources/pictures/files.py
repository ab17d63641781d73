"""Folders and manifests of picture files, listed by Spark itself, wherever it can read."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession

from aslspark.errors import AslsparkError
from aslspark.masking import shown
from aslspark.session import settings
from aslspark.sources.hadoop_files import HadoopFiles, no_pattern, plain_path
from aslspark.sources.local_folders import refuse_loops
from aslspark.sources.pictures.listing import (
    Picture,
    PictureSource,
    is_picture_name,
    labelled_by_folder,
    labelled_by_word,
    once_each,
)
from aslspark.sources.pictures.options import PictureOptions

# A file costs about as much to open as so many of its bytes to decode. Spark's own guess, 4 MB, makes a task of
# every 32 pictures.
OPEN_COST_BYTES = 8 << 10

MISSING = "missing"
HIDDEN = "hidden name"
LOST = ("unreadable", "it vanished, or could not be opened, after it was listed")
MOST_FOLDERS_SEARCHED = 1000
"""For pictures whose names begin with _, which Spark passes over without a word."""


class ManifestRow(NamedTuple):
    """A row of a manifest as it is written; what is not there is empty."""

    number: int
    path: str
    label: str
    signer: str
    split: str


def binary_files(spark: SparkSession, folders: Sequence[str]) -> DataFrame:
    """Read all files below folders.

    Returns
    -------
    DataFrame
        path (string), length (long), content (binary), modificationTime. Bytes are only read where content is used.
    """
    for folder in folders:
        refuse_loops(folder)
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


def open_folder(spark: SparkSession, hadoop: HadoopFiles, path: str, options: PictureOptions) -> PictureSource | None:
    """List a folder with a sub-folder for each label.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    path : str
        Qualified.
    options : PictureOptions

    Returns
    -------
    PictureSource or None
        None where no picture lies below the folder. Its `name` is still empty.

    Raises
    ------
    AslsparkError
        Where there are pictures, but in no folder that is called like a label.
    """
    base = plain_path(path).rstrip("/")
    files = binary_files(spark, [path])
    found = [(file, plain_path(file).removeprefix(f"{base}/"), length) for file, length in list_files(files)]
    if not any(is_picture_name(name) for _, name, _ in found):
        return None
    pictures, passed = labelled_by_folder(found, options)
    hidden, hidden_folders = _hidden(hadoop, base, {name.rpartition("/")[0] for _, name, _ in found})
    unread, _ = labelled_by_folder([(f"{base}/{name}", name, 0) for name in hidden], options)
    trouble = "Spark passes over names that begin with _: rename it"
    if not pictures:
        raise AslsparkError(
            f"source {path} has pictures, but none in a folder that is called like a label (A to Z, del, nothing, "
            f"space): {passed[0]}; give other names with pictures.labels, or a manifest with path,label"
        )
    # Most folders hold nothing else, and then need not be listed again.
    tops = {picture.name.partition("/")[0] for picture in pictures}
    everything = {name.partition("/")[0] for _, name, _ in found} == tops
    wanted = files if everything else binary_files(spark, [f"{base}/{top}" for top in sorted(tops)])
    return PictureSource(
        name="",
        pictures=pictures + [picture._replace(reason=HIDDEN, detail=trouble) for picture in unread],
        contents=_contents(wanted),
        lost=LOST,
        passed_over=[f"{base}/{line}" for line in [*passed, *hidden_folders]],
    )


def _contents(files: DataFrame) -> Callable[[str], DataFrame]:
    def contents(_scratch: str) -> DataFrame:
        return files.select("path", "content")

    return contents


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


def read_manifest(text: str, where: str) -> list[ManifestRow] | None:
    """Read a table of pictures.

    Parameters
    ----------
    text : str
        CSV with the columns path and label, and perhaps signer and split, in any order, among others.
    where : str
        Opens the error.

    Returns
    -------
    list of ManifestRow or None
        None where the header is not that of a manifest.

    Raises
    ------
    AslsparkError
        Where it has no rows.
    """
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        header = next(lines, [])
        if not is_manifest_header(header):
            return None
        rows = list(lines)
    except csv.Error as error:
        raise AslsparkError(f"{where}: line {lines.line_num} cannot be read ({error}): close its quotes") from error
    columns = [name.strip().lower() for name in header]
    places = [columns.index(name) if name in columns else None for name in ("path", "label", "signer", "split")]
    found = [
        ManifestRow(number, *(row[place].strip() if place is not None and place < len(row) else "" for place in places))
        for number, row in enumerate((row for row in rows if row), 1)
    ]
    if not found:
        raise AslsparkError(f"{where}: a header and no rows; list pictures under it")
    return found


def is_manifest_header(names: Sequence[str]) -> bool:
    """Tell the header of a manifest."""
    return {"path", "label"} <= {name.strip().strip('"').lower() for name in names} and "pixel1" not in names


def open_manifest(spark: SparkSession, hadoop: HadoopFiles, path: str, options: PictureOptions) -> PictureSource:
    """List the pictures that a manifest names.

    All files below their folders are read and those that are not in the manifest dropped, since Spark reads
    folders: pictures that few rows name among many are better copied to a folder of their own.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    path : str
        Qualified, of a file whose header `is_manifest_header`.
    options : PictureOptions
    """
    whole = spark.read.text(no_pattern(path), wholetext=True).first()
    rows = read_manifest(whole["value"] if whole else "", path) or []
    base = path.rpartition("/")[0]
    paths = [plain_path(_resolved(base, row.path)) for row in rows]
    folders = [folder for folder in _topmost({path.rpartition("/")[0] for path in paths}) if hadoop.exists(folder)]
    files = binary_files(spark, folders) if folders else None
    lengths = {plain_path(file): (file, length) for file, length in (list_files(files) if files else [])}
    pictures = []
    for row, file in zip(rows, paths, strict=True):
        spelled, length = lengths.get(file, (file, -1))
        picture = Picture(spelled, shown(row.path), length, signer=row.signer or None, row=row.number)
        picture = labelled_by_word(picture, row.label, row.split, options)
        if picture.reason is None and length < 0:
            picture = picture._replace(reason=MISSING, detail=f"there is no file {file}")
        pictures.append(picture)
    usable = [picture for picture in pictures if picture.reason is None]
    once_each(usable, path)
    if files is None or not usable:
        first = next((f"row {picture.row}: {picture.detail}" for picture in pictures), "")
        raise AslsparkError(f"source {path}: none of its {len(rows)} pictures can be read ({first})")
    return PictureSource("", pictures, _contents(files), LOST)


def _resolved(base: str, path: str) -> str:
    if re.match(r"^[a-z][a-z0-9+.-]*:/", path):
        return path
    if path.startswith("/"):
        # On the same file system as the manifest.
        system = re.match(r"^[a-z][a-z0-9+.-]*:(//[^/]*)?(?=/)", base)
        return f"{system.group(0) if system else ''}{posixpath.normpath(path)}"
    scheme, colon, rest = base.partition(":") if ":" in base else ("", "", base)
    return f"{scheme}{colon}{posixpath.normpath(f'{rest}/{path}')}"


def _topmost(folders: set[str]) -> list[str]:
    """Leave out folders that lie in others of them: they are read with those."""
    kept: list[str] = []
    for folder in sorted(folders, key=lambda folder: f"{folder}/"):
        if not kept or not f"{folder}/".startswith(f"{kept[-1].rstrip('/')}/"):
            kept.append(folder)
    return kept

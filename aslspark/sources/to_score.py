"""Paths -> a DataFrame to score, with a column that holds the pictures: nothing is checked away here.

In: pixel tables with or without labels, folders of pictures, Parquet of pictures, ingested folders. Out: rows; bad
ones too, so that scoring can say in each what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.data.tables_to_score import table_rows
from aslspark.errors import AslsparkError
from aslspark.labels import LABELS
from aslspark.masking import MASK, shown
from aslspark.paths import mounted_as_spark
from aslspark.samples import REPORT_FILE, read_parquet, read_samples
from aslspark.sources.hadoop_files import TABLE_ENDINGS, HadoopFiles
from aslspark.sources.local_folders import is_special
from aslspark.sources.opening import short_names
from aslspark.sources.pictures.files import binary_files, list_files
from aslspark.sources.pictures.listing import MAX_FILE_BYTES, is_picture_name
from aslspark.sources.pictures.reading import packing

PICTURE_COLUMNS = ("picture", "image", "pixels", "content", "data")
"""Where pictures are looked for in Parquet, in this order."""


def rows_to_score(spark: SparkSession, paths: Sequence[str]) -> tuple[DataFrame, str]:
    """Read what is to be scored.

    For files of pictures it sets, in the session, how many Spark reads at once: they are held in memory whole.

    Parameters
    ----------
    spark : SparkSession
    paths : sequence of str
        Of one kind: pixel tables (.csv, .csv.gz, .csv.bz2, or folders of them; ``label`` may be missing), or folders
        with JPEG or PNG files anywhere in them, or one ingested folder, or one Parquet table.

    Returns
    -------
    DataFrame
        Of pixel tables: `source` (string), `row` (long, counted from 1 in its source), `label` (string as written,
        null without one) and `pixels`, a struct as `samples.PICTURE_TYPE` with why the row cannot be used; see
        `aslspark.data.tables_to_score.table_rows`. Of folders of pictures: `path` (string), `label` (string, null
        where no folder above is called like one) and `content` (binary, the file). Else the table's own columns.
    str
        The column that holds the pictures.
    """
    paths = [mounted_as_spark(path) for path in paths]
    hadoop = HadoopFiles(spark)
    if missing := [path for path in paths if not hadoop.exists(path)]:
        raise AslsparkError(
            f"--data {missing[0]}: it does not exist; name a pixel table, pictures, Parquet or an ingested folder"
        )
    if special := [path for path in paths if is_special(hadoop.qualified(path))]:
        raise AslsparkError(f"--data {special[0]}: it is a pipe or a device; name a file or a folder")
    if len(paths) == 1 and hadoop.exists(f"{paths[0]}/{REPORT_FILE}"):
        return read_samples(spark, paths[0]), "picture"
    tables = [table for path in paths for table in _tables(hadoop, path)]
    if tables:
        names = dict(zip(tables, short_names([shown(table) for table in tables]), strict=True))
        return table_rows(spark, hadoop, names), "pixels"
    if all(hadoop.is_folder(path) for path in paths) and (files := _picture_files(spark, paths)) is not None:
        return files, "content"
    if len(paths) > 1:
        raise AslsparkError(f"--data {paths[1]}: give pixel tables, folders of pictures, or one Parquet table")
    return _parquet(spark, paths[0])


def _tables(hadoop: HadoopFiles, path: str) -> list[str]:
    try:
        return [table for table in hadoop.tables_at(path)[0] if table.endswith(TABLE_ENDINGS)]
    except AslsparkError:
        return []


def _picture_files(spark: SparkSession, folders: Sequence[str]) -> DataFrame | None:
    files = binary_files(spark, folders)
    listed = [(path, length) for path, length in list_files(files) if is_picture_name(path)]
    if not listed:
        return None
    # As many rows go to Python at once as fit in memory, and as many files to a task as keep it busy.
    readable = [length for _, length in listed if 0 < length <= MAX_FILE_BYTES]
    for name, value in packing(spark, readable).items():
        spark.conf.set(name, value)
    names = {label.lower(): label for label in LABELS}
    of_name = F.create_map(*(F.lit(word) for pair in names.items() for word in pair))
    above = F.expr("reverse(slice(split(lower(path), '/'), 1, size(split(path, '/')) - 1))")
    label = F.get(F.filter(F.transform(above, lambda folder: of_name[folder]), lambda found: found.isNotNull()), 0)
    wanted = files.where(F.lower("path").rlike(r"\.(jpe?g|png)$") & (F.col("length") <= MAX_FILE_BYTES))
    # What is scored keeps its path, without the key that may stand in it; see `aslspark.masking`.
    path = F.regexp_replace("path", "://[^/@:]*:[^@]*@", f"://{MASK}@").alias("path")
    rows = wanted.select(path, label.alias("label"), "content")
    # Those that Spark would leave out, or that are too large to hold: their rows say that they are empty.
    left_out = [(path,) for path, length in listed if not 0 < length <= MAX_FILE_BYTES]
    if not left_out:
        return rows
    nothing = F.lit(None).cast("binary").alias("content")
    return rows.unionByName(spark.createDataFrame(left_out, "path string").select(path, label.alias("label"), nothing))


def _parquet(spark: SparkSession, path: str) -> tuple[DataFrame, str]:
    try:
        table = read_parquet(spark, path)
    except AslsparkError:
        raise
    except Exception as error:
        raise AslsparkError(
            f"--data {path}: neither a pixel table nor pictures nor Parquet: {str(error).splitlines()[0]}"
        ) from error
    column = next((name for name in PICTURE_COLUMNS if name in table.columns), None)
    if column is None:
        raise AslsparkError(
            f"--data {path}: no column of pictures among {', '.join(table.columns)}; name it one of "
            f"{', '.join(PICTURE_COLUMNS)}"
        )
    return table, column

"""What names a table, in Spark's catalog or as the folder of a Delta table -> a DataFrame with the columns known here.

In: a source such as ``main.signs.pictures``, ``table:pictures`` or a path, and what its columns are called. Out: a
DataFrame as `binaryFile` and `image` give them, of samples, or of pixels; None for what is no table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructType

from aslspark.common.command_line import nearest
from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.progress import doing
from aslspark.common.settings import ColumnConfig
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.files.table_endings import is_file_name
from aslspark.data.pictures.tables import in_small_letters
from aslspark.data.samples import require_known_classes

PREFIX = "table:"
_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+){0,2}")
_PART = re.compile(r"`[^`]+`|[\w-]+")
MOST_NAMED = 5
"""Tables or schemas that an error names, where none has a name like the one that is missing."""
DELTA_LOG, ICEBERG_METADATA = "_delta_log", "metadata/version-hint.text"


def table_of(spark: SparkSession, store: StoreFiles, source: str, columns: ColumnConfig) -> DataFrame | None:
    """Return the table that a source names; None where it names no table.

    Parameters
    ----------
    source : str
        ``table:NAME``; the name of a table, where nothing is at that path; or the folder of a Delta table.
    columns : ColumnConfig
        What its columns are called; see `known_columns`.

    Raises
    ------
    AslsparkError
        Where there is no such table, or this session cannot read its format.
    """
    if source.startswith(PREFIX):
        return known_columns(_named(spark, source.removeprefix(PREFIX), source), columns, source)
    if _NAME.fullmatch(source) and not store.exists(source) and _is_in_catalog(spark, source):
        return known_columns(_named(spark, source, source), columns, source)
    if store.exists(f"{source}/{DELTA_LOG}"):
        return known_columns(_delta(spark, source), columns, source)
    if store.exists(f"{source}/{ICEBERG_METADATA}"):
        raise AslsparkError(f"{source}: it is an Iceberg table; give the name by which Spark's catalog knows it")
    return None


def _is_in_catalog(spark: SparkSession, name: str) -> bool:
    try:
        with doing("looking into Spark's catalog", spark=spark):  # a metastore's first answer takes long
            return spark.catalog.tableExists(name)
    except Exception:  # of a.b.c, where there is no catalog a: the error's class differs by Spark's version
        return False


def _named(spark: SparkSession, name: str, source: str) -> DataFrame:
    parts = _PART.findall(name)
    if not parts or ".".join(parts) != name:
        raise AslsparkError(f"{source}: give a name such as table:pictures or table:main.signs.pictures")
    try:
        table = spark.table(name)
        require_known_classes(spark, table, source, ".".join(f"`{part.strip('`')}`" for part in parts))
        table.columns  # noqa: B018  (Spark Connect looks for the table when it is asked for its columns)
    except AnalysisException as error:
        raise AslsparkError(
            f"{source}: there is no such table in Spark's catalog{_likely_meant(spark, parts)} ({first_line(error)})"
        ) from error
    return table


def nor_a_table(spark: SparkSession, name: str) -> str:
    """Say of a path that does not exist which table was probably meant, for the end of "it does not exist".

    Returns
    -------
    str
        Empty for what cannot be the name of a table, and for names of files.
    """
    if is_file_name(name) or not _NAME.fullmatch(name):
        return ""
    return f", and Spark's catalog has no such table{_likely_meant(spark, name.split('.'))}"


def _likely_meant(spark: SparkSession, parts: Sequence[str]) -> str:
    """Name the table that is nearest to one that is missing, or what there is; empty where the catalog does not say."""
    *schema, table = (part.strip("`") for part in parts)
    try:
        with doing("looking into Spark's catalog", spark=spark):
            return _nearest_table(spark, schema, table)
    except Exception:  # a catalog that is not there, or may not be listed: the error's class differs by Spark's version
        return ""


def _nearest_table(spark: SparkSession, schema: Sequence[str], table: str) -> str:
    catalog = "".join(f" IN `{part}`" for part in schema[:-1])
    schemas = [str(row[0]) for row in spark.sql(f"SHOW SCHEMAS{catalog}").collect()]
    if schema and schema[-1] not in schemas:
        return nearest(schema[-1], schemas) or f"; its schemas are {_first_of(schemas)}{_whose_catalog(spark, schema)}"
    inside = f" IN {'.'.join(f'`{part}`' for part in schema)}" if schema else ""
    tables = [str(row["tableName"]) for row in spark.sql(f"SHOW TABLES{inside}").collect()]
    near = nearest(table, tables)
    if near and schema:
        return near.replace("mean ", f"mean {'.'.join(schema)}.")
    where = schema[-1] if schema else str(spark.catalog.currentDatabase())
    return near or f"; {where} has {_first_of(tables) or 'no tables'}{_whose_catalog(spark, schema)}"


def _first_of(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(sorted(names)[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _whose_catalog(spark: SparkSession, schema: Sequence[str]) -> str:
    """Say that a session knows its own tables alone, where it was not told of a catalog."""
    if len(schema) > 1 or spark.conf.get("spark.sql.catalogImplementation", None) == "hive":
        return ""
    return "; this session sees its own tables alone, those of Hive with spark.sql.catalogImplementation=hive"


def _delta(spark: SparkSession, folder: str) -> DataFrame:
    try:
        table = spark.read.format("delta").load(folder)
        table.columns  # noqa: B018  (Spark Connect looks for the format when it is asked for the columns)
    except Exception as error:  # a missing data source is Java's error, of another class in each version of Spark
        raise AslsparkError(
            f"{folder}: it is a Delta table, whose files say little alone, and this session cannot read it "
            f"({first_line(error)}); start it with Delta Lake (--packages io.delta:delta-spark_2.13:VERSION)"
        ) from error
    return table


def known_columns(table: DataFrame, columns: ColumnConfig, source: str) -> DataFrame:
    """Give a table the columns by which pictures, labels, signers, splits and paths are known here.

    Parameters
    ----------
    columns : ColumnConfig
        What they are called in it. Pictures may be bytes (which become `content`), Hugging Face's struct<bytes, path>
        (`content` and `path`), Spark's image struct (`image`), or what a model reads (`picture`).
    source : str
        For errors.

    Raises
    ------
    AslsparkError
        Naming the setting whose column is missing.
    """
    for ours, theirs in vars(columns).items():
        if theirs and theirs not in table.columns:
            names = ", ".join(table.columns)
            raise AslsparkError(f"columns.{ours}={theirs}: {source} has no such column; it has {names}")
    for ours in ("label", "signer", "split", "path"):
        theirs = getattr(columns, ours)
        if theirs and theirs != ours:
            table = _renamed(table, theirs, ours)
    table = in_small_letters(table, but=columns.picture)
    theirs = columns.picture or _hugging_face(table)
    if theirs:
        table = _with_picture(table, theirs)
    types = {field.name: field.dataType for field in table.schema.fields}
    if not isinstance(types.get("content"), BinaryType):
        return table
    if "path" not in types:
        table = table.withColumn("path", F.sha2("content", 256))
    named = [name for name in ("label", "signer", "split") if name in types]
    return table.withColumns(
        {name: F.col(name).cast("string") for name in named if not isinstance(types[name], StringType)}
    )


def _hugging_face(table: DataFrame) -> str:
    """Return the column that holds pictures as Hugging Face's datasets do; empty where none does."""
    return next((field.name for field in table.schema.fields if _is_hugging_face(field.dataType)), "")


def _is_hugging_face(kind: object) -> bool:
    return isinstance(kind, StructType) and set(kind.names) == {"bytes", "path"}


def _with_picture(table: DataFrame, theirs: str) -> DataFrame:
    kind, values = table.schema[theirs].dataType, F.col(f"`{theirs}`")
    if _is_hugging_face(kind):
        content = values["bytes"]
        path = F.col("path") if "path" in table.columns else F.coalesce(values["path"], F.sha2(content, 256))
        others = [F.col(f"`{name}`") for name in table.columns if name not in (theirs, "content", "path")]
        return table.select(path.alias("path"), content.alias("content"), *others)
    ours = "content" if isinstance(kind, BinaryType) else "picture"
    if isinstance(kind, StructType) and "nChannels" in kind.names:
        ours = "image"
    return table if ours == theirs else _renamed(table, theirs, ours)


def _renamed(table: DataFrame, theirs: str, ours: str) -> DataFrame:
    """Rename a column, in place of one that has the name already."""
    # To Spark, Label is label: it would drop the column itself.
    others = table if theirs.lower() == ours.lower() else table.drop(ours)
    return others.withColumnRenamed(theirs, ours)

"""The sample table: its schema, which all stages after ingest read, and its files: Parquet partitioned by split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from aslspark.common.errors import AslsparkError
from aslspark.common.paths import mounted_as_spark
from aslspark.common.spark_session import is_connect
from aslspark.data.schema_classes import CLASS_OF_PYTHON, VECTOR_CLASSES, classes_in
from aslspark.images.decoding import RAW
from aslspark.images.hands.hand import HAND_FIELDS

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

PICTURE_TYPE = StructType(
    [
        StructField("height", IntegerType(), False),
        StructField("width", IntegerType(), False),
        StructField("channels", IntegerType(), False),
        StructField("data", BinaryType(), False),
        StructField("encoding", StringType(), True),
    ]
)
"""A picture, grey or RGB. `data` holds height x width x channels bytes, row by row, channels last, where `encoding` is
'raw', null or missing; where it is 'png' or 'jpeg', the bytes of a file of that size."""


def picture_struct(shape: tuple[int, int, int], pixels: Column, *fields: Column) -> Column:
    """Make a column of PICTURE_TYPE from one of raw pixels (binary); `fields` are further fields of the struct."""
    sizes = [F.lit(size).alias(name) for name, size in zip(("height", "width", "channels"), shape, strict=True)]
    return F.struct(*sizes, pixels.alias("data"), F.lit(RAW).alias("encoding"), *fields)


SAMPLE_SCHEMA = StructType(
    [
        StructField("id", StringType(), False),
        StructField("picture", PICTURE_TYPE, False),
        StructField("label", StringType(), False),
        StructField("source", StringType(), False),
        StructField("signer", StringType(), True),
        StructField("split", StringType(), False),
    ]
)
"""`id` is unique in the table and names the row's origin; `label` is one of `labels.LABELS`. Tables with pictures from
files have one more column, HASH_COLUMN."""

HASH_COLUMN = "hash"
"""The perceptual hash (long) of a picture from a file; see `data.pictures.near_duplicates`."""

HAND_COLUMN = "hand"
"""The hand of a picture (HAND_TYPE); in tables that were ingested with `hands.on`."""

_SPARK_TYPES = {"string": StringType(), "float": FloatType(), "array<float>": ArrayType(FloatType(), False)}
HAND_TYPE = StructType([StructField(name, _SPARK_TYPES[kind]) for name, kind in HAND_FIELDS.items()])
"""A hand, or none. `found`: the search step that found it ('plain', 'padded', ...); null without a hand, and then
all else is. `landmarks`: x, y, z of 21 points one after another, from the top left of the decoded picture before any
crop, as shares of its longer side. `world`: the same points in metres, from the hand's middle. `side`: 'left' or
'right'. `score`: of the side. `looks`: the 126 numbers of landmarks and world of each view of the hand, one after
another; after the first four views, those of the hand in a small copy of the picture (`hands.small_pixels`)."""


def with_hand(schema: StructType) -> StructType:
    """Add HAND_COLUMN to a schema."""
    return StructType([*schema.fields, StructField(HAND_COLUMN, HAND_TYPE, True)])


QUARANTINE_SCHEMA = StructType(
    [
        StructField("source", StringType(), False),
        StructField("row", LongType(), True),
        StructField("reason", StringType(), False),
        StructField("detail", StringType(), True),
    ]
)
"""Rows that cannot be used. `row`: its number among the data rows of the source, from 1. `detail`: what is wrong."""

LARGEST_ROW_GROUP = 8 << 20
"""Most bytes of pictures in a row group, so that readers need little memory."""

SAMPLES_FOLDER, QUARANTINE_FOLDER, REPORT_FILE = "samples", "quarantine", "ingest.json"


def sample_columns(samples: DataFrame) -> list[str]:
    """Return the columns of a sample table in order: those of SAMPLE_SCHEMA, and HAND_COLUMN where the table has it."""
    return [*SAMPLE_SCHEMA.names, *([HAND_COLUMN] if HAND_COLUMN in samples.columns else [])]


def read_parquet(spark: SparkSession, path: str) -> DataFrame:
    """Read Parquet from anywhere, and refuse columns of user-defined types.

    Spark stores its schema in the file: for a user-defined type the name of a Python class, perhaps with pickled code.
    When the columns are asked for, PySpark imports the class and, before 3.5.9, runs the code.

    Raises
    ------
    AslsparkError
        Naming the class.
    """
    table = spark.read.parquet(path)
    quoted = path.replace("`", "``")
    require_known_classes(spark, table, path, f"parquet.`{quoted}`")
    return table


def require_known_classes(spark: SparkSession, table: DataFrame, name: str, relation: str) -> None:
    """Refuse a table with columns of user-defined types, before anything asks for its columns.

    Parameters
    ----------
    name : str
        For the error.
    relation : str
        The same table in SQL.

    Raises
    ------
    AslsparkError
        Naming the class.
    """
    for kind in _classes_of(spark, table, relation):
        if kind not in VECTOR_CLASSES:
            raise AslsparkError(
                f"{name}: a column is of the type {kind[:100]}, whose code is not run; write it as a Vector, an "
                "array or bytes"
            )


def _classes_of(spark: SparkSession, table: DataFrame, relation: str) -> Iterator[str]:
    if not is_connect(spark):
        schema: Any = table._jdf.schema()
        return classes_in(json.loads(schema.json()))
    # The client would import the classes when it is told the schema; the server tells the kinds of columns as text.
    rows = spark.sql(f"DESCRIBE QUERY SELECT * FROM {relation}").collect()
    return (CLASS_OF_PYTHON for row in rows if CLASS_OF_PYTHON in row["data_type"])


def read_samples(spark: SparkSession, ingested: str, splits: Sequence[str] = SPLITS) -> DataFrame:
    """Read the sample table of an ingested folder.

    Parameters
    ----------
    ingested : str
        The folder that `ingest` wrote.
    splits : sequence of str
        Of 'train', 'validation' and 'test'; the others are not read from disk.

    Returns
    -------
    DataFrame
        The columns of `SAMPLE_SCHEMA`, and HAND_COLUMN where the table has it.
    """
    folder = f"{mounted_as_spark(ingested)}/{SAMPLES_FOLDER}"
    try:
        has_hands = HAND_COLUMN in read_parquet(spark, folder).columns
    except AnalysisException:  # no row was kept, so there is no file
        has_hands = False
    schema = with_hand(SAMPLE_SCHEMA) if has_hands else SAMPLE_SCHEMA
    samples = spark.read.schema(schema).parquet(folder)
    return samples.where(samples["split"].isin(list(splits)))


def write_divided(spark: SparkSession, samples: DataFrame, folder: str) -> dict[str, int]:
    """Write samples with new splits into a folder of their own.

    Returns
    -------
    dict of str to int
        The rows of each split.
    """
    # In a reproducible random order, so that every row group holds all labels.
    shuffled = samples.repartition("id").sortWithinPartitions("split", F.xxhash64("id"), "id")
    writer = shuffled.write.partitionBy("split").option("parquet.block.size", str(LARGEST_ROW_GROUP))
    writer.option("parquet.enable.dictionary#picture.data", "false").parquet(f"{folder}/{SAMPLES_FOLDER}")
    written = spark.read.parquet(f"{folder}/{SAMPLES_FOLDER}").groupBy("split").count().collect()
    return {split: 0 for split in SPLITS} | {row["split"]: row["count"] for row in written}


def hands_missing(table: str, column: str = HAND_COLUMN) -> AslsparkError:
    """Return the error for a table without hands, where the network takes landmarks."""
    return AslsparkError(
        f"{table}: there is no column {column}, and the network takes landmarks; ingest pictures in files with "
        "hands.on=true, or choose a network.name that takes pictures alone"
    )


def pictures_of(samples: DataFrame, ids: Sequence[str]) -> dict[str, Row]:
    """Collect the pictures of rows by their ids."""
    rows = samples.where(F.col("id").isin(list(ids))).select("id", "picture").collect()
    return {row["id"]: row["picture"] for row in rows}

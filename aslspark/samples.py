"""The sample table: the one row format between ingest and everything after it.

In: rows made by `aslspark.sources`. Out: the same rows, from Parquet, partitioned by split.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BinaryType, IntegerType, LongType, StringType, StructField, StructType

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

PICTURE_TYPE = StructType(
    [
        StructField("height", IntegerType(), False),
        StructField("width", IntegerType(), False),
        StructField("channels", IntegerType(), False),
        StructField("data", BinaryType(), False),
    ]
)
"""A picture: `data` holds height x width x channels unsigned bytes, row by row, channels last (grey or RGB)."""

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
"""`id` is unique in the table and says where the row came from; `label` is a letter, 'A' to 'Y'."""

QUARANTINE_SCHEMA = StructType(
    [
        StructField("source", StringType(), False),
        StructField("row", LongType(), True),
        StructField("reason", StringType(), False),
        StructField("detail", StringType(), True),
    ]
)
"""What could not be used: `row` counts the data rows of its source from 1; `detail` quotes the trouble."""

SAMPLES_FOLDER, QUARANTINE_FOLDER, REPORT_FILE = "samples", "quarantine", "ingest.json"


def read_samples(spark: SparkSession, ingested: str, splits: Sequence[str] = SPLITS) -> DataFrame:
    """Read the sample table of an ingested folder.

    Parameters
    ----------
    spark : SparkSession
    ingested : str
        The folder that `ingest` wrote.
    splits : sequence of str
        Which of 'train', 'validation' and 'test' to keep; the others are not read from disk.

    Returns
    -------
    DataFrame
        With the columns of `SAMPLE_SCHEMA`.
    """
    samples = spark.read.schema(SAMPLE_SCHEMA).parquet(f"{ingested}/{SAMPLES_FOLDER}")
    return samples.where(samples["split"].isin(list(splits)))

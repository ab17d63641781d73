"""A session -> what lists and opens its files."""

from __future__ import annotations

from pyspark.sql import SparkSession

from aslspark.data.files.hadoop_files import HadoopFiles
from aslspark.data.files.store_files import StoreFiles


def open_store(spark: SparkSession) -> StoreFiles:
    """Return the operations on files of a session's stores."""
    return HadoopFiles(spark)

"""A session -> what lists and opens its files."""

from __future__ import annotations

from pyspark.sql import SparkSession

from aslspark.common.spark_session import is_connect
from aslspark.data.files.arrow_files import ArrowFiles
from aslspark.data.files.store_files import StoreFiles


def open_store(spark: SparkSession) -> StoreFiles:
    """Return the operations on files of a session's stores."""
    if is_connect(spark):
        return ArrowFiles()
    from aslspark.data.files.hadoop_files import HadoopFiles  # asks for py4j, which a client of Spark Connect may lack

    return HadoopFiles(spark)

"""Ingest of pixel tables: against Spark's own CSV scan with a schema, and against the notebook's way.

python benchmarks/bench_ingest.py [--runs 3] [--rows 27455] [--data CSV ...]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from base import compare, options, pixel_table, write
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession
from pyspark.sql.types import IntegerType, StructField, StructType

from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.tables.pixel_layout import COLUMNS


def main() -> None:
    """Measure and write the results."""
    chosen = options("Ingest speed of pixel tables.", rows=27_455)
    rows = chosen.rows
    schema = StructType([StructField(name, IntegerType()) for name in COLUMNS])
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_ingest") as spark:
        folder = Path(name)
        path = pixel_table(rows, chosen.data, folder)

        def ours() -> float:
            started = time.perf_counter()
            ingest_sources(spark, [path], tempfile.mkdtemp(dir=folder) + "/out")
            return rows / (time.perf_counter() - started)

        lines = [
            compare(
                f"ingest of {rows:,} rows, to Parquet",
                "Spark's CSV scan with a schema, to nowhere",
                "rows/s",
                ours,
                lambda: rows / scan(spark, path, schema),
                aim="0.8 or more",
                runs=chosen.runs,
            ),
            compare(
                f"ingest of {rows:,} rows, to Parquet",
                "the notebook's way: inferSchema, / 255, VectorAssembler, to Parquet",
                "rows/s",
                ours,
                lambda: rows / notebook(spark, path, tempfile.mkdtemp(dir=folder) + "/out"),
                aim="3 or more",
                runs=1,
                warm_up=0,
            ),
        ]
    notes = [
        "ingest reads the text twice (the independent count, and the parse), writes, and counts the rows of the files",
        "the scan writes nothing",
    ]
    write(f"ingest{chosen.size}", lines, notes)


def scan(spark: SparkSession, path: str, schema: StructType) -> float:
    """Read every value of the table and return the seconds."""
    started = time.perf_counter()
    spark.read.csv(path, header=True, schema=schema).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - started


def notebook(spark: SparkSession, path: str, out: str) -> float:
    """Do what the notebook did up to the table it trained on, and return the seconds."""
    started = time.perf_counter()
    table = spark.read.csv(path, header=True, inferSchema=True)
    scaled = table.select("label", *((table[name] / 255).alias(name) for name in COLUMNS[1:]))
    assembled = VectorAssembler(inputCols=list(COLUMNS[1:]), outputCol="scaled_features").transform(scaled)
    assembled.select("label", "scaled_features").write.parquet(out)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

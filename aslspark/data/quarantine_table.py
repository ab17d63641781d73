"""Rows that cannot be used -> the quarantine as a table of its own, and its counts for the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import chain, count

import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from pyspark.sql import Row, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from aslspark.data.files.store_files import StoreFiles
from aslspark.data.pictures.reading import QuarantineRow
from aslspark.data.samples import QUARANTINE_FOLDER, QUARANTINE_SCHEMA, SAMPLE_SCHEMA, SAMPLES_FOLDER
from aslspark.data.tables.labelled_tables import QUARANTINE

EXAMPLES = 3
"""Rows of a source for one reason that the report names."""


def move_quarantine(spark: SparkSession, store: StoreFiles, folder: str) -> list[Row]:
    """Move the quarantine that is packed among samples to a table of its own, in file order.

    Returns
    -------
    list of Row
        source, reason, rows, and first: the first rows as (row, detail).
    """
    packed_folder = f"{folder}/{SAMPLES_FOLDER}/split={QUARANTINE}"
    table_folder = f"{folder}/{QUARANTINE_FOLDER}"
    if not store.exists(packed_folder):
        return write_quarantine(store, folder, [])  # common, and not worth a Spark job
    packed = spark.read.schema(SAMPLE_SCHEMA).parquet(packed_folder)
    table = packed.select(
        "source",
        F.when(F.col("id") != "", F.col("id").cast("long")).alias("row"),
        F.col("label").alias("reason"),
        F.col("signer").alias("detail"),
    )
    table.coalesce(1).sortWithinPartitions("source", "row", "detail").write.parquet(table_folder)
    store.delete(packed_folder)
    of_group = Window.partitionBy("source", "reason").orderBy("row", "detail")
    rows = spark.read.schema(QUARANTINE_SCHEMA).parquet(table_folder).withColumn("n", F.row_number().over(of_group))
    first = F.sort_array(F.collect_list(F.when(F.col("n") <= EXAMPLES, F.struct("row", "detail")))).alias("first")
    return rows.groupBy("source", "reason").agg(F.count("*").alias("rows"), first).collect()


def write_quarantine(store: StoreFiles, folder: str, given: Sequence[QuarantineRow]) -> list[Row]:
    """Write the quarantine from rows that the driver has; see `move_quarantine`."""
    rows = sorted(given, key=lambda row: (row.source, row.row is not None, row.row or 0, row.detail))
    schema = to_arrow_schema(QUARANTINE_SCHEMA)
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema)
    file = io.BytesIO()
    parquet.write_table(table, file)
    store.write(f"{folder}/{QUARANTINE_FOLDER}/part-00000.parquet", file.getvalue())
    groups: dict[tuple[str, str], list[tuple[int | None, str]]] = {}
    for row in rows:
        groups.setdefault((row.source, row.reason), []).append((row.row, row.detail))
    return [
        Row(source=source, reason=reason, rows=len(of_group), first=of_group[:EXAMPLES])
        for (source, reason), of_group in groups.items()
    ]


def leave_quarantine(store: StoreFiles, folder: str, beside: str) -> str:
    """Keep the quarantine of an ingest that comes to nothing, as `beside.quarantine`; return its path."""
    place = f"{beside.rstrip('/')}.quarantine"
    places = chain([place], (f"{place}-{number}" for number in count(2)))
    place = next(path for path in places if not store.exists(path))
    store.move(f"{folder}/{QUARANTINE_FOLDER}", place)
    return store.local(place) or place


def quarantined_lines(lines: pd.DataFrame) -> list[QuarantineRow]:
    """Make rows for the quarantine from the lines of `written_in_tasks` about those that are to go there."""
    quarantined = lines[lines["split"] == QUARANTINE]
    return [
        QuarantineRow(source, reason, detail, int(number) if number else None)
        for source, reason, detail, number in quarantined[["source", "label", "signer", "id"]].itertuples(index=False)
    ]

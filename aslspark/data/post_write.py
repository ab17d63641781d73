"""Written samples -> the same without missing pictures and unwanted near duplicates, which go to the quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from aslspark.data.discover_sources import OpenedSources
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.pictures.near_duplicates import SHEET, NearDuplicates, draw_sheet, find_near_duplicates
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import HASHED_SCHEMA, missed, packed_for_quarantine
from aslspark.data.samples import HAND_COLUMN, HASH_COLUMN, SAMPLES_FOLDER, SPLITS, TEST, with_hand
from aslspark.data.tables.labelled_tables import QUARANTINE

NEAR_DUPLICATE = "near-twin of a test picture"


def finish_pictures(
    spark: SparkSession,
    store: StoreFiles,
    folder: str,
    opened: OpenedSources,
    options: PictureOptions,
    written_with: Mapping[str, str],
) -> NearDuplicates:
    """Quarantine pictures that were not read, count near duplicates, draw the closest, and drop them where asked.

    Parameters
    ----------
    folder : str
        With the samples; quarantined rows are still packed among them.
    written_with : mapping of str to str
        Options of the Parquet writer.
    """
    table = f"{folder}/{SAMPLES_FOLDER}"
    _quarantine_missed(spark, table, opened)
    near, duplicates = find_near_duplicates(_rows(spark, table), options.near_bits)
    if near.closest:
        store.write(f"{folder}/{SHEET}", draw_sheet(spark, folder, near))
    if options.drop_near_duplicates and len(duplicates):
        _drop(spark, store, folder, duplicates, written_with)
        near = replace(near, dropped=len(duplicates))
    return near


def _rows(spark: SparkSession, table: str) -> DataFrame:
    """Read all rows, kept and quarantined, without the pictures."""
    rows = spark.read.schema(HASHED_SCHEMA).parquet(table)
    return rows.select("id", "source", "signer", "split", HASH_COLUMN)


def _quarantine_missed(spark: SparkSession, table: str, opened: OpenedSources) -> None:
    rows = _rows(spark, table).where(F.col("source").isin(*opened.pictures))
    rows_of = {row["source"]: row["count"] for row in rows.groupBy("source").count().collect()}
    for name, source in opened.pictures.items():
        if source.lost is None or rows_of.get(name, 0) == len(source.pictures):
            continue
        of_source = rows.where(F.col("source") == name).select("id", "signer", "split").toPandas()
        quarantined = of_source["split"] == QUARANTINE
        lost = missed(source, set(of_source.loc[~quarantined, "id"]), of_source.loc[quarantined, "signer"])
        reason, detail = source.lost
        packed = packed_for_quarantine(
            spark, name, [picture._replace(reason=reason, detail=detail) for picture in lost]
        )
        packed.write.mode("append").partitionBy("split").parquet(table)


def _drop(
    spark: SparkSession, store: StoreFiles, folder: str, duplicates: pd.DataFrame, written_with: Mapping[str, str]
) -> None:
    """Move near duplicates to the quarantine; the test pictures stay, so that results remain comparable."""
    table = f"{folder}/{SAMPLES_FOLDER}"
    dropped = F.broadcast(spark.createDataFrame(duplicates, "id string, test string, bits int"))
    packed = (
        _rows(spark, table)
        .join(dropped, "id")
        .select(
            F.lit("").alias("id"),
            F.lit(NEAR_DUPLICATE).alias("label"),
            "source",
            # Without the source's name at the start of the id: the quarantine has it in a column.
            F.expr("concat(substring(id, length(source) + 2), ': ', bits, ' bits from ', test)").alias("signer"),
            F.lit(QUARANTINE).alias("split"),
            F.lit(None).cast("long").alias(HASH_COLUMN),
        )
    )
    # Collected first: the files that it reads are replaced below.
    quarantined = packed.toPandas()
    columns = spark.read.parquet(f"{table}").columns
    whole = with_hand(HASHED_SCHEMA) if HAND_COLUMN in columns else HASHED_SCHEMA
    inside = StructType([field for field in whole if field.name != "split"])
    for split in SPLITS:
        part = f"{table}/split={split}"
        if split != TEST and store.exists(part):
            kept = spark.read.schema(inside).parquet(part).join(dropped, "id", "left_anti").select(*inside.names)
            kept.write.options(**written_with).parquet(f"{folder}/kept-{split}")
            store.delete(part)
            store.move(f"{folder}/kept-{split}", part)
    schema = StructType([field for field in HASHED_SCHEMA if field.name != "picture"])
    values: Any = quarantined.astype(object)
    table_rows = spark.createDataFrame(values.where(quarantined.notna(), None), schema)
    picture = F.lit(None).cast(HASHED_SCHEMA["picture"].dataType).alias("picture")
    table_rows.select("id", picture, *schema.names[1:]).write.mode("append").partitionBy("split").parquet(table)

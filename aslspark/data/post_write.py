"""What is left to do when the pictures are written: those that were missed, and near-twins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from aslspark.data.discover_sources import OpenedSources
from aslspark.data.files.hadoop_files import HadoopFiles
from aslspark.data.pictures.near_duplicates import SHEET, NearDuplicates, draw_sheet, find_near_duplicates
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import HASHED_SCHEMA, missed, packed_for_quarantine
from aslspark.data.samples import HAND_COLUMN, HASH_COLUMN, SAMPLES_FOLDER, SPLITS, TEST, with_hand
from aslspark.data.tables.labelled_tables import QUARANTINE

NEAR_TWIN = "near-twin of a test picture"


def finish_pictures(
    spark: SparkSession,
    hadoop: HadoopFiles,
    folder: str,
    opened: OpenedSources,
    options: PictureOptions,
    written_with: Mapping[str, str],
) -> NearDuplicates:
    """Quarantine pictures that did not come through, count near-twins, draw the closest, drop them where asked.

    Parameters
    ----------
    spark : SparkSession
    hadoop : HadoopFiles
    folder : str
        With the samples written, and what is quarantined still packed among them.
    opened : OpenedSources
    options : PictureOptions
    written_with : mapping of str to str
        Options of the Parquet writer.
    """
    table = f"{folder}/{SAMPLES_FOLDER}"
    _quarantine_missed(spark, table, opened)
    near, twins = find_near_duplicates(spark, _rows(spark, table), options.near_bits)
    if near.closest:
        hadoop.write(f"{folder}/{SHEET}", draw_sheet(spark, folder, near))
    if options.drop_near_duplicates and len(twins):
        _drop(spark, hadoop, folder, twins, written_with)
        near = replace(near, dropped=len(twins))
    return near


def _rows(spark: SparkSession, table: str) -> DataFrame:
    """Read all rows, kept and quarantined, without their pictures."""
    rows = spark.read.schema(HASHED_SCHEMA).parquet(table)
    return rows.select("id", "source", "signer", "split", HASH_COLUMN)


def _quarantine_missed(spark: SparkSession, table: str, opened: OpenedSources) -> None:
    rows = _rows(spark, table).where(F.col("source").isin(*opened.pictures))
    came_out = {row["source"]: row["count"] for row in rows.groupBy("source").count().collect()}
    for name, source in opened.pictures.items():
        if source.lost is None or came_out.get(name, 0) == len(source.pictures):
            continue
        mine = rows.where(F.col("source") == name).select("id", "signer", "split").toPandas()
        quarantined = mine["split"] == QUARANTINE
        left = missed(source, set(mine.loc[~quarantined, "id"]), mine.loc[quarantined, "signer"])
        reason, detail = source.lost
        packed = packed_for_quarantine(
            spark, name, [picture._replace(reason=reason, detail=detail) for picture in left]
        )
        packed.write.mode("append").partitionBy("split").parquet(table)


def _drop(
    spark: SparkSession, hadoop: HadoopFiles, folder: str, twins: pd.DataFrame, written_with: Mapping[str, str]
) -> None:
    """Move near-twins to the quarantine; the test pictures stay, so that the question asked stays the same."""
    table = f"{folder}/{SAMPLES_FOLDER}"
    dropped = F.broadcast(spark.createDataFrame(twins, "id string, test string, bits int"))
    packed = (
        _rows(spark, table)
        .join(dropped, "id")
        .select(
            F.lit("").alias("id"),
            F.lit(NEAR_TWIN).alias("label"),
            "source",
            # The id begins with the source's name, which the quarantine has in a column of its own.
            F.expr("concat(substring(id, length(source) + 2), ': ', bits, ' bits from ', test)").alias("signer"),
            F.lit(QUARANTINE).alias("split"),
            F.lit(None).cast("long").alias(HASH_COLUMN),
        )
    )
    # Held here: its own files are about to be written again.
    held = packed.toPandas()
    there = spark.read.parquet(f"{table}").columns
    whole = with_hand(HASHED_SCHEMA) if HAND_COLUMN in there else HASHED_SCHEMA
    inside = StructType([field for field in whole if field.name != "split"])
    for split in SPLITS:
        part = f"{table}/split={split}"
        if split != TEST and hadoop.exists(part):
            kept = spark.read.schema(inside).parquet(part).join(dropped, "id", "left_anti").select(*inside.names)
            kept.write.options(**written_with).parquet(f"{folder}/kept-{split}")
            hadoop.delete(part)
            hadoop.move(f"{folder}/kept-{split}", part)
    schema = StructType([field for field in HASHED_SCHEMA if field.name != "picture"])
    again = spark.createDataFrame(held.astype(object).where(held.notna(), None), schema)
    picture = F.lit(None).cast(HASHED_SCHEMA["picture"].dataType).alias("picture")
    again.select("id", picture, *schema.names[1:]).write.mode("append").partitionBy("split").parquet(table)

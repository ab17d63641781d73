"""Written samples -> the same without missing pictures and unwanted near duplicates, which go to the quarantine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from aslspark.data.discover_sources import OpenedSources
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.pictures.near_duplicates import SHEET, NearDuplicates, draw_sheet, find_near_duplicates
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import (
    HASHED_SCHEMA,
    QuarantineRow,
    missed,
    rows_for_quarantine,
)
from aslspark.data.samples import HAND_COLUMN, HASH_COLUMN, SAMPLES_FOLDER, SPLITS, TEST, pictures_of, with_hand
from aslspark.data.tables.labelled_tables import QUARANTINE

NEAR_DUPLICATE = "near-twin of a test picture"

PicturesOf = Callable[[set[str]], Mapping[str, Mapping[str, Any] | Row]]


def picture_lines(spark: SparkSession, folder: str, opened: OpenedSources) -> pd.DataFrame:
    """Read back a line about each row of the sources of pictures, kept and quarantined.

    Parameters
    ----------
    folder : str
        With the samples; quarantined rows are still packed among them.

    Returns
    -------
    DataFrame
        id, source, signer, split (strings), hash (int; of a quarantined row 0).
    """
    rows = spark.read.schema(HASHED_SCHEMA).parquet(f"{folder}/{SAMPLES_FOLDER}")
    # Samples in memory may name the same source; they have no hash, and 0 would be alike in all of them.
    of_files = F.col(HASH_COLUMN).isNotNull() | (F.col("split") == QUARANTINE)
    of_pictures = rows.where(F.col("source").isin(*opened.pictures) & of_files)
    # A column with nulls would come as floats, which have too few bits.
    hash_or_0 = F.coalesce(HASH_COLUMN, F.lit(0)).alias(HASH_COLUMN)
    return of_pictures.select("id", "source", "signer", "split", hash_or_0).toPandas()


def pictures_by_spark(spark: SparkSession, folder: str, ids: set[str]) -> dict[str, Row]:
    """Read some of the pictures that Spark wrote, by their ids."""
    rows = spark.read.schema(HASHED_SCHEMA).parquet(f"{folder}/{SAMPLES_FOLDER}")
    return pictures_of(rows, list(ids))


def missing_pictures(lines: pd.DataFrame, opened: OpenedSources) -> list[QuarantineRow]:
    """Make the rows for the quarantine of pictures that were not read.

    Parameters
    ----------
    lines : DataFrame
        As from `picture_lines`; lines about pictures of which it was known beforehand may be missing.
    """
    found: list[QuarantineRow] = []
    for name, source in opened.pictures.items():
        if source.lost is None:
            continue
        of_source = lines[lines["source"] == name]
        quarantined = of_source["split"] == QUARANTINE
        lost = missed(source, set(of_source.loc[~quarantined, "id"]), of_source.loc[quarantined, "signer"])
        reason, detail = source.lost
        found += rows_for_quarantine(name, (picture._replace(reason=reason, detail=detail) for picture in lost))
    return found


def near_duplicates(
    spark: SparkSession,
    store: StoreFiles,
    folder: str,
    lines: pd.DataFrame,
    read_pictures: PicturesOf,
    options: PictureOptions,
    written_with: Mapping[str, str],
) -> tuple[NearDuplicates, pd.DataFrame]:
    """Count near duplicates, draw the closest, and drop them where asked.

    Parameters
    ----------
    lines : DataFrame
        As from `picture_lines`.
    read_pictures : callable
        Reads some of the pictures that were written, by their ids.
    written_with : mapping of str to str
        Options of Spark's Parquet writer.

    Returns
    -------
    NearDuplicates
    DataFrame
        Those that were dropped: id, test, bits, source.
    """
    near, duplicates = find_near_duplicates(spark, lines[lines["split"] != QUARANTINE], options.near_bits)
    if near.closest:
        store.write(f"{folder}/{SHEET}", draw_sheet(near, read_pictures(near.drawn)))
    dropped = duplicates.merge(lines[["id", "source"]], "left", "id")
    if dropped.empty or not options.drop_near_duplicates:
        return near, dropped.iloc[:0]
    _drop(spark, store, folder, dropped, written_with)
    return replace(near, dropped=len(dropped)), dropped


def dropped_for_quarantine(dropped: pd.DataFrame) -> list[QuarantineRow]:
    """Make the rows for the quarantine of near duplicates that were dropped."""
    return [
        # Without the source's name at the start of the id: the quarantine has it in a column.
        QuarantineRow(source, NEAR_DUPLICATE, f"{name[len(source) + 1 :]}: {bits} bits from {test}")
        for name, test, bits, source in dropped[["id", "test", "bits", "source"]].itertuples(index=False)
    ]


def append_to_quarantine(spark: SparkSession, folder: str, given: list[QuarantineRow]) -> None:
    """Pack rows for the quarantine among samples that Spark wrote."""
    if given:
        rows: DataFrame = spark.createDataFrame([row.packed for row in given], HASHED_SCHEMA)
        rows.write.mode("append").partitionBy("split").parquet(f"{folder}/{SAMPLES_FOLDER}")


def _drop(
    spark: SparkSession, store: StoreFiles, folder: str, duplicates: pd.DataFrame, written_with: Mapping[str, str]
) -> None:
    """Remove near duplicates from the samples; the test pictures stay, so that results remain comparable."""
    table = f"{folder}/{SAMPLES_FOLDER}"
    dropped = F.broadcast(spark.createDataFrame(duplicates[["id"]], "id string"))
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

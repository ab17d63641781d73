"""Written samples -> counts of their hands by source and search step, and a sheet that shows some."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.data.discover_sources import OpenedSources
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.ingest_report import HandsFound
from aslspark.data.pictures.hand_sheet import SHEET, draw_hands
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import HAND_COLUMN, read_samples
from aslspark.images.hands.search_squares import SEARCH_STEPS


def finish_hands(
    spark: SparkSession,
    store: StoreFiles,
    folder: str,
    opened: OpenedSources,
    options: PictureOptions,
    unpacked: str,
) -> dict[str, HandsFound]:
    """Count the hands of the sources of picture files, and draw the sheet.

    Parameters
    ----------
    folder : str
        With the samples.
    unpacked : str
        The folder that `assign_splits.all_samples` unpacked zips into.
    """
    if not opened.pictures or options.hands is None:
        return {}
    samples = read_samples(spark, folder)
    scratch = {name: f"{unpacked}/{number}" for number, name in enumerate(opened.pictures)}
    if sheet := draw_hands(samples, opened.pictures, scratch, options.form, options.hands.options):
        store.write(f"{folder}/{SHEET}", sheet)
    return count_hands(samples, list(opened.pictures))


def count_hands(samples: DataFrame, sources: Sequence[str]) -> dict[str, HandsFound]:
    """Count the hands of sources.

    Parameters
    ----------
    samples : DataFrame
        source (string), hand (HAND_TYPE).
    sources : sequence of str
        Those of picture files.

    Returns
    -------
    dict of str to HandsFound
        For each source with samples.
    """
    hand = F.col(HAND_COLUMN)
    of_sources = samples.where(F.col("source").isin(*sources))
    groups = of_sources.groupBy("source", hand["found"].alias("found"))
    pictures: dict[str, int] = {}
    found: dict[str, dict[str, int]] = {}
    for row in groups.agg(F.count("*").alias("rows")).collect():
        source = row["source"]
        pictures[source] = pictures.get(source, 0) + row["rows"]
        if row["found"] is not None:
            found.setdefault(source, {})[row["found"]] = row["rows"]
    return {
        source: HandsFound(
            pictures[source],
            {name: found[source][name] for name in SEARCH_STEPS if name in found.get(source, {})},
        )
        for source in sorted(pictures)
    }

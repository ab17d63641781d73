"""Planned rows and tables in memory -> samples and quarantine on disk, with the counts that these have.

Tasks write the samples themselves where driver and tasks see one folder, and everything else is known beforehand; else
Spark does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from aslspark.common.progress import doing
from aslspark.data.assign_splits import all_samples, known_unusable, planned_rows
from aslspark.data.discover_sources import OpenedSources
from aslspark.data.exact_duplicates import ExactDuplicates, common_encoding, count_exact_duplicates, duplicates_in_lines
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.first_pass import FirstPass
from aslspark.data.pictures.near_duplicates import NearDuplicates
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import UnreadRows
from aslspark.data.post_write import (
    append_to_quarantine,
    dropped_for_quarantine,
    missing_pictures,
    near_duplicates,
    picture_lines,
    pictures_by_spark,
)
from aslspark.data.quarantine_table import move_quarantine, quarantined_lines, write_quarantine
from aslspark.data.samples import LARGEST_ROW_GROUP, SAMPLES_FOLDER, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.data.tables.labelled_tables import QUARANTINE
from aslspark.data.written_in_tasks import DIGEST, read_pictures, write_in_tasks
from aslspark.images.decoding import RAW

# Row groups of small tables are smaller than `LARGEST_ROW_GROUP`, so that there is one for each of several readers, but
# not below these bytes of pictures.
SMALLEST_ROW_GROUP, LEAST_ROW_GROUPS = 256 << 10, 8

UNPACKED_FOLDER = "unpacked"
"""Has the unpacked pictures of zips during the ingest."""

MOST_LINES = 2_000_000
"""Rows of which each may send the driver a line of 170 bytes, which becomes 0.43 KB of its Python: Spark's driver has
a GB where nobody has set `spark.driver.memory`."""


@dataclass(frozen=True)
class Written:
    """What was written: counts as the tables on disk have them."""

    kept: list[Row]
    """Rows by split, source and label."""
    quarantined: list[Row]
    """Rows by source and reason."""
    near: NearDuplicates | None
    duplicates: ExactDuplicates | None
    seconds: float
    """Of decoding and writing the samples."""


def write_samples(
    spark: SparkSession,
    store: StoreFiles,
    folder: str,
    opened: OpenedSources,
    first: FirstPass,
    options: SplitOptions,
    picture_options: PictureOptions,
) -> Written:
    """Write samples and quarantine, and look for duplicates."""
    planned = planned_rows(spark, opened, first, options, picture_options, f"{folder}/{UNPACKED_FOLDER}")
    local = store.local(f"{folder}/{SAMPLES_FOLDER}")
    is_split = options.kind != "random" or not opened.pixel_names
    if local is not None and is_split and not opened.sample_frames and first.rows <= MOST_LINES:
        return _write_in_tasks(spark, store, folder, local, planned, opened, first, options, picture_options)
    samples = all_samples(spark, opened, first, options, picture_options, planned)
    # Kept and quarantined rows are written in one pass, as partitions of one table. The quarantine, which has no
    # pictures and is mostly tiny, is then written again in its own columns.
    writer_options = _writer_options(first, options)
    started = time.monotonic()
    what, unit = _work(opened, picture_options)
    with doing(what, rows=first.rows, unit=unit):
        samples.write.partitionBy("split").options(**writer_options).parquet(f"{folder}/{SAMPLES_FOLDER}")
    seconds = time.monotonic() - started
    near = None
    if opened.pictures:
        with doing("looking for near duplicates"):
            lines = picture_lines(spark, folder, opened)
            missing = missing_pictures(lines, opened)
            pictures_of = partial(pictures_by_spark, spark, folder)
            near, dropped = near_duplicates(spark, store, folder, lines, pictures_of, picture_options, writer_options)
            append_to_quarantine(spark, folder, missing + dropped_for_quarantine(dropped))
    with doing("counting what was kept, and looking for duplicates"):
        quarantined = move_quarantine(spark, store, folder)
        kept = _count_samples(spark, folder)
        has_several_splits = len({row["split"] for row in kept}) > 1
        encodings = _encodings(opened, picture_options)
        duplicates = count_exact_duplicates(read_samples(spark, folder), encodings) if has_several_splits else None
    return Written(kept, quarantined, near, duplicates, seconds)


def _write_in_tasks(
    spark: SparkSession,
    store: StoreFiles,
    folder: str,
    local: str,
    planned: Sequence[UnreadRows],
    opened: OpenedSources,
    first: FirstPass,
    options: SplitOptions,
    picture_options: PictureOptions,
) -> Written:
    """Do what `write_samples` does where tasks can write the samples themselves: Spark then runs a single job."""
    started = time.monotonic()
    what, unit = _work(opened, picture_options)
    with doing(what, rows=first.rows, unit=unit):
        lines = write_in_tasks(planned, local, _row_group_bytes(first, options), LARGEST_ROW_GROUP)
    seconds = time.monotonic() - started
    unusable = [*known_unusable(opened), *quarantined_lines(lines)]
    near, kept = None, lines[lines["split"] != QUARANTINE]
    if opened.pictures:
        with doing("looking for near duplicates"):
            of_pictures = lines[lines["source"].isin(list(opened.pictures))]
            unusable += missing_pictures(of_pictures, opened)
            near, dropped = near_duplicates(
                spark,
                store,
                folder,
                of_pictures,
                partial(read_pictures, local, lines),
                picture_options,
                _writer_options(first, options),
            )
            unusable += dropped_for_quarantine(dropped)
            kept = kept[~kept["id"].isin(dropped["id"])]
    quarantined = write_quarantine(store, folder, unusable)
    groups = Counter(zip(kept["split"], kept["source"], kept["label"], strict=True))
    counts = [
        Row(split=split, source=source, label=label, rows=rows) for (split, source, label), rows in groups.items()
    ]
    duplicates = None
    if kept["split"].nunique() > 1:
        encodings = _encodings(opened, picture_options)
        if common_encoding(encodings) is None:
            duplicates = duplicates_in_lines(kept, DIGEST)
        else:  # the digests are of other bytes where the pictures are the same
            with doing("looking for duplicates"):
                duplicates = count_exact_duplicates(read_samples(spark, folder), encodings)
    return Written(counts, quarantined, near, duplicates, seconds)


def _writer_options(first: FirstPass, options: SplitOptions) -> dict[str, str]:
    """Return the options of Spark's Parquet writer."""
    return {
        "parquet.block.size": str(_row_group_bytes(first, options)),
        # Pictures hardly ever repeat, so that a search for repetitions only costs time.
        "parquet.enable.dictionary#picture.data": "false",
        "parquet.enable.dictionary#hand.landmarks.list.element": "false",
        "parquet.enable.dictionary#hand.world.list.element": "false",
    }


def _encodings(opened: OpenedSources, options: PictureOptions) -> set[str]:
    """Return the encodings that pictures are stored in."""
    others = opened.pixel_names or opened.sample_frames
    return {*([options.store] if opened.pictures else []), *([RAW] if others else [])}


def _work(opened: OpenedSources, options: PictureOptions) -> tuple[str, str]:
    """Return what is done, in words, and what is counted."""
    if not opened.pictures:
        return "reading rows", "rows"
    has_tables = bool(opened.pixel_names or opened.sample_frames)
    what = "reading rows and pictures" if has_tables else "reading pictures"
    return f"{what}, and finding hands in them" if options.hands else what, "rows" if has_tables else "pictures"


def _row_group_bytes(first: FirstPass, options: SplitOptions) -> int:
    smallest_split = min((share for share in (options.validation, options.test) if share > 0), default=1.0)
    target = int(first.picture_bytes * smallest_split / LEAST_ROW_GROUPS)
    return max(SMALLEST_ROW_GROUP, min(target, LARGEST_ROW_GROUP))


def _count_samples(spark: SparkSession, folder: str) -> list[Row]:
    """Count the samples on disk by split, source and label."""
    samples = read_samples(spark, folder).groupBy("split", "source", "label")
    return samples.agg(F.count("*").alias("rows")).collect()

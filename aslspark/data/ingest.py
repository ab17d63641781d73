"""Sources -> one sample table and one quarantine table; every row is in one of them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import mounted_as_spark
from aslspark.common.progress import doing
from aslspark.common.report_page import PAGE
from aslspark.common.settings import ColumnConfig
from aslspark.common.spark_session import parallelism, settings
from aslspark.data.assign_splits import list_samples, quarantine_without_signer, shared_signers
from aslspark.data.catalog_tables import PREFIX, nor_a_table, table_of
from aslspark.data.counted_report import counted_report
from aslspark.data.discover_sources import NamedTable, OpenedSources, open_sources
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.files.stores import open_store
from aslspark.data.first_pass import FirstPass, count_sources
from aslspark.data.ingest_page import ingest_page
from aslspark.data.ingest_report import IngestReport
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import packing
from aslspark.data.post_write_hands import finish_hands
from aslspark.data.quarantine_table import leave_quarantine
from aslspark.data.samples import REPORT_FILE, SPLITS, TEST, VALIDATION
from aslspark.data.split_preview import Needs, previewed_missing_labels, require_trainable
from aslspark.data.splits import SplitOptions
from aslspark.data.tables.labelled_tables import CHANGED
from aslspark.data.write_samples import UNPACKED_FOLDER, write_samples

log = logging.getLogger("aslspark")

LINES_FOLDER = "lines"
"""Has the lines of pixel tables in memory during the ingest."""

# Arrow batches of about 6 MB of text, so that parsing bad rows again takes little memory.
LINES_IN_BATCH = 2000


def ingest_sources(
    spark: SparkSession,
    sources: Sequence[str | DataFrame],
    out: str,
    *,
    test_sources: Sequence[str | DataFrame] = (),
    split: SplitOptions | None = None,
    pictures: PictureOptions | None = None,
    needs: Needs | None = None,
    columns: ColumnConfig | None = None,
    remarks: Sequence[str] = (),
    beside: str | None = None,
) -> IngestReport:
    """Read sources into a sample table, split into train, validation and test, and a quarantine; see `aslspark.ingest`.

    It leaves `report.html`, too. The folder appears whole or not at all; where no row can be used, the quarantine
    alone is left, beside `beside`.

    Parameters
    ----------
    spark, sources, out, test_sources
        As for `aslspark.ingest`; at least one source, of either kind.
    pictures : PictureOptions, optional
        How pictures in files are read.
    needs : Needs, optional
        What a following training needs of the splits; sources that cannot give it are refused before decoding.
    columns : ColumnConfig, optional
        What the columns of tables that are named are called.
    remarks : sequence of str
        What the caller warns of, to stand first among the report's warnings.
    beside : str, optional
        What the user asked for: `out`, or the result of a larger job, of which this is a step. By default nothing is
        left where no row can be used.
    """
    started = time.monotonic()
    out, store = mounted_as_spark(out), open_store(spark)
    columns = columns or ColumnConfig()
    given, given_as_test = (_opened(spark, store, each, columns) for each in (sources, test_sources))
    if all(isinstance(source, str) for source in (*given, *given_as_test)):
        _warn_of_columns_without_a_table(columns)
    options, picture_options = split or SplitOptions(), pictures or PictureOptions()
    if store.exists(out):
        raise AslsparkError(f"out {out} exists already and is never overwritten: choose another, or remove it")
    opened = open_sources(spark, given, given_as_test, out, picture_options)
    if opened.test or opened.giving(TEST):
        options = replace(options, test=0.0)
    if opened.giving(VALIDATION):
        options = replace(options, validation=0.0)
    opened.remarks[:0] = remarks
    opened.remarks += _pattern_found_nowhere(opened, picture_options)
    if options.kind == "signer":
        quarantine_without_signer(opened)
    lengths = [picture.length for source in opened.pictures.values() for picture in source.usable]
    with (
        settings(spark, _same_blocks_in_both_passes(spark, packing(spark, lengths))),
        _naming_the_file(store, opened),
        store.written_whole(out, last=REPORT_FILE) as folder,
    ):
        with doing("counting rows", spark=spark):
            first = count_sources(spark, opened, f"{folder}/{LINES_FOLDER}", picture_options)
        _preview_splits(spark, opened, first, options, needs)
        written = write_samples(spark, store, folder, opened, first, options, picture_options)
        leave = partial(leave_quarantine, store, folder, mounted_as_spark(beside)) if beside else None
        report = counted_report(out, opened, first.rows, options, written, started, leave)
        report.warnings.extend([*first.numbering_warnings(), *shared_signers(opened, first, options)])
        if opened.pictures:
            fitting, per_second = picture_options.form.preprocessing(), len(lengths) / written.seconds
            report = replace(report, pictures=fitting, pictures_per_second=per_second)
        if picture_options.hands:
            with doing("drawing some of the hands that were found"):
                hands = finish_hands(spark, store, folder, opened, picture_options, f"{folder}/{UNPACKED_FOLDER}")
            report = replace(report, hands=picture_options.hands.options.preprocessing(), hands_found=hands)
        store.write(f"{folder}/{PAGE}", ingest_page(report, partial(_plot, store, folder)))
        store.write(f"{folder}/{REPORT_FILE}", report.to_json().encode())
        store.delete(f"{folder}/{LINES_FOLDER}")
        store.delete(f"{folder}/{UNPACKED_FOLDER}")
    return report


def _plot(store: StoreFiles, folder: str, name: str) -> bytes | None:
    if not store.exists(f"{folder}/{name}"):
        return None
    with store.opened(f"{folder}/{name}") as file:
        return file.read()


def _preview_splits(
    spark: SparkSession, opened: OpenedSources, first: FirstPass, options: SplitOptions, needs: Needs | None
) -> None:
    """Check the splits by names and labels alone, before anything is decoded."""
    listing = list_samples(spark, opened, first, options)
    if listing is None:
        return
    require_trainable(listing, options, needs)
    # For tables alone, the report follows soon.
    if opened.pictures and (warning := previewed_missing_labels(listing, options)):
        log.warning("warning: %s", warning)


def _pattern_found_nowhere(opened: OpenedSources, options: PictureOptions) -> list[str]:
    """Say that a pattern of signers was given and no picture has one, since figures by signer would be missing."""
    pictures = [picture for source in opened.pictures.values() for picture in source.usable]
    if options.signer_pattern is None or not pictures or any(picture.signer for picture in pictures):
        return []
    count, first = counted(len(pictures), "picture"), pictures[0].name
    return [f"pictures.signer_pattern={options.signer_pattern.pattern} matches no path of {count}, such as {first}"]


def _opened(
    spark: SparkSession, store: StoreFiles, sources: Sequence[str | DataFrame], columns: ColumnConfig
) -> list[str | DataFrame | NamedTable]:
    """Open the sources that name tables, and name the others as Spark finds them."""
    opened: list[str | DataFrame | NamedTable] = []
    for source in sources:
        if isinstance(source, DataFrame):
            opened.append(source)
            continue
        path = mounted_as_spark(source)
        if (table := table_of(spark, store, path, columns)) is not None:
            # The folder of a Delta table is a table in memory: its path may hold a secret, and many end alike.
            name = path.removeprefix(PREFIX).replace("`", "")
            opened.append(table if "/" in name else NamedTable(name, table))
        elif not store.exists(path) and (instead := nor_a_table(spark, path)):
            raise AslsparkError(f"source {path} does not exist{instead}")
        else:
            opened.append(path)
    return opened


def _warn_of_columns_without_a_table(columns: ColumnConfig) -> None:
    """Say that a column is named and no table, since files have columns of their own names."""
    named = [f"columns.{ours}={theirs}" for ours, theirs in vars(columns).items() if theirs]
    if named:
        log.warning(
            "warning: %s: no source is a table of Spark's catalog or of Delta, of which alone columns are named so; "
            "files are read by the names that docs/own_pictures.md lists",
            ", ".join(named),
        )


def _same_blocks_in_both_passes(spark: SparkSession, packed: Mapping[str, str]) -> dict[str, str]:
    """Return the Spark settings that decide how files are split and written."""
    return {
        # The default depends on the number of cores, and a cluster may grow between the passes.
        "spark.sql.files.minPartitionNum": str(parallelism(spark)),
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(LINES_IN_BATCH),
        # One open file for each split, instead of sorting the pictures by split.
        "spark.sql.maxConcurrentOutputFileWriters": str(len(SPLITS) + 1),
        "spark.sql.execution.arrow.pyspark.enabled": "true",  # for the lines that tasks return
        **packed,
    }


@contextmanager
def _naming_the_file(store: StoreFiles, opened: OpenedSources) -> Iterator[None]:
    """Turn the failure of a job into an error that names the file, where a file is at fault."""
    try:
        yield
    except AslsparkError:
        raise
    except Exception as error:
        if changed := re.search(rf"Error: (.+) {CHANGED}", str(error)):
            raise AslsparkError(f"{changed.group(1)} {CHANGED}: ingest it when it is complete") from error
        # Spark does not name a damaged file.
        for path in opened.files:
            store.check_to_end(path)
        raise

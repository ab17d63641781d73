"""Sources -> one sample table and one quarantine table; every row is in one of them."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import mounted_as_spark
from aslspark.common.progress import doing
from aslspark.common.report_page import PAGE
from aslspark.common.settings import ColumnConfig
from aslspark.common.spark_session import parallelism, settings
from aslspark.data.assign_splits import (
    all_samples,
    known_unusable,
    list_samples,
    planned_rows,
    quarantine_without_signer,
    shared_signers,
)
from aslspark.data.catalog_tables import PREFIX, nor_a_table, table_of
from aslspark.data.discover_sources import NamedTable, OpenedSources, open_sources
from aslspark.data.exact_duplicates import ExactDuplicates, common_encoding, count_exact_duplicates, duplicates_in_lines
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.files.stores import open_store
from aslspark.data.first_pass import FirstPass, count_sources
from aslspark.data.ingest_page import ingest_page
from aslspark.data.ingest_report import IngestReport, Reason, missing_labels
from aslspark.data.pictures.near_duplicates import NearDuplicates
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import UnreadRows, packing
from aslspark.data.post_write import (
    append_to_quarantine,
    dropped_for_quarantine,
    missing_pictures,
    near_duplicates,
    picture_lines,
    pictures_by_spark,
)
from aslspark.data.post_write_hands import finish_hands
from aslspark.data.quarantine_table import move_quarantine, quarantined_lines, write_quarantine
from aslspark.data.samples import (
    LARGEST_ROW_GROUP,
    REPORT_FILE,
    SAMPLES_FOLDER,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    read_samples,
)
from aslspark.data.split_preview import Needs, previewed_missing_labels, require_trainable
from aslspark.data.splits import LEAK_WARNING, SplitOptions, describe
from aslspark.data.tables.labelled_tables import CHANGED, QUARANTINE
from aslspark.data.written_in_tasks import DIGEST, read_pictures, write_in_tasks
from aslspark.images.decoding import RAW

log = logging.getLogger("aslspark")

# Row groups of small tables are smaller than `LARGEST_ROW_GROUP`, so that there is one for each of several readers, but
# not below these bytes of pictures.
SMALLEST_ROW_GROUP, LEAST_ROW_GROUPS = 256 << 10, 8

LINES_FOLDER = "lines"
"""Has the lines of pixel tables in memory during the ingest."""

UNPACKED_FOLDER = "unpacked"
"""Has the unpacked pictures of zips during the ingest."""

MOST_EXAMPLES = 10
"""Rows of the quarantine that the report names for one reason."""

MOST_LINES = 2_000_000
"""Rows of which each may send the driver a line of 170 bytes, which becomes 0.43 KB of its Python: Spark's driver has
a GB where nobody has set `spark.driver.memory`."""

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
) -> IngestReport:
    """Read sources into a sample table, split into train, validation and test, and a quarantine; see `aslspark.ingest`.

    It leaves `report.html`, too. The folder appears whole or not at all.

    Parameters
    ----------
    spark, sources, out, test_sources
        As for `aslspark.ingest`; at least one source.
    pictures : PictureOptions, optional
        How pictures in files are read.
    needs : Needs, optional
        What a following training needs of the splits; sources that cannot give it are refused before decoding.
    columns : ColumnConfig, optional
        What the columns of tables that are named are called.
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
        written = _write(spark, store, folder, opened, first, options, picture_options)
        report = _report(out, opened, first.rows, options, written, started)
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


@dataclass(frozen=True)
class _Written:
    """What was written: counts as the tables on disk have them."""

    kept: list[Row]
    """Rows by split, source and label."""
    quarantined: list[Row]
    """Rows by source and reason."""
    near: NearDuplicates | None
    duplicates: ExactDuplicates | None
    seconds: float
    """Of decoding and writing the samples."""


def _write(
    spark: SparkSession,
    store: StoreFiles,
    folder: str,
    opened: OpenedSources,
    first: FirstPass,
    options: SplitOptions,
    picture_options: PictureOptions,
) -> _Written:
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
    with doing(_work(opened, picture_options), rows=first.rows, unit="pictures" if opened.pictures else "rows"):
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
    return _Written(kept, quarantined, near, duplicates, seconds)


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
) -> _Written:
    """Do what `_write` does where tasks can write the samples themselves: Spark then runs a single job."""
    started = time.monotonic()
    with doing(_work(opened, picture_options), rows=first.rows, unit="pictures" if opened.pictures else "rows"):
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
    return _Written(counts, quarantined, near, duplicates, seconds)


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


def _work(opened: OpenedSources, options: PictureOptions) -> str:
    if not opened.pictures:
        return "reading rows"
    return "reading pictures, and finding hands in them" if options.hands else "reading pictures"


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


def _row_group_bytes(first: FirstPass, options: SplitOptions) -> int:
    smallest_split = min((share for share in (options.validation, options.test) if share > 0), default=1.0)
    target = int(first.picture_bytes * smallest_split / LEAST_ROW_GROUPS)
    return max(SMALLEST_ROW_GROUP, min(target, LARGEST_ROW_GROUP))


def _count_samples(spark: SparkSession, folder: str) -> list[Row]:
    """Count the samples on disk by split, source and label."""
    samples = read_samples(spark, folder).groupBy("split", "source", "label")
    return samples.agg(F.count("*").alias("rows")).collect()


def _report(
    out: str, opened: OpenedSources, read: int, options: SplitOptions, written: _Written, started: float
) -> IngestReport:
    """Add up the counts, and refuse an ingest that lost rows or kept none."""
    reasons = _reasons(written.quarantined)
    kept_rows = sum(row["rows"] for row in written.kept)
    quarantined_rows = sum(reason.rows for reason in reasons)
    _require_all_rows(opened, read, kept_rows, reasons)
    given = {split: opened.giving(split) for split in (VALIDATION, TEST)}
    labels, sources, splits = _counts(opened, options, written)
    warnings = [*opened.remarks, *missing_labels(labels, splits)]
    if options.kind == "random":
        warnings.insert(0, LEAK_WARNING)
    for duplicates in (written.near, written.duplicates):
        warnings += duplicates.warnings() if duplicates is not None else []
    warnings += [f"{name} has a header and no rows" for name in opened.pixel_names if name not in sources]
    test_sources = sorted([*opened.test, *given[TEST]])
    return IngestReport(
        out=out,
        read=read,
        kept=kept_rows,
        quarantined=quarantined_rows,
        labels=dict(sorted(labels.items())),
        reasons=reasons,
        sources=sources,
        splits=splits,
        split=describe(options, test_sources, given[VALIDATION], opened.named()),
        seed=options.seed,
        seconds=time.monotonic() - started,
        warnings=warnings,
        passed_over=opened.passed_over,
        test_sources=test_sources,
        near_duplicates=written.near.as_dict() if written.near is not None else None,
        exact_duplicates=written.duplicates.as_dict() if written.duplicates is not None else None,
    )


def _require_all_rows(opened: OpenedSources, read: int, kept: int, reasons: Sequence[Reason]) -> None:
    quarantined = sum(reason.rows for reason in reasons)
    if read != kept + quarantined:
        raise AslsparkError(
            f"read {counted(read, 'row')}, but kept {kept} and quarantined {quarantined}: a source {CHANGED}, "
            "or gives other rows each time it is evaluated; ingest it when it is complete"
        )
    names = ", ".join(opened.names[:3])
    if read == 0:
        raise AslsparkError(f"{names}: a header and no rows; name a source with rows")
    if kept == 0:
        why = "; ".join(f"{reason.rows} {reason.reason}, first {reason.first}" for reason in reasons)
        raise AslsparkError(
            f"{names}: none of {counted(read, 'row')} can be used ({why}); name a table of 28x28 pixels, or pictures"
        )


def _counts(
    opened: OpenedSources, options: SplitOptions, written: _Written
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]], dict[str, int]]:
    """Count rows by label and split, by source and split (or quarantine), and by split that was asked for."""
    labels: dict[str, dict[str, int]] = {}
    sources: dict[str, dict[str, int]] = {}
    asked_for = {
        TRAIN: 1.0,
        VALIDATION: options.validation or len(opened.giving(VALIDATION)),
        TEST: options.test or len(opened.test) + len(opened.giving(TEST)),
    }
    splits = {name: 0 for name in SPLITS if asked_for[name] > 0}
    for row in sorted(written.kept):
        of_label, of_source = labels.setdefault(row["label"], {}), sources.setdefault(row["source"], {})
        for counts in (of_label, of_source, splits):
            counts[row["split"]] = counts.get(row["split"], 0) + row["rows"]
    for row in written.quarantined:
        counts = sources.setdefault(row["source"], {})
        counts[QUARANTINE] = counts.get(QUARANTINE, 0) + row["rows"]
    return labels, sources, splits


def _reasons(quarantined: Sequence[Row]) -> list[Reason]:
    rows = sorted(quarantined, key=lambda row: (row["reason"], row["source"]))
    found: dict[str, Reason] = {}
    for row in rows:
        examples = [
            f"{row['source']}: {detail}" if number is None else f"{row['source']} row {number}: {detail}"
            for number, detail in row["first"]
        ]
        so_far = found.get(row["reason"], Reason(row["reason"], 0, examples[0], []))
        of_all = [*so_far.examples, *examples][:MOST_EXAMPLES]
        found[row["reason"]] = replace(so_far, rows=so_far.rows + row["rows"], examples=of_all)
    return sorted(found.values(), key=lambda reason: -reason.rows)

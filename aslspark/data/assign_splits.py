"""Opened sources -> one lazy table of samples with their splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.common.labels import LABEL_SETS
from aslspark.data.discover_sources import OpenedSources
from aslspark.data.first_pass import FirstPass
from aslspark.data.pictures.listing import Picture, picture_splits
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import (
    HASHED_SCHEMA,
    QuarantineRow,
    UnreadRows,
    picture_tables,
    rows_for_quarantine,
    sample_id,
)
from aslspark.data.sample_frames import (
    NO_SIGNER,
    NO_SIGNER_DETAIL,
    FrameCounts,
    checked,
    join_splits,
    with_block,
)
from aslspark.data.samples import HAND_COLUMN, HAND_TYPE, SAMPLE_SCHEMA, TEST, TRAIN, VALIDATION, with_hand
from aslspark.data.split_preview import Group, SampleListing
from aslspark.data.splits import SplitOptions, random_split, splits_of_blocks, splits_of_groups
from aslspark.data.tables.labelled_tables import parse_blocks, place_blocks
from aslspark.data.tables.pixel_layout import SIDE

BY_HASH = "by hash"
"""Value of the column `split` until the hash of the id decides."""


def planned_rows(
    spark: SparkSession,
    opened: OpenedSources,
    first: FirstPass,
    options: SplitOptions,
    picture_options: PictureOptions,
    folder: str,
) -> list[UnreadRows]:
    """Plan to read the lines of all tables, and the pictures in files, with their splits.

    Parameters
    ----------
    folder : str
        A folder to be made, for the pictures of zips.

    Returns
    -------
    list of UnreadRows
        Where `options.kind` is 'random', rows of tables have the split BY_HASH.

    Raises
    ------
    AslsparkError
        Where the sources cannot be split as `options` ask.
    """
    groups = _group_splits(opened, first, options)
    planned = []
    if first.lines is not None:
        file_names = set(opened.files.values())
        blocks = place_blocks(
            first.counts,
            first.source_of,
            header_at=lambda path, start: start == 0 and first.source_of[path] in file_names,
            splits_of={name: _table_splits(name, opened, groups, options) for name in opened.pixel_names},
            layout_of=first.layouts,
            hands_of=first.hands,
        )
        columns = first.lines.select("value", "path", "start", "label")
        # Beside pixel tables alone, pictures are as small as theirs.
        shape = picture_options.form.shape if opened.pictures or not first.has_pixels else (SIDE, SIDE, 1)
        parse = parse_blocks(blocks, shape if first.hands else None)
        planned.append(UnreadRows(columns, parse, with_hand(SAMPLE_SCHEMA) if first.hands else SAMPLE_SCHEMA))
    splits = {
        name: picture_splits(source, name in opened.test, options, groups, BY_HASH)
        for name, source in opened.pictures.items()
    }
    number = {name: number for number, name in enumerate(opened.pictures)}
    pictures = picture_tables(spark, opened.pictures, splits, picture_options, lambda name: f"{folder}/{number[name]}")
    if options.kind == "random":
        split = _hashed(options, F.concat_ws(":", "source", "name"))
        pictures = [replace(table, rows=table.rows.withColumn("split", split)) for table in pictures]
    return planned + pictures


def known_unusable(opened: OpenedSources) -> list[QuarantineRow]:
    """Make the rows for the quarantine of pictures of which it is known beforehand that they cannot be used."""
    return [
        row
        for name, source in opened.pictures.items()
        for row in rows_for_quarantine(name, (picture for picture in source.pictures if picture.reason is not None))
    ]


def _hashed(options: SplitOptions, row_id: Column) -> Column:
    """Make the column `split` with the hash's decision in place of BY_HASH."""
    return F.when(F.col("split") == BY_HASH, random_split(options, row_id)).otherwise(F.col("split"))


def all_samples(
    spark: SparkSession,
    opened: OpenedSources,
    first: FirstPass,
    options: SplitOptions,
    picture_options: PictureOptions,
    planned: Sequence[UnreadRows],
) -> DataFrame:
    """Make the table of all rows, kept and quarantined.

    Parameters
    ----------
    spark, opened, first, options, picture_options
    planned : sequence of UnreadRows
        As from `planned_rows`.

    Returns
    -------
    DataFrame
        The columns of `SAMPLE_SCHEMA`; HASH_COLUMN where there are picture files; HAND_COLUMN where the options ask
        for hands or a table in memory has them.

    Raises
    ------
    AslsparkError
        Where the sources cannot be split as `options` ask.
    """
    groups = _group_splits(opened, first, options)
    tables = [part.samples() for part in planned]
    for name, frame in opened.sample_frames.items():
        named = frame.withColumn("source", F.coalesce("source", F.lit(name)))
        with_split = _with_split(spark, named, name in opened.test, first.frames[name], groups, options)
        tables.append(checked(with_split, LABEL_SETS[picture_options.keep]))
    if unusable := known_unusable(opened):
        tables.append(spark.createDataFrame([row.packed for row in unusable], HASHED_SCHEMA))
    samples = reduce(partial(DataFrame.unionByName, allowMissingColumns=True), tables)
    if picture_options.hands and HAND_COLUMN not in samples.columns:
        samples = samples.withColumn(HAND_COLUMN, F.lit(None).cast(HAND_TYPE))
    if options.kind == "random":
        samples = samples.withColumn("split", _hashed(options, F.col("id")))
    return samples


def list_samples(
    spark: SparkSession, opened: OpenedSources, first: FirstPass, options: SplitOptions
) -> SampleListing | None:
    """Count what is to be split, for a preview of the splits; None where that is not known beforehand.

    It is not known for samples in memory, whose labels are not counted, nor for rows of tables that are split by hash.
    """
    if opened.sample_frames or (options.kind == "random" and opened.pixel_names):
        return None
    rows: Counter[Group] = Counter()
    for (path, _), lines in first.counts.items():
        source = first.source_of[path]
        split = TEST if source in opened.test else VALIDATION if source in opened.validation else None
        for number, count in lines.items():
            if (label := first.label_of(source, number)) is not None:
                rows[Group(source, None, label, split)] += count
    ids: list[tuple[str, str]] = []
    for name, pictures in opened.pictures.items():
        for picture in pictures.usable:
            split = TEST if name in opened.test else picture.split
            rows[Group(name, picture.signer, picture.label or "", split)] += 1
            if options.kind == "random" and split in (None, TRAIN):
                ids.append((sample_id(name, picture.name), picture.label or ""))
    names = {kind: _group_names(opened, first, kind) for kind in ("signer", "source")}
    by_hash: dict[str, Counter[str]] = {}
    if ids:
        table = spark.createDataFrame(ids, "id string, label string")
        for row in table.select(random_split(options, F.col("id")).alias("split"), "label").collect():
            by_hash.setdefault(row["split"], Counter())[row["label"]] += 1
    return SampleListing(rows, names, by_hash, _nameless(opened, first))


def quarantine_without_signer(opened: OpenedSources) -> None:
    """Give a reason to pictures without a signer beside others of their source that have one, for a split by signer.

    A source that names no signer at all is another matter: it cannot be split so.
    """
    for name, source in opened.pictures.items():
        to_split = _to_split(opened, name)
        nameless = {picture.path for picture in to_split if picture.signer is None}
        if 0 < len(nameless) < len(to_split):
            source.pictures = [
                picture._replace(reason=NO_SIGNER, detail=NO_SIGNER_DETAIL)
                if picture.path in nameless and picture.reason is None
                else picture
                for picture in source.pictures
            ]


def shared_signers(opened: OpenedSources, first: FirstPass, options: SplitOptions) -> list[str]:
    """Return a warning for each split that sources give rows of signers whose other rows are divided by signer."""
    if options.kind != "signer":
        return []
    divided = set(_group_names(opened, first, "signer"))
    given: dict[str, set[str]] = {VALIDATION: set(), TEST: set()}
    for name, source in opened.pictures.items():
        for picture in source.usable:
            split = TEST if name in opened.test else picture.split
            if split in given and picture.signer in divided:
                given[split].add(picture.signer or "")
    for name in opened.test & first.frames.keys():
        given[TEST] |= {signer or "" for _, signer in first.frames[name].groups if signer in divided}
    return [
        "split.kind=signer: "
        + counted(
            len(names),
            f"signer of the {split} rows that were given is in another split too",
            f"signers of the {split} rows that were given are in other splits too",
        )
        + f", such as {min(names)}: the figures say less about new people; leave these signers out on one side"
        for split, names in given.items()
        if names
    ]


def _to_split(opened: OpenedSources, name: str) -> list[Picture]:
    """List the pictures of a source whose split is not given."""
    if name in opened.test:
        return []
    return [picture for picture in opened.pictures[name].usable if picture.split in (None, TRAIN)]


def _nameless(opened: OpenedSources, first: FirstPass) -> str:
    """Say how many rows to be split name no signer, by source; empty where all do."""
    rows: Counter[str] = Counter()
    for (path, _), lines in first.counts.items():
        if (name := first.source_of[path]) not in opened.test | opened.validation:
            rows[name] += lines.total()
    for name in set(rows) & set(opened.files.values()):
        rows[name] -= 1  # the header
    for name, frame in first.frames.items():
        if name not in opened.test:
            rows[name] += sum(count for (_, signer), count in frame.groups.items() if signer is None)
    examples = {}
    for name in opened.pictures:
        if nameless := [picture.name for picture in _to_split(opened, name) if picture.signer is None]:
            rows[name], examples[name] = len(nameless), f", first {nameless[0]}"
    return "; ".join(f"{count:,} of {name}{examples.get(name, '')}" for name, count in sorted((+rows).items()))


def _group_splits(opened: OpenedSources, first: FirstPass, options: SplitOptions) -> dict[str, str]:
    """Return the split of each signer or source that is not test already; empty for other kinds."""
    if options.kind not in ("signer", "source"):
        return {}
    return splits_of_groups(options, _group_names(opened, first, options.kind), _nameless(opened, first))


def _group_names(opened: OpenedSources, first: FirstPass, kind: str) -> list[str | None]:
    """List the signers or sources to be split, perhaps with repetitions."""
    tables = [name for name in opened.pixel_names if name not in opened.test | opened.validation]
    # Rows without a signer beside others that have one are quarantined.
    in_frames = [
        (source, signer)
        for name, frame in first.frames.items()
        if name not in opened.test
        for source, signer in frame.groups
        if kind == "source" or signer is not None or not frame.names_signers
    ]
    # Pictures with a given split are not split by group.
    of_pictures = {(name, picture.signer) for name in opened.pictures for picture in _to_split(opened, name)}
    in_frames += sorted(of_pictures, key=str)
    if kind == "source":
        return [*tables, *(source for source, _ in in_frames)]
    # Pixel tables name no signer.
    return [*(None for _ in tables), *(signer for _, signer in in_frames)]


def _table_splits(
    name: str, opened: OpenedSources, groups: Mapping[str, str], options: SplitOptions
) -> tuple[str, ...]:
    """Choose the splits of a pixel table's contiguous runs of rows; one run where all rows have the same split."""
    if name in opened.test:
        return (TEST,)
    if name in opened.validation:
        return (VALIDATION,)
    if options.kind == "block":
        return splits_of_blocks(options, name)
    return (BY_HASH,) if options.kind == "random" else (groups[name],)


def _with_split(
    spark: SparkSession,
    frame: DataFrame,
    is_test: bool,
    counts: FrameCounts,
    groups: Mapping[str, str],
    options: SplitOptions,
) -> DataFrame:
    """Add the column `split` to samples in memory."""
    if is_test or options.kind == "random":
        return frame.withColumn("split", F.lit(TEST if is_test else BY_HASH))
    if options.kind == "block":
        splits = {
            (source, block): split
            for source in sorted({source for source, _ in counts.groups})
            for block, split in enumerate(splits_of_blocks(options, source))
        }
        return join_splits(spark, with_block(frame, options.blocks), ["source", "block"], splits)
    column = options.kind
    return join_splits(spark, frame, [column], {(group,): split for group, split in groups.items()})

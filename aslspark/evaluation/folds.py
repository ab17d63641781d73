"""Samples -> the same samples divided into train, validation and test for one fold of a cross-validation.

Every sample is tested on in exactly one fold. Near-duplicates stay together, unless rows are dealt one by one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.data.sample_frames import join_splits, with_block
from aslspark.data.samples import TEST, TRAIN, VALIDATION, sample_columns
from aslspark.evaluation.fold_options import BLOCK, LEAKING, LEAVE_ONE, SIGNER, STRATIFIED, FoldOptions


@dataclass(frozen=True)
class Fold:
    """One fold."""

    number: int
    """Counted from 1."""
    tested_on: str
    """What is held out, as reports name it."""
    columns: tuple[str, ...] = ()
    """The columns that name a group, such as `source` and `block`; none where rows are dealt one by one."""
    splits: Mapping[tuple, str] | None = None
    """Group to 'train', 'validation' or 'test'."""
    validation_signers: tuple[str, ...] = ()
    """Signers whose training rows become validation."""


def plan_folds(samples: DataFrame, options: FoldOptions) -> list[Fold]:
    """Choose the groups of each fold, on the driver.

    Parameters
    ----------
    samples : DataFrame
        With `source` and `signer`.

    Raises
    ------
    AslsparkError
        Where there are too few signers or sources, or whole signers are asked for and rows name none.
    """
    if options.kind in LEAKING:
        share = f"one row in {options.folds}" + (" of each label" if options.kind == STRATIFIED else "")
        return [Fold(n, share) for n in range(1, options.folds + 1)]
    if options.kind == BLOCK:
        sources = sorted(row["source"] for row in samples.select("source").distinct().collect())
        return [_block_fold(n, sources, options) for n in range(1, options.folds + 1)]
    counts = samples.groupBy("source", "signer").count().collect()
    rows = {(row["source"], row["signer"]): row["count"] for row in counts}
    return _signer_folds(rows, options) if options.kind == SIGNER else _leave_one_folds(rows, options)


def assign_fold(spark: SparkSession, samples: DataFrame, fold: Fold, options: FoldOptions) -> DataFrame:
    """Write a fold's splits into the `split` column.

    Parameters
    ----------
    samples : DataFrame
        With the columns of `SAMPLE_SCHEMA`, and perhaps `hand`; its own split is dropped.
    fold : Fold
        From `plan_folds`.

    Returns
    -------
    DataFrame
        The same rows, with the columns of `samples.sample_columns`. Where signers are left out one by one, rows without
        a signer are trained on.
    """
    samples = samples.drop("split")
    if fold.splits is None:
        result = samples.withColumn("split", _by_row(fold.number - 1, options))
    elif "block" in fold.columns:
        result = join_splits(spark, with_block(samples, options.blocks), fold.columns, fold.splits)
    else:
        named = samples.where(F.col(fold.columns[0]).isNotNull())
        unnamed = samples.where(F.col(fold.columns[0]).isNull()).withColumn("split", F.lit(TRAIN))
        result = join_splits(spark, named, fold.columns, fold.splits).unionByName(unnamed)
        if fold.validation_signers:
            is_validation = (F.col("split") == TRAIN) & F.col("signer").isin(list(fold.validation_signers))
            result = result.withColumn("split", F.when(is_validation, VALIDATION).otherwise(F.col("split")))
        elif options.validation > 0:
            # With one signer left to train on, or none known, validation is a share of the blocks.
            chosen = _choose_validation(range(options.blocks), options, f"{fold.number}")
            is_validation = (F.col("split") == TRAIN) & F.col("block").isin(chosen)
            result = with_block(result, options.blocks, "split").withColumn(
                "split", F.when(is_validation, VALIDATION).otherwise(F.col("split"))
            )
    return result.select(*sample_columns(result))


def _block_fold(number: int, sources: Sequence[str], options: FoldOptions) -> Fold:
    splits: dict[tuple, str] = {}
    tested = 0
    for source in sources:
        order = list(range(options.blocks))
        random.Random(f"{options.seed}:{source}").shuffle(order)
        test = order[number - 1 :: options.folds]
        rest = [block for block in range(options.blocks) if block not in test]
        validation = _choose_validation(rest, options, f"{number}:{source}")
        for block in range(options.blocks):
            split = TEST if block in test else VALIDATION if block in validation else TRAIN
            splits[(source, block)] = split
        tested = len(test)
    tested_on = f"{tested} of {counted(options.blocks, 'block')} of each source and label"
    return Fold(number, tested_on, ("source", "block"), splits)


def _rows_by_signer(rows: Mapping[tuple[str, str | None], int]) -> dict[str, int]:
    """Add up the rows of each signer, who may be in several sources."""
    counts: dict[str, int] = {}
    for (_, signer), count in rows.items():
        if signer is not None:
            counts[signer] = counts.get(signer, 0) + count
    return dict(sorted(counts.items()))


def _signer_folds(rows: Mapping[tuple[str, str | None], int], options: FoldOptions) -> list[Fold]:
    signers = _rows_by_signer(rows)
    if unnamed := sum(rows.values()) - sum(signers.values()):
        raise AslsparkError(
            f"--by signer: {unnamed:,} of {counted(sum(rows.values()), 'sample names', 'samples name')} no signer; "
            "choose --by block, or --leave-one signer, which trains on those in every fold"
        )
    if len(signers) < options.folds:
        fewer = f"set --folds {len(signers)} or less" if len(signers) > 1 else "choose --by block"
        raise AslsparkError(f"--by signer: {counted(len(signers), 'signer')} for {options.folds} folds; {fewer}")
    test_of: list[list[str]] = [[] for _ in range(options.folds)]
    shuffled = list(signers)
    random.Random(f"{options.seed}").shuffle(shuffled)
    # The signer with the most rows goes first, each to the fold with the fewest rows so far.
    for signer in sorted(shuffled, key=lambda name: -signers[name]):
        min(test_of, key=lambda names: (sum(signers[name] for name in names), len(names))).append(signer)
    folds = []
    for number, test in enumerate(test_of, start=1):
        splits = {(signer,): TEST if signer in test else TRAIN for signer in signers}
        tested_on = ("signer " if len(test) == 1 else "signers ") + ", ".join(sorted(test))
        others = [signer for signer in signers if signer not in test]
        folds.append(Fold(number, tested_on, (SIGNER,), splits, _validation_signers(others, options, number)))
    return folds


def _leave_one_folds(rows: Mapping[tuple[str, str | None], int], options: FoldOptions) -> list[Fold]:
    column = next(column for column, kind in LEAVE_ONE.items() if kind == options.kind)
    at = 0 if column == "source" else 1
    groups = sorted({source for source, _ in rows}) if at == 0 else list(_rows_by_signer(rows))
    if len(groups) < 2:
        there = f"there is one alone, {groups[0]}" if groups else "the samples name none"
        raise AslsparkError(f"--leave-one {column}: {there}; choose --by block")
    folds = []
    for number, left_out in enumerate(groups, start=1):
        splits = {(group,): TEST if group == left_out else TRAIN for group in groups}
        others = sorted({group[1] for group in rows if group[1] is not None and group[at] != left_out})
        signers = _validation_signers(others, options, number)
        folds.append(Fold(number, f"{column} {left_out}", (column,), splits, signers))
    return folds


def _validation_signers(signers: Sequence[str], options: FoldOptions, number: int) -> tuple[str, ...]:
    return tuple(_choose_validation(signers, options, f"{number}")) if len(signers) > 1 else ()


def _choose_validation(groups: Sequence, options: FoldOptions, salt: str) -> list:
    """Choose the share of groups for validation: at least one and never all, or none where the share is 0."""
    if options.validation <= 0:
        return []
    count = min(max(1, round(options.validation * len(groups))), len(groups) - 1)
    # Seeding with a string does not depend on the machine or the run.
    return sorted(random.Random(f"{options.seed}:validation:{salt}").sample(list(groups), count))


def _by_row(number: int, options: FoldOptions) -> Column:
    hashed = F.xxhash64(F.lit(options.seed), "id")
    if options.kind == STRATIFIED:
        place = F.row_number().over(Window.partitionBy("label").orderBy(hashed, "id")) - 1
        is_test = place % options.folds == number
        every = max(2, round(1 / options.validation)) if options.validation > 0 else 0
        # The last row of each run, not the first, so that a label with few rows keeps them all for training.
        is_validation = F.floor(place / options.folds) % every == every - 1 if every else F.lit(False)
    else:
        is_test = F.pmod(hashed, F.lit(options.folds)) == number
        share = F.pmod(F.xxhash64(F.lit(options.seed), F.lit(VALIDATION), "id"), F.lit(1_000_000)) / 1_000_000
        is_validation = share < options.validation
    return F.when(is_test, TEST).when(is_validation, VALIDATION).otherwise(TRAIN)

"""Samples with their splits -> how many pictures are in several splits, byte for byte."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.data.samples import HAND_COLUMN, TEST, TRAIN, VALIDATION
from aslspark.data.tables.landmark_hands import IN_TABLE


@dataclass(frozen=True)
class ExactDuplicates:
    """Counts of pictures that are in several splits."""

    test: int
    """Test rows whose picture is also in train or validation."""
    others: int
    """The train and validation rows with these pictures."""
    validation: int
    """Validation rows whose picture is also in train."""
    first: tuple[str, str] | None = None
    """Ids of such a test row, the first by its id, and of the first of its duplicates."""

    def warnings(self) -> list[str]:
        """Return warnings about the duplicates, if there are any."""
        warnings = []
        if self.first is not None:
            warnings.append(
                f"{counted(self.test, 'test row is', 'test rows are')}, byte for byte, among those of train and "
                f"validation too ({self.others:,} "
                "there), which says nothing about new pictures: leave them out on one side; such as "
                f"{self.first[0]}, which is {self.first[1]}"
            )
        if self.validation:
            warnings.append(
                f"{counted(self.validation, 'validation row is', 'validation rows are')}, byte for byte, among "
                "those of train: the best epoch is "
                "chosen by what was learned"
            )
        return warnings

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for `ingest.json`."""
        return asdict(self)


def picture_hash(samples: DataFrame) -> Column:
    """Make the column (long) of a hash of a picture's bytes and shape; of a table of landmarks, of the landmarks."""
    # 64 bits: among a million different pictures, two share a hash in one of 40 million tables.
    shape_and_bytes = (f"picture.{name}" for name in ("height", "width", "channels", "data"))
    return F.xxhash64(*shape_and_bytes, *landmarks_of_tables(samples))


def landmarks_of_tables(samples: DataFrame) -> list[Column]:
    """Make the column of what tells rows of tables of landmarks apart; null, which no hash counts, in other rows."""
    if HAND_COLUMN not in samples.columns:
        return []
    hand = F.col(HAND_COLUMN)
    return [F.when(hand["found"] == IN_TABLE, hand["landmarks"])]


def count_exact_duplicates(samples: DataFrame) -> ExactDuplicates:
    """Count the pictures that are in two splits.

    Parameters
    ----------
    samples : DataFrame
        id, picture, split, and perhaps HAND_COLUMN. Spark reads the pictures once, and shuffles their hashes only.
    """
    hashed = samples.select(picture_hash(samples).alias("hash"), "split", "id")
    rows = {split: F.sum((F.col("split") == split).cast("int")).alias(split) for split in (TRAIN, VALIDATION, TEST)}
    is_test = F.col("split") == TEST
    ids = F.struct(F.min(F.when(is_test, F.col("id"))), F.min(F.when(~is_test, F.col("id")))).alias("ids")
    by_picture = hashed.groupBy("hash").agg(*rows.values(), ids)
    tested, others = F.col(TEST) > 0, F.col(TRAIN) + F.col(VALIDATION)
    counts = by_picture.agg(
        F.sum(F.when(others > 0, F.col(TEST))).alias("test"),
        F.sum(F.when(tested, others)).alias("others"),
        F.sum(F.when(F.col(TRAIN) > 0, F.col(VALIDATION))).alias("validation"),
        F.min(F.when(tested & (others > 0), F.col("ids"))).alias("first"),
    ).first()
    assert counts is not None
    first = tuple(counts["first"]) if counts["first"] is not None else None
    return ExactDuplicates(counts["test"] or 0, counts["others"] or 0, counts["validation"] or 0, first)


def duplicates_in_lines(lines: pd.DataFrame, digest: str) -> ExactDuplicates:
    """Do what `count_exact_duplicates` does, from a line about each sample.

    Parameters
    ----------
    lines : DataFrame
        id and split (strings), and the column `digest` (bytes), equal where the pictures are.
    """
    repeated = lines[lines.duplicated(digest, keep=False)]
    rows = repeated.groupby([digest, "split"]).size().unstack(fill_value=0)
    rows = rows.reindex(columns=[TRAIN, VALIDATION, TEST], fill_value=0)
    others = rows[TRAIN] + rows[VALIDATION]
    is_shared = (rows[TEST] > 0) & (others > 0)
    first = None
    if is_shared.any():
        shared = repeated[repeated[digest].isin(rows.index[is_shared])].sort_values("id")
        test = shared[shared["split"] == TEST].iloc[0]
        other = shared[(shared["split"] != TEST) & (shared[digest] == test[digest])].iloc[0]
        first = (str(test["id"]), str(other["id"]))
    validation = int(rows.loc[rows[TRAIN] > 0, VALIDATION].sum())
    return ExactDuplicates(int(rows.loc[is_shared, TEST].sum()), int(others[is_shared].sum()), validation, first)

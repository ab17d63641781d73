"""Samples with their splits -> how many pictures are in several splits, byte for byte."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from aslspark.common.batch_udf import row_udf
from aslspark.common.counted import counted
from aslspark.data.samples import HAND_COLUMN, TEST, TRAIN, VALIDATION
from aslspark.data.tables.landmark_hands import IN_TABLE
from aslspark.images.decoding import JPEG, RAW, encode, pixels_of


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


def picture_hash(samples: DataFrame, bytes_as: str | None = None) -> Column:
    """Make the column (long) of a hash of a picture's bytes and shape; of a table of landmarks, of the landmarks.

    Parameters
    ----------
    bytes_as : {'raw', 'jpeg'}, optional
        Bring the bytes to this encoding first; see `common_encoding`.
    """
    # 64 bits: among a million different pictures, two share a hash in one of 40 million tables.
    shape = (f"picture.{name}" for name in ("height", "width", "channels"))
    data = F.col("picture.data")
    if bytes_as is not None:
        in_another = F.coalesce(F.col("picture.encoding"), F.lit(RAW)) != bytes_as
        encoded = row_udf("binary", partial(_encoded, encoding=bytes_as))
        data = F.coalesce(encoded(F.when(in_another, F.col("picture"))), data)
    return F.xxhash64(*shape, data, *landmarks_of_tables(samples))


def common_encoding(encodings: Collection[str]) -> str | None:
    """Return the encoding in which equal pictures have equal bytes; None where all have one already.

    Parameters
    ----------
    encodings : collection of {'raw', 'png', 'jpeg'}
        Of all pictures that are compared.
    """
    if len(encodings) < 2:
        return None
    return JPEG if JPEG in encodings else RAW


def encodings_of(samples: DataFrame) -> set[str]:
    """Return the encodings of the pictures, from a scan of that column alone."""
    return {row[0] for row in samples.select(F.coalesce("picture.encoding", F.lit(RAW))).distinct().collect()}


def _encoded(picture: Mapping[Any, Any], encoding: str) -> bytes | None:
    return None if picture["data"] is None else encode(pixels_of(picture), encoding)


def landmarks_of_tables(samples: DataFrame) -> list[Column]:
    """Make the column of what tells rows of tables of landmarks apart; null, which no hash counts, in other rows."""
    if HAND_COLUMN not in samples.columns:
        return []
    hand = F.col(HAND_COLUMN)
    return [F.when(hand["found"] == IN_TABLE, hand["landmarks"])]


def count_exact_duplicates(samples: DataFrame, encodings: Collection[str] = ()) -> ExactDuplicates:
    """Count the pictures that are in two splits.

    Parameters
    ----------
    samples : DataFrame
        id, picture, split, and perhaps HAND_COLUMN. Spark reads the pictures once, and shuffles their hashes only.
    encodings : collection of str
        Of the pictures, where there may be several.
    """
    hash_of_row = picture_hash(samples, common_encoding(encodings))
    hashed = samples.select(hash_of_row.alias("hash"), "split", "id")
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

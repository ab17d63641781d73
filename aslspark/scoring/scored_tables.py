"""A scored table -> Parquet, or a table in Spark's catalog; and a summary of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.catalog import TABLE_MODES
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.labels import LABELS, LETTER_OF_NUMBER
from aslspark.common.paths import mounted_as_spark
from aslspark.common.progress import doing
from aslspark.common.redaction import say
from aslspark.data.files.stores import open_store

DIGEST, SCORED_AT = "bundle", "scored_at"
"""Columns that answers in a table have besides: which bundle gave them (string), and when (timestamp)."""


def write_scores(scored: DataFrame, out: str) -> ScoreCounts:
    """Write a scored table as Parquet, whole or not at all; print a summary, and return what it is of.

    Parameters
    ----------
    scored : DataFrame
        As from `SignClassifierModel.transform`; without the column of pictures, unless it is to be kept.
    out : str
        A folder that does not exist yet.
    """
    spark = scored.sparkSession
    store, out = open_store(spark), mounted_as_spark(out)
    if store.exists(out):
        raise AslsparkError(f"--out {out}: it exists already; choose another name or remove it")
    with store.written_whole(out, last="_SUCCESS") as folder:
        with doing("reading letters"):
            scored.write.parquet(folder)
        counts = count_scores(spark.read.parquet(folder))
    say("\n".join([*_summary(counts), f"written to {out}"]))
    return counts


def check_table(spark: SparkSession, table: str, mode: str, out: str | None) -> None:
    """Check, before anything is scored, that answers may be written to a table.

    Raises
    ------
    AslsparkError
        Naming the option.
    """
    if out is not None:
        raise AslsparkError(f"--out {out} and --out-table {table}: give one of them")
    if mode not in TABLE_MODES:
        raise AslsparkError(f"--mode {mode}: choose one of {', '.join(TABLE_MODES)}")
    schema = "" if "`" in table else table.rpartition(".")[0]  # delta.`/a/path` is a table too
    if schema and not _asked_of_catalog(spark, table, "databaseExists", schema):
        raise AslsparkError(
            f"--out-table {table}: there is no schema {schema}; make it (CREATE SCHEMA {schema}), or name one that is "
            "there"
        )
    if mode == TABLE_MODES[0] and _asked_of_catalog(spark, table, "tableExists", table):
        raise AslsparkError(f"--out-table {table}: it exists already; give --mode append or overwrite, or another name")


def _asked_of_catalog(spark: SparkSession, table: str, question: str, name: str) -> bool:
    try:
        with doing("looking into Spark's catalog", spark=spark):  # a metastore's first answer takes long
            exists: bool = getattr(spark.catalog, question)(name)
            return exists
    except Exception as error:  # a name that is none, or a catalog that is not there
        raise AslsparkError(f"--out-table {table}: {first_line(error)}") from error


def write_scores_to_table(scored: DataFrame, table: str, mode: str, digest: str) -> tuple[DataFrame, ScoreCounts]:
    """Write a scored table to Spark's catalog, print a summary, and return what was written and what was counted of it.

    Parameters
    ----------
    mode : {'errorifexists', 'append', 'overwrite'}
    digest : str
        Of the bundle.

    Raises
    ------
    AslsparkError
        Where Spark cannot write it, or the data has a column that is added.
    """
    if taken := [name for name in (DIGEST, SCORED_AT) if name in scored.columns]:
        raise AslsparkError(f"--out-table {table}: the data has a column {taken[0]} already; rename it, or use --out")
    spark, moment = scored.sparkSession, F.lit(datetime.now())
    stamped = scored.withColumns({DIGEST: F.lit(digest), SCORED_AT: moment})
    try:
        with doing("reading letters"):
            stamped.write.mode(mode).saveAsTable(table)
    except Exception as error:  # each catalog and format has errors of its own
        raise AslsparkError(
            f"--out-table {table}, --mode {mode}: Spark cannot write it ({first_line(error)})"
        ) from error
    written = spark.table(table).where(F.col(SCORED_AT) == moment)
    counts = count_scores(written)
    say("\n".join([*_summary(counts), f"written to table {table}"]))
    return written, counts


@dataclass(frozen=True)
class ScoreCounts:
    """What a scored table came to.

    Parameters
    ----------
    rows : int
    letters : mapping of str to int
        Rows by the letter that was read.
    reasons : mapping of str to int
        Rows without a letter, by the reason; the most frequent first.
    labelled : int
        Rows of which a label is known.
    right : int
        Of these, those that were read right.
    """

    rows: int
    letters: Mapping[str, int]
    reasons: Mapping[str, int]
    labelled: int
    right: int


@doing("counting the letters")
def count_scores(rows: DataFrame) -> ScoreCounts:
    """Count what a scored table came to."""
    unread = F.col("letter").isNull()
    label = _known_label(rows)
    groups = (
        rows.groupBy(
            "letter",
            F.when(unread, F.col("reason")).alias("reason"),
            label.isNotNull().alias("is_labelled"),
            F.coalesce(label == F.col("letter"), F.lit(False)).alias("is_right"),
        )
        .agg(F.count("*").alias("rows"))
        .collect()
    )
    letters, reasons, labelled, right = Counter[str](), Counter[str](), 0, 0
    for letter, reason, is_labelled, is_right, count in groups:
        if letter is None:
            reasons[reason] += count
        else:
            letters[letter] += count
        labelled += count * is_labelled
        right += count * is_right
    return ScoreCounts(
        rows=letters.total() + reasons.total(),
        letters=dict(sorted(letters.items())),
        reasons=dict(sorted(reasons.items(), key=lambda pair: (-pair[1], str(pair[0])))),
        labelled=labelled,
        right=right,
    )


def _summary(counts: ScoreCounts) -> list[str]:
    read = sum(counts.letters.values())
    lines = [
        f"{counted(counts.rows, 'row')}: {read:,} read, {counts.rows - read:,} not",
        "  ".join(f"{letter} {count:,}" for letter, count in counts.letters.items()),
        *(f"  not read, {count:,}: {reason}" for reason, count in list(counts.reasons.items())[:10]),
    ]
    if counts.labelled:
        share = counts.right / counts.labelled
        lines.append(f"labels are known of {counts.labelled:,}: {share:.2%} of them are read right")
    return lines


def _known_label(rows: DataFrame) -> Column:
    """Make the column of the label that a row came with; null where it has none, or one that is no letter's."""
    if dict(rows.dtypes).get("label") != "string":
        return F.lit(None).cast("string")
    names: dict[str, str] = {name.lower(): name for name in LABELS}
    if {"source", "row"} <= set(rows.columns):  # of a pixel table, which numbers the letters
        names |= {str(number): letter for number, letter in LETTER_OF_NUMBER.items()}
    known = F.create_map(*(F.lit(word) for pair in names.items() for word in pair))
    return F.try_element_at(known, F.lower(F.trim("label")))

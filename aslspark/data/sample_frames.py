"""A DataFrame of samples, such as synthetic hands -> the same rows checked, with counts and splits."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StringType, StructField, StructType

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import LABELS
from aslspark.data.files.natural_order import natural_order
from aslspark.data.pictures.listing import NOT_ASKED_FOR
from aslspark.data.samples import HAND_COLUMN, HAND_TYPE, PICTURE_TYPE, SAMPLE_SCHEMA, picture_struct
from aslspark.data.tables.labelled_tables import QUARANTINE
from aslspark.data.tables.landmark_layout import LandmarkLayout
from aslspark.data.tables.pixel_layout import EMPTY, UNKNOWN_LABEL
from aslspark.data.tables.table_lines import array_of_pixels, layout_of_columns
from aslspark.images.decoding import RAW
from aslspark.images.hands.hand import NUMBERS

SAMPLE_COLUMNS = {field.name: field.dataType.simpleString() for field in SAMPLE_SCHEMA.fields if field.name != "split"}
WITHOUT_ENCODING = StructType([field for field in PICTURE_TYPE if field.name != "encoding"]).simpleString()
WITH_TROUBLE = StructType(
    [*HAND_TYPE.fields[:-1], StructField("trouble", StringType()), HAND_TYPE["looks"]]
).simpleString()
"""Hands in tables of earlier versions, whose detector could hang."""
WRONG_PICTURE_SIZE = "wrong picture size"
NOT_RAW = "not raw"
WRONG_HAND = "wrong hand"
NO_SIGNER, NO_SIGNER_DETAIL = "no signer", "split.kind=signer needs one"
_SIZES = ("height", "width", "channels")


@dataclass(frozen=True)
class FrameCounts:
    """Counts of a table of samples: rows of each (source, signer), and bytes of the pictures."""

    groups: Mapping[tuple[str, str | None], int]
    picture_bytes: int

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.groups.values())

    @property
    def names_signers(self) -> bool:
        """Whether any row has a signer."""
        return any(signer is not None for _, signer in self.groups)


def holds_samples(frame: DataFrame, name: str) -> bool:
    """Tell whether a table in memory holds samples (True) or is one of pixels or landmarks (False).

    Raises
    ------
    AslsparkError
        Where it is neither; the message names the columns or types at fault.
    """
    if name_of_array := array_of_pixels(frame):
        if "label" not in frame.columns:
            raise AslsparkError(f"{name}: no column says the labels; name it with columns.label (--label-column)")
        if taken := [column for column in ("signer", "split") if column in frame.columns]:
            raise AslsparkError(
                f"{name}: {' and '.join(taken)} beside {name_of_array}, an array of numbers: tables of pixels have "
                "neither signers nor splits of their own; give pictures as bytes of PNG, or leave these columns out"
            )
        return False
    if "picture" not in frame.columns:
        layout = layout_of_columns(frame.columns, name)
        numbers = layout.points if isinstance(layout, LandmarkLayout) else layout.pixels
        for field in (frame.schema.fields[place] for place in (layout.label or 0, *numbers)):
            if not isinstance(field.dataType, NumericType | StringType):
                raise AslsparkError(
                    f"{name}: column {field.name} is {field.dataType.simpleString()}: cast it to a number"
                )
        return False
    types = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    if types["picture"] == WITHOUT_ENCODING:
        types["picture"] = SAMPLE_COLUMNS["picture"]
    if types.get(HAND_COLUMN) == WITH_TROUBLE:
        types[HAND_COLUMN] = HAND_TYPE.simpleString()
    expected = SAMPLE_COLUMNS | ({HAND_COLUMN: HAND_TYPE.simpleString()} if HAND_COLUMN in types else {})
    if types != expected:
        wrong = sorted(column for column in types.keys() | expected if types.get(column) != expected.get(column))
        raise AslsparkError(
            f"{name}: {', '.join(wrong)} missing, of another type or not wanted: samples have the columns "
            + ", ".join(f"{column} {kind}" for column, kind in expected.items())
        )
    return True


def count_samples(frames: Mapping[str, DataFrame], taken: Mapping[str, Container[str]]) -> dict[str, FrameCounts]:
    """Count the rows of tables of samples, and refuse ids that repeat: joins by them would count a row several times.

    All in one job, which reads the tables once.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        By name.
    taken : mapping of str to container of str
        By source of another kind, what follows its name and a colon in the ids of its rows.

    Raises
    ------
    AslsparkError
        Where ids repeat.
    """
    if not frames:
        return {}
    rows = reduce(DataFrame.unionByName, (_counted_columns(frame, name) for name, frame in frames.items()))
    by_id = rows.groupBy("id", "of", "source", "signer").agg(F.count("*").alias("rows"), F.sum("bytes").alias("bytes"))
    is_repeated = F.col("id").isNotNull() & (F.sum("rows").over(Window.partitionBy("id")) > 1)
    is_like_another = reduce(or_, (F.col("id").startswith(f"{name}:") for name in taken), F.lit(False))
    groups = (
        by_id.withColumn("is_repeated", is_repeated)
        .groupBy("of", "source", "signer")
        .agg(
            F.sum("rows").alias("rows"),
            F.sum("bytes").alias("bytes"),
            F.sum(F.when(F.col("is_repeated"), F.col("rows"))).alias("repeated"),
            F.min(F.when(F.col("is_repeated"), F.col("id"))).alias("first"),
            F.collect_list(F.when(is_like_another, F.col("id"))).alias("like_others"),
        )
        .collect()
    )
    repeated = [(row["first"], row["repeated"], [row["of"]]) for row in groups if row["repeated"]]
    repeated += [
        (name, 1, [row["of"], source])
        for row in groups
        for name in row["like_others"]
        for source, others in taken.items()
        if name.startswith(f"{source}:") and name[len(source) + 1 :] in others
    ]
    if repeated:
        names = sorted({name for _, _, of in repeated for name in of})
        count = sum(rows for _, rows, _ in repeated)
        raise AslsparkError(
            f"{' and '.join(names)}: {counted(count, 'row has', 'rows have')} the id of another row, such as "
            f"{min(first for first, _, _ in repeated)}: an id must be unique in all that is ingested"
        )
    return {
        name: FrameCounts(
            groups={(row["source"], row["signer"]): row["rows"] for row in groups if row["of"] == name},
            picture_bytes=sum(row["bytes"] or 0 for row in groups if row["of"] == name),
        )
        for name in frames
    }


def _counted_columns(frame: DataFrame, name: str) -> DataFrame:
    source = F.coalesce("source", F.lit(name)).alias("source")
    return frame.select(F.lit(name).alias("of"), source, "signer", "id", F.octet_length("picture.data").alias("bytes"))


def with_known_signers(frame: DataFrame) -> DataFrame:
    """Leave out blanks around signers' names; a blank one is none."""
    name = F.trim("signer")
    return frame.withColumn("signer", F.when(name != "", name))


def with_block(frame: DataFrame, blocks: int, *also_by: str) -> DataFrame:
    """Add `block` (int): the place of a row's run among the `blocks` contiguous runs of its source and label.

    Parameters
    ----------
    frame : DataFrame
        With id, source and label (strings).
    *also_by : str
        Further columns: the rows of each of their values are cut separately.

    Returns
    -------
    DataFrame
        Rows are in the natural order of their ids: rows of pixel tables as in the file, frames as they were taken.
    """
    run = Window.partitionBy("source", "label", *also_by)
    place = F.row_number().over(run.orderBy(*natural_order("id"))) - 1
    return frame.withColumn("block", F.floor(place * blocks / F.count("*").over(run)).cast("int"))


def join_splits(
    spark: SparkSession, frame: DataFrame, columns: Sequence[str], splits: Mapping[tuple[Any, ...], str]
) -> DataFrame:
    """Add `split` (string), which the values of some columns decide."""
    types = ", ".join(f"`{column}` {'int' if column == 'block' else 'string'}" for column in columns)
    table = spark.createDataFrame([(*key, split) for key, split in splits.items()], f"{types}, split string")
    return frame.join(F.broadcast(table), list(columns), "left")


def checked(frame: DataFrame, wanted: Collection[str]) -> DataFrame:
    """Pack rows that cannot be used for the quarantine, as `labelled_tables.parse_blocks` does.

    Parameters
    ----------
    frame : DataFrame
        The columns of `SAMPLE_SCHEMA`; `split` is null where it needs a signer. The pictures may lack `encoding`, which
        must be raw or null: encoded files belong in a column `content`, which is decoded. HAND_COLUMN stays where it is
        there.
    wanted : collection of str
        The labels that are kept.
    """
    picture = F.col("picture")
    kind = frame.schema["picture"].dataType
    has_encoding = isinstance(kind, StructType) and "encoding" in kind.names
    encoding = F.coalesce(picture["encoding"], F.lit(RAW)) if has_encoding else F.lit(RAW)
    raw = F.struct(*(picture[name].alias(name) for name in (*_SIZES, "data")), F.lit(RAW).alias("encoding"))
    # As double: the product of two ints may overflow, which is an error in ANSI mode and a wrong number otherwise.
    size = picture["height"].cast("double") * picture["width"] * picture["channels"]
    length = F.octet_length(picture["data"])
    # A null in any field of the picture makes the comparison null.
    is_whole = picture["channels"].isin(1, 3) & (picture["height"] > 0) & (size == length)
    has_hand = HAND_COLUMN in frame.columns
    missing = F.concat_ws(", ", *(F.when(F.col(name).isNull(), name) for name in ("id", "label", "picture")))
    reason = (
        F.when(missing != "", EMPTY)
        .when(~F.col("label").isin(*LABELS), UNKNOWN_LABEL)
        .when(~F.col("label").isin(*sorted(wanted)), NOT_ASKED_FOR)
        .when(encoding != RAW, NOT_RAW)
        .when(~F.coalesce(is_whole, F.lit(False)), WRONG_PICTURE_SIZE)
        .when(~_is_hand() if has_hand else F.lit(False), WRONG_HAND)
        .when(F.col("split").isNull(), NO_SIGNER)
    )
    description = (
        F.when(missing != "", F.concat(F.lit("no "), missing))
        .when(F.col("reason").isin(UNKNOWN_LABEL, NOT_ASKED_FOR), F.concat(F.lit("label is "), "label"))
        .when(F.col("reason") == NOT_RAW, F.concat(F.lit("encoding is "), encoding))
        .when(F.col("reason") == NO_SIGNER, F.lit(NO_SIGNER_DETAIL))
        .when(F.col("reason") == WRONG_HAND, F.lit(f"landmarks and world must hold {NUMBERS} finite numbers"))
        .otherwise(
            F.concat_ws(" ", F.lit("bytes, height, width, channels:"), length, *(picture[name] for name in _SIZES))
        )
    )
    detail = F.concat_ws(": ", "id", description)
    bad = F.col("reason").isNotNull()
    no_picture = picture_struct((0, 0, 0), F.lit(b""))
    return frame.withColumn("reason", reason).select(
        F.when(bad, F.lit("")).otherwise(F.col("id")).alias("id"),
        F.when(bad, no_picture).otherwise(raw).alias("picture"),
        F.when(bad, F.col("reason")).otherwise(F.col("label")).alias("label"),
        "source",
        F.when(bad, detail).otherwise(F.col("signer")).alias("signer"),
        F.when(bad, QUARANTINE).otherwise(F.col("split")).alias("split"),
        *([F.when(~bad, F.col(HAND_COLUMN).dropFields("trouble")).alias(HAND_COLUMN)] if has_hand else []),
    )


def _is_hand() -> Column:
    """Make the column: whether the hand is null, none, or has all its numbers."""
    hand = F.col(HAND_COLUMN)

    def is_complete(name: str) -> Column:
        # A null among the numbers makes the comparison null.
        finite = F.forall(hand[name], lambda number: F.abs(number) < F.lit(float("inf")))
        return F.coalesce((F.size(hand[name]) == NUMBERS) & finite, F.lit(False))

    return hand["found"].isNull() | (is_complete("landmarks") & is_complete("world"))

"""The probabilities of a batch -> the columns of answers in Spark: letter, probability, the best three, a reason.

Python ranks each row; the JVM inserts the names of letters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F

from aslspark.scoring.answers import rank
from aslspark.scoring.calibration import ABSTAINED, TOP_COUNT

_RANKED = "place1 int, place2 int, place3 int, share1 float, share2 float, share3 float, as_given float, reason string"


class ResultColumns(NamedTuple):
    """The columns that a Python function returns for a batch."""

    columns: str
    """Names and types."""
    make: Callable[[npt.NDArray[np.float32], npt.NDArray[Any]], pd.DataFrame]
    """From the probabilities, and the reasons why rows have none."""


def _all_shares(probabilities: npt.NDArray[np.float32], reasons: npt.NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame({"shares": list(probabilities), "reason": pd.Series(reasons, dtype=object)})


SHARES = ResultColumns("shares array<float>, reason string", _all_shares)
"""All the probabilities, in the order of the labels."""


def ranking(temperature: float) -> ResultColumns:
    """Return the places of the best labels and their probabilities, and the best probability before the temperature."""
    return ResultColumns(_RANKED, partial(_ranked, temperature=temperature))


def _ranked(
    probabilities: npt.NDArray[np.float32], reasons: npt.NDArray[Any], temperature: float = 1.0
) -> pd.DataFrame:
    """Rank each row; rows with a reason have nulls."""
    classes = probabilities.shape[1]
    best, shares, given, reasons = rank(probabilities, reasons, temperature)
    unscored = np.array([reason is not None for reason in reasons], bool)
    columns: dict[str, Any] = {}
    for n in range(TOP_COUNT):
        missing = unscored if n < classes else np.ones(len(unscored), bool)
        place = best[:, n] if n < classes else np.zeros(len(unscored), np.int64)
        share = shares[:, n] if n < classes else np.zeros(len(unscored), np.float32)
        columns[f"place{n + 1}"] = pd.Series(place).astype("Int32").mask(missing)
        columns[f"share{n + 1}"] = pd.Series(share, dtype="Float32").mask(missing)
    columns["as_given"] = pd.Series(given, dtype="Float32").mask(unscored)
    columns["reason"] = pd.Series(reasons, dtype=object)
    return pd.DataFrame(columns)[[column.split()[0] for column in _RANKED.split(", ")]]


OUTPUT_COLUMNS = ("letter", "probability", "top", "reason")


def output_columns(labels: tuple[str, ...], threshold: float, called: Sequence[str] = OUTPUT_COLUMNS) -> list[Column]:
    """Make `letter`, `probability`, `top` and `reason`, or as they are `called`, from the struct of `ranking`."""
    names = F.array(*(F.lit(label) for label in labels))

    def letter(n: int) -> Column:
        return F.get(names, F.col(f"_ranked.place{n}"))

    pairs = [
        F.struct(letter(n).alias("letter"), F.col(f"_ranked.share{n}").alias("probability"))
        for n in range(1, min(TOP_COUNT, len(labels)) + 1)
    ]
    reason = F.col("_ranked.reason")
    sure = F.col("_ranked.share1") >= F.lit(threshold).cast("float")
    columns = [
        F.when(sure, letter(1)),
        F.col("_ranked.share1"),
        F.when(reason.isNull(), F.array(*pairs)),
        F.when(reason.isNull() & ~sure, ABSTAINED).otherwise(reason),
    ]
    return [column.alias(name) for column, name in zip(columns, called, strict=True)]

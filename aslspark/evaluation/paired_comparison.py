"""Two models on the same labelled samples -> whether the second is significantly better, and where it is worse.

In: samples and two models. Out: counts of right answers by pair, McNemar's exact test, the change of every label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TypedDict

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.scoring.model import SignClassifierModel

_FIRST, _SECOND = "_first_right", "_second_right"


class PairedMetrics(TypedDict):
    """Two models on the same rows."""

    rows: int
    first: float
    """The accuracy of the first model."""
    second: float
    only_first: int
    """Rows that the first model alone has right."""
    only_second: int
    p: float
    """See `mcnemar`."""


class PairedFigures(TypedDict):
    """The numbers of a comparison, as the registry's record keeps them."""

    sets: dict[str, PairedMetrics]
    """And all together, as 'together'."""
    labels: dict[str, PairedMetrics]
    alpha: float
    most_fall: float


@dataclass(frozen=True)
class Verdict:
    """The result of a comparison."""

    better: bool
    reasons: list[str]
    """Sentences with the numbers that decided."""
    figures: PairedFigures


def count_pairs(first: SignClassifierModel, second: SignClassifierModel, sets: Mapping[str, DataFrame]) -> pd.DataFrame:
    """Score each sample with both models and count which of them are right.

    Parameters
    ----------
    first, second : SignClassifierModel
        Both read the column `picture`. Their best guesses count, whatever their thresholds.
    sets : mapping of str to DataFrame
        Name to samples. A sample without an answer counts as wrong.

    Returns
    -------
    pandas.DataFrame
        With `set`, `label`, `first` and `second` (bool, whether it is right) and `rows` (int).
    """
    scored = []
    for name, samples in sets.items():
        kept = [column for column in ("id", "label", "picture", "hand") if column in samples.columns]
        table = samples.select(*kept)
        for model, right in ((first, _FIRST), (second, _SECOND)):
            is_right = F.coalesce(F.col("letter") == F.col("label"), F.lit(False)).alias(right)
            table = model.best_guesses(table).select(*table.columns, is_right)
        scored.append(table.select(F.lit(name).alias("set"), "label", _FIRST, _SECOND))
    both = reduce(DataFrame.unionByName, scored)
    counts = both.groupBy("set", "label", F.col(_FIRST).alias("first"), F.col(_SECOND).alias("second"))
    return counts.agg(F.count("*").alias("rows")).toPandas()


def compare_paired(counts: pd.DataFrame, alpha: float, max_class_drop: float) -> Verdict:
    """Decide whether the second model is better than the first.

    It is better if all of these hold:

    - over all sets together it has more right, and McNemar's exact test gives p below `alpha`;
    - on no set it has fewer right with p below `alpha`;
    - no label's accuracy over all sets falls by more than `max_class_drop`.

    Parameters
    ----------
    counts : pandas.DataFrame
        See `count_pairs`.
    alpha, max_class_drop : float
        From 0 to 1.
    """
    together = _paired_metrics(counts)
    sets = {str(name): _paired_metrics(part) for name, part in counts.groupby("set")}
    labels = {str(name): _paired_metrics(part) for name, part in counts.groupby("label")}
    better = together["second"] > together["first"] and together["p"] < alpha
    finding = "better" if better else "not better beyond noise"
    reasons = [f"{finding}: {_sentence(together)} (p < {alpha:g} is asked for)"]
    worse = {name: part for name, part in sets.items() if part["second"] < part["first"] and part["p"] < alpha}
    reasons += [f"worse on {name}: {_sentence(part)}" for name, part in worse.items()]
    fallen = {name: part for name, part in labels.items() if part["first"] - part["second"] > max_class_drop + 1e-9}
    reasons += [
        f"{name} falls from {part['first']:.1%} to {part['second']:.1%} of {counted(part['rows'], 'row')} "
        f"({max_class_drop:.0%} is allowed)"
        for name, part in fallen.items()
    ]
    figures: PairedFigures = {
        "sets": {"together": together, **sets},
        "labels": labels,
        "alpha": alpha,
        "most_fall": max_class_drop,
    }
    return Verdict(better and not worse and not fallen, reasons, figures)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of McNemar's test.

    McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12 (1947): if
    neither model were better, each would have half of the rows that only one of them has right. The test takes rows as
    independent; frames of one video are not, and make p too small.
    """
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def chance(p: float) -> str:
    """Return a p for people: three decimals, or that it is below them."""
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _paired_metrics(counts: pd.DataFrame) -> PairedMetrics:
    rows = int(counts["rows"].sum())
    first, second = counts["first"].astype(bool), counts["second"].astype(bool)
    only_first = int(counts.loc[first & ~second, "rows"].sum())
    only_second = int(counts.loc[second & ~first, "rows"].sum())
    return {
        "rows": rows,
        "first": float(counts.loc[first, "rows"].sum() / rows),
        "second": float(counts.loc[second, "rows"].sum() / rows),
        "only_first": only_first,
        "only_second": only_second,
        "p": mcnemar(only_first, only_second),
    }


def _sentence(part: PairedMetrics) -> str:
    return (
        f"{part['first']:.2%} to {part['second']:.2%} of {counted(part['rows'], 'row')}, {part['only_second']} gained "
        f"and {part['only_first']} lost, p = {part['p']:.2g}"
    )

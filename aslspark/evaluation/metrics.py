"""Metrics of a scored table, computed on the driver from a few hundred counts of Spark's.

In: a DataFrame with `label`, `letter`, `top`, `source`, `split`. Out: the dictionary that `metrics.json` holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.evaluation.metrics_json import ClassificationMetrics, ClassScores, Confusion, Scores

UNSCORED = "(none)"
"""The answer of a picture that could not be scored, which counts as wrong."""


def count_answers(scored: DataFrame) -> pd.DataFrame:
    """Count the answers of a scored table.

    Parameters
    ----------
    scored : DataFrame
        With `label`, `source` and `split` (strings) and the columns of `SignClassifierModel`.

    Returns
    -------
    pandas.DataFrame
        With `split`, `source`, `label`, `letter`, `in_top` (bool) and `rows` (int).
    """
    in_top = F.coalesce(F.exists("top", lambda best: best["letter"] == F.col("label")), F.lit(False))
    counts = scored.groupBy(
        "split",
        "source",
        "label",
        F.coalesce("letter", F.lit(UNSCORED)).alias("letter"),
        in_top.alias("in_top"),
    ).agg(F.count("*").alias("rows"))
    return counts.toPandas()


def classification_metrics(counts: pd.DataFrame, labels: Sequence[str]) -> ClassificationMetrics:
    """Compute accuracy, precision, recall, F1 and the confusion matrix.

    Parameters
    ----------
    counts : pandas.DataFrame
        See `count_answers`.
    labels : sequence of str
        The model's labels; labels of the data that it does not know are added after them.
    """
    from sklearn.metrics import precision_recall_fscore_support

    known = [*labels, *sorted(set(counts["label"]) - set(labels))]
    present = [label for label in known if label in set(counts["label"])]

    def scores(average: str | None) -> tuple[Any, Any, Any, Any]:
        return precision_recall_fscore_support(
            counts["label"],
            counts["letter"],
            labels=present,
            sample_weight=counts["rows"],
            average=average,
            zero_division=0.0,
        )

    def mean_scores(average: str) -> Scores:
        precision, recall, f1, _ = scores(average)
        return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}

    per_class: dict[str, ClassScores] = {
        label: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(support)}
        for label, p, r, f, support in zip(present, *scores(None), strict=True)
    }
    return {
        "rows": int(counts["rows"].sum()),
        "unscored": int(counts.loc[counts["letter"] == UNSCORED, "rows"].sum()),
        "accuracy": _share(counts, counts["label"] == counts["letter"]),
        "top3_accuracy": _share(counts, counts["in_top"]),
        "macro": mean_scores("macro"),
        "weighted": mean_scores("weighted"),
        "per_class": per_class,
        "confusion": _confusion(counts, known),
        "by_source": {
            str(source): {
                "rows": int(part["rows"].sum()),
                "accuracy": _share(part, part["label"] == part["letter"]),
            }
            for source, part in counts.groupby("source")
        },
    }


def _confusion(counts: pd.DataFrame, labels: list[str]) -> Confusion:
    answers = [*labels, UNSCORED]
    matrix = (
        counts.pivot_table(index="label", columns="letter", values="rows", aggfunc="sum", fill_value=0)
        .reindex(index=labels, columns=answers, fill_value=0)
        .to_numpy(dtype=np.int64)
    )
    return {"labels": labels, "answers": answers, "counts": matrix.tolist()}


def wilson(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many rows (Wilson 1927); with near-duplicates it is too narrow."""
    z = 1.96
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    # Rounding alone leads out of 0-1, to a lower end of -0.0 %.
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def _share(counts: pd.DataFrame, chosen: pd.Series) -> float:
    return float(counts.loc[chosen, "rows"].sum() / counts["rows"].sum())

"""A model and labelled samples -> figures and plots in a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.decoding import pixels_of
from aslspark.errors import AslsparkError
from aslspark.evaluation.metrics import UNSCORED, count_answers, figures
from aslspark.evaluation.plots import plot_confusion, plot_mistakes
from aslspark.samples import SPLITS
from aslspark.scoring import SignClassifierModel

SHOWN_MISTAKES = 40


def evaluate(
    model: SignClassifierModel, samples: DataFrame, folder: Path, *, judged_on: Sequence[str]
) -> dict[str, Any]:
    """Score labelled samples with the finished model, and write what came out.

    Parameters
    ----------
    model : SignClassifierModel
    samples : DataFrame
        With the columns of `samples.SAMPLE_SCHEMA`.
    folder : Path
        Gets `metrics.json`, `confusion.png` and `mistakes.png`.
    judged_on : sequence of str
        The splits that the plots and the first figures are of; all others get figures of their own.

    Returns
    -------
    dict
        What `metrics.json` holds: the figures of `metrics.figures`, `splits` with those of each split,
        `scoring_seconds`, and of a model that was just trained `watch`, what `aslspark.training.watch` saw.
    """
    started = time.monotonic()
    scored = (
        model.transform(samples)
        .select("id", "label", "source", "split", "letter", "probability", "top")
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        counts = count_answers(scored)
        judged = counts[counts["split"].isin(list(judged_on))]
        if judged.empty:
            raise AslsparkError(f"there are no samples in the split {', '.join(judged_on)} to judge the model on")
        by_split = {split: counts[counts["split"] == split] for split in SPLITS}
        metrics = {
            "judged_on": list(judged_on),
            **figures(judged, model.labels),
            "splits": {split: figures(part, model.labels) for split, part in by_split.items() if not part.empty},
            "scoring_seconds": time.monotonic() - started,
        }
        if model.fitted is not None:
            metrics["watch"] = model.fitted.watch
        wrong = scored.where(F.col("split").isin(list(judged_on)) & ~F.col("label").eqNullSafe(F.col("letter")))
        surest = wrong.orderBy(F.desc("probability"), "id").limit(SHOWN_MISTAKES).toPandas()
        pictures = {
            row["id"]: row["picture"]
            for row in samples.where(F.col("id").isin(list(surest["id"]))).select("id", "picture").collect()
        }
    finally:
        scored.unpersist()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))
    title = f"{metrics['accuracy']:.1%} of {metrics['rows']:,} right ({', '.join(judged_on)})"
    plot_confusion(metrics["confusion"], title, folder / "confusion.png")
    mistakes = []
    for row in surest.to_dict("records"):
        pixels = pixels_of(pictures[row["id"]])
        mistakes.append((pixels, row["label"], row["letter"] or UNSCORED, float(row["probability"] or 0)))
    total = int(judged.loc[judged["label"] != judged["letter"], "rows"].sum())
    plot_mistakes(mistakes, total, folder / "mistakes.png")
    return metrics


def summary(metrics: dict[str, Any]) -> str:
    """Put the figures into a few lines for a console."""
    lines = [
        f"{split:>10}: {part['accuracy']:.2%} right of {part['rows']:,}, "
        f"{part['top3_accuracy']:.2%} among the best three, macro F1 {part['macro']['f1']:.4f}"
        for split, part in metrics["splits"].items()
    ]
    if len(metrics["by_source"]) > 1:
        where = ", ".join(metrics["judged_on"])
        lines += [
            f"{'':>12}{source} ({where}): {part['accuracy']:.2%} right of {part['rows']:,}"
            for source, part in metrics["by_source"].items()
        ]
    return "\n".join(lines)

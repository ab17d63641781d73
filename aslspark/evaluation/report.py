"""A model and labelled samples -> metrics and plots in a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing
from aslspark.common.redacted_files import write_json
from aslspark.data.samples import SPLITS, pictures_of
from aslspark.evaluation.calibration import at_threshold, calibration_metrics
from aslspark.evaluation.calibration_plots import plot_calibration, plot_coverage, plot_groups
from aslspark.evaluation.confusable import choose_examples, confusable_groups, draw_confusable
from aslspark.evaluation.groups import group_metrics, with_groups
from aslspark.evaluation.metrics import UNSCORED, classification_metrics, count_answers
from aslspark.evaluation.metrics_json import Metrics
from aslspark.evaluation.plots import plot_confusion, plot_mistakes
from aslspark.images.decoding import pixels_of
from aslspark.scoring.model import SignClassifierModel

MOST_MISTAKES = 40
"""Pictures on the sheet of mistakes."""


def evaluate(
    model: SignClassifierModel,
    samples: DataFrame,
    folder: Path,
    *,
    judged_on: Sequence[str],
    rows: int | None = None,
) -> Metrics:
    """Score labelled samples with the finished model, and write metrics and plots.

    Metrics are those of the model's best guesses, whatever its threshold; `certainty` says what the threshold leaves.

    Parameters
    ----------
    samples : DataFrame
        With the columns of `samples.SAMPLE_SCHEMA`, and perhaps `hand`.
    folder : Path
        Gets `metrics.json` and `confusion.png`, `mistakes.png`, `confusable.png`, `calibration.png`, `coverage.png`,
        and `groups.png` where a signer or a hand is known.
    judged_on : sequence of str
        The splits of the plots and of the first metrics; every split has metrics of its own.
    rows : int, optional
        How many samples there are, where that is known: to show how far it is.
    """
    started = time.monotonic()
    is_judged = F.col("split").isin(list(judged_on))
    crops = model.hands.options if model.hands is not None else None
    scored = (
        model.best_guesses(with_groups(samples, is_judged, crops))
        .select("id", "label", "source", "split", "groups", "letter", "probability", "as_given", "top")
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        with doing("reading letters", rows=rows, unit="pictures"):
            counts = count_answers(scored)
        judged_counts = counts[counts["split"].isin(list(judged_on))]
        if judged_counts.empty:
            raise AslsparkError(f"there are no samples in the split {', '.join(judged_on)} to judge the model on")
        by_split = {split: counts[counts["split"] == split] for split in SPLITS}
        judged = scored.where(is_judged)
        with doing("judging, and drawing what was misread"):
            metrics: Metrics = {
                "judged_on": list(judged_on),
                **classification_metrics(judged_counts, model.labels),
                "splits": {
                    split: classification_metrics(part, model.labels)
                    for split, part in by_split.items()
                    if not part.empty
                },
                "certainty": calibration_metrics(scored, model.temperature, model.getThreshold()),
                "groups": group_metrics(judged),
                "scoring_seconds": time.monotonic() - started,
            }
            if model.fitted is not None:
                metrics["watch"] = model.fitted.watch
            folder.mkdir(parents=True, exist_ok=True)
            _draw_sheets(judged, judged_counts, samples, folder)
    finally:
        scored.unpersist()
    write_json(folder / "metrics.json", metrics)
    title = f"{metrics['accuracy']:.1%} of {metrics['rows']:,} right ({', '.join(judged_on)})"
    with doing("drawing plots"):
        plot_confusion(metrics["confusion"], title, folder / "confusion.png")
        plot_calibration(metrics["certainty"], folder / "calibration.png")
        plot_coverage(metrics["certainty"], folder / "coverage.png")
        if metrics["groups"]:
            plot_groups(metrics["groups"], metrics["accuracy"], folder / "groups.png")
    return metrics


def _draw_sheets(judged: DataFrame, counts: pd.DataFrame, samples: DataFrame, folder: Path) -> None:
    """Draw `mistakes.png`, and `confusable.png` where the data has letters that look alike."""
    wrong = judged.where(~F.col("label").eqNullSafe(F.col("letter")))
    surest = wrong.orderBy(F.desc("probability"), "id").limit(MOST_MISTAKES).collect()
    groups = confusable_groups(counts)
    examples = choose_examples(groups, judged) if groups else []
    pictures = pictures_of(samples, [row["id"] for rows in (surest, *examples) for row in rows])
    mistakes = [
        (pixels_of(pictures[row["id"]]), row["label"], row["letter"] or UNSCORED, float(row["probability"] or 0))
        for row in surest
    ]
    total = int(counts.loc[counts["label"] != counts["letter"], "rows"].sum())
    plot_mistakes(mistakes, total, folder / "mistakes.png")
    if examples:
        draw_confusable(groups, examples, pictures, folder / "confusable.png")


def summary(metrics: Metrics) -> str:
    """Put the metrics into a few lines for a console."""
    lines = [
        f"{name:>10}: {split['accuracy']:.2%} right of {split['rows']:,}, "
        f"{split['top3_accuracy']:.2%} among the best three, macro F1 {split['macro']['f1']:.4f}"
        for name, split in metrics["splits"].items()
    ]
    if len(metrics["by_source"]) > 1:
        splits = ", ".join(metrics["judged_on"])
        lines += [
            f"{'':>12}{name} ({splits}): {source['accuracy']:.2%} right of {source['rows']:,}"
            for name, source in metrics["by_source"].items()
        ]
    certainty = metrics["certainty"]
    if threshold := certainty["threshold"]:
        for name, split in certainty["splits"].items():
            entry = at_threshold(split, threshold)
            right = f", {entry['accuracy']:.2%} of that right" if entry["accuracy"] is not None else ""
            lines.append(f"{name:>10}: at {threshold:g} and more, {entry['coverage']:.2%} is answered{right}")
    return "\n".join(lines)

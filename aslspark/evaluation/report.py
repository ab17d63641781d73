"""A model and labelled samples -> figures and plots in a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import write_json
from aslspark.data.samples import SPLITS
from aslspark.evaluation.calibration import at_threshold, calibration_metrics
from aslspark.evaluation.calibration_plots import plot_calibration, plot_coverage, plot_groups
from aslspark.evaluation.confusable import choose_examples, confusable_groups, draw_confusable
from aslspark.evaluation.groups import group_metrics, with_groups
from aslspark.evaluation.metrics import UNSCORED, classification_metrics, count_answers
from aslspark.evaluation.plots import plot_confusion, plot_mistakes
from aslspark.evaluation.sample_pictures import pictures_of
from aslspark.images.decoding import pixels_of
from aslspark.scoring.model import SignClassifierModel

SHOWN_MISTAKES = 40


def evaluate(
    model: SignClassifierModel, samples: DataFrame, folder: Path, *, judged_on: Sequence[str]
) -> dict[str, Any]:
    """Score labelled samples with the finished model, and write what came out.

    Figures count the model's best guesses, whatever its threshold; `certainty` says what the threshold leaves of them.

    Parameters
    ----------
    model : SignClassifierModel
    samples : DataFrame
        With the columns of `samples.SAMPLE_SCHEMA`, and perhaps `hand`.
    folder : Path
        Gets `metrics.json` and `confusion.png`, `mistakes.png`, `confusable.png`, `calibration.png`, `coverage.png`,
        and `groups.png` where a signer or a hand is known.
    judged_on : sequence of str
        The splits that the plots and the first figures are of; all others get figures of their own.

    Returns
    -------
    dict
        What `metrics.json` holds: the keys of `metrics.classification_metrics`; `splits`, the same for each split;
        `certainty`, see `calibration.calibration_metrics`; `groups`, see `groups.group_metrics`; `scoring_seconds`; and
        for a model that was just trained `watch`, the alerts of `aslspark.training.training_alerts`.
    """
    started = time.monotonic()
    is_judged = F.col("split").isin(list(judged_on))
    scored = (
        model.best_guesses(with_groups(samples, is_judged, model.hands))
        .select("id", "label", "source", "split", "groups", "letter", "probability", "as_given", "top")
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
            **classification_metrics(judged, model.labels),
            "splits": {
                split: classification_metrics(part, model.labels) for split, part in by_split.items() if not part.empty
            },
            "certainty": calibration_metrics(scored, model.temperature, model.getThreshold()),
            "groups": group_metrics(scored.where(is_judged)),
            "scoring_seconds": time.monotonic() - started,
        }
        if model.fitted is not None:
            metrics["watch"] = model.fitted.watch
        wrong = scored.where(is_judged & ~F.col("label").eqNullSafe(F.col("letter")))
        surest = wrong.orderBy(F.desc("probability"), "id").limit(SHOWN_MISTAKES).toPandas()
        confusable = confusable_groups(judged)
        alike = choose_examples(confusable, scored.where(is_judged)) if confusable else []
        pictures = pictures_of(samples, [*surest["id"], *(row["id"] for rows in alike for row in rows)])
    finally:
        scored.unpersist()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", metrics)
    title = f"{metrics['accuracy']:.1%} of {metrics['rows']:,} right ({', '.join(judged_on)})"
    plot_confusion(metrics["confusion"], title, folder / "confusion.png")
    mistakes = []
    for row in surest.to_dict("records"):
        pixels = pixels_of(pictures[row["id"]])
        mistakes.append((pixels, row["label"], row["letter"] or UNSCORED, float(row["probability"] or 0)))
    total = int(judged.loc[judged["label"] != judged["letter"], "rows"].sum())
    plot_mistakes(mistakes, total, folder / "mistakes.png")
    if alike:
        draw_confusable(confusable, alike, pictures, folder / "confusable.png")
    plot_calibration(metrics["certainty"], folder / "calibration.png")
    plot_coverage(metrics["certainty"], folder / "coverage.png")
    if metrics["groups"]:
        plot_groups(metrics["groups"], metrics["accuracy"], folder / "groups.png")
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
    certainty = metrics["certainty"]
    if threshold := certainty["threshold"]:
        for split, part in certainty["splits"].items():
            left = at_threshold(part, threshold)
            right = f", {left['accuracy']:.2%} of that right" if left["accuracy"] is not None else ""
            lines.append(f"{split:>10}: at {threshold:g} and more, {left['coverage']:.2%} is answered{right}")
    return "\n".join(lines)

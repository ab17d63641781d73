"""The folds of a cross-validation -> `report.html` with its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aslspark.common.plot_style import QUIET, TRAIN_COLOUR, VALIDATION_COLOUR, legend_beside, plot_style
from aslspark.common.redacted_files import write_text
from aslspark.evaluation import html
from aslspark.evaluation.fold_options import BLOCK, LEAKING, LEAVE_ONE, SIGNER
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.plots import plot_confusion

_HOW = {
    BLOCK: "by contiguous blocks of each source and label",
    SIGNER: "by signer",
    **{kind: f"leaving one {column} out" for column, kind in LEAVE_ONE.items()},
    "stratified": "row by row within each label",
    "random": "row by row",
}
_LEAK = (
    "Rows were dealt to the folds one by one. Pictures taken one after another are near duplicates, and here most test "
    "pictures have a near duplicate among the training pictures: these scores come out too high and say nothing about "
    "new people, cameras or sessions. --by block or --leave-one signer avoids that."
)
_ENOUGH_FOR_A_BOX = 4
"""Folds; of fewer, a box plot shows nothing that their dots do not."""
_SCORES = {"accuracy": "right", "macro_f1": "macro F1", "top3_accuracy": "best three"}


def title_of(settings: Mapping[str, Any], folds: int) -> str:
    """Return the page's title, which also says where the scores leak."""
    kind = settings["folds"]["kind"]
    title = f"Cross-validation of {_model(settings)}, {folds} folds {_HOW[kind]}"
    return f"{title}: THESE SCORES LEAK" if kind in LEAKING else title


def write_page(result: Mapping[str, Any], folder: Path) -> None:
    """Write `folds.png` and `confusion.png`, and `report.html`, which shows both.

    Parameters
    ----------
    result : mapping
        See `aslspark.workflows.cross_validate.cross_validate`.
    folder : Path
    """
    settings, folds, scores = result["settings"], result["folds"], result["scores"]
    title = title_of(settings, len(folds))
    leaks = settings["folds"]["kind"] in LEAKING
    _plot_folds(folds, title if leaks else "scores of the folds", folder / "folds.png")
    rows = sum(map(sum, result["confusion"]["counts"]))
    right = sum(row[n] for n, row in enumerate(result["confusion"]["counts"]))
    pooled = f"{right / rows:.1%} of {rows:,} right, every picture tested once"
    plot_confusion(result["confusion"], pooled + (" (LEAKS)" if leaks else ""), folder / "confusion.png")
    parts = []
    if leaks:
        parts.append(html.warning(_LEAK))
    if settings["drawn"]:
        parts.append(html.warning(f"Trained and tested on {settings['drawn']}."))
    accuracy = scores["accuracy"]
    parts += [
        html.paragraph(
            f"{accuracy['mean']:.2%} ± {accuracy['std']:.2%} right (mean and standard deviation over the folds), from "
            f"{accuracy['min']:.2%} in the worst fold to {accuracy['max']:.2%} in the best."
        ),
        html.picture(folder / "folds.png", "scores of each fold"),
        _table(folds, scores),
        html.paragraph(
            "± is the sample standard deviation over the folds. Folds share most of their training rows, so it is no "
            "confidence interval. The best epoch of each fold was chosen by validation rows taken from its training "
            "rows, never by the fold that is tested."
        ),
        *_held_out(folds),
        *_certainty(folds, result["temperature"]),
        html.heading("All folds together"),
        html.picture(folder / "confusion.png", "which letter was read as which"),
        html.heading("How it was made"),
        html.paragraph(_how(settings)),
    ]
    for fold in folds:
        if fold["never_trained"]:
            letters = ", ".join(fold["never_trained"])
            parts.append(html.warning(f"Fold {fold['fold']} tests letters that it never trained on: {letters}."))
    write_text(folder / "report.html", html.page(title, parts))


def _table(folds: Sequence[Mapping[str, Any]], scores: Mapping[str, Any]) -> str:
    header = ["fold", "tested on", "train rows", "validation", "test", *_SCORES.values(), "right in training", "epochs"]
    lines = [
        [
            str(fold["fold"]),
            fold["tested_on"],
            *(f"{fold['rows'].get(split, 0):,}" for split in ("train", "validation", "test")),
            *(_share(name, fold[name]) for name in _SCORES),
            f"{fold['accuracy_of']['train']:.2%}",
            "-" if fold["epochs"] is None else str(fold["epochs"]),
        ]
        for fold in folds
    ]
    for statistic in ("mean", "std", "min", "max"):
        values = [_share(name, scores[name][statistic]) for name in _SCORES]
        lines.append([statistic, "", "", "", "", *values, "", ""])
    return html.table(header, lines, sums=4)


def _held_out(folds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for fold in folds:
        for group in fold["held_out"]:
            low, high = wilson(group["accuracy"], group["rows"])
            cells = [f"{group['rows']:,}", f"{group['accuracy']:.2%}", f"{low:.1%} to {high:.1%}"]
            lines.append([str(fold["fold"]), group["group"], *cells])
    header = ["fold", "held out", "pictures", "right", "95 % range by their number"]
    return [html.heading("What was held out"), html.table(header, lines)]


def _certainty(folds: Sequence[Mapping[str, Any]], temperature: float | None) -> list[str]:
    if temperature is None:
        return []

    def cell(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    columns = [("temperature", ".2f"), ("calibration_error", ".1%")]
    columns += [(f"{name}_of_others", form) for name, form in columns]
    lines = [
        [str(fold["fold"]), fold["tested_on"], *(cell(fold[name], form) for name, form in columns)] for fold in folds
    ]
    header = ["fold", "tested on", "its own temperature", "probabilities off by", "the others'", "off by"]
    return [
        html.heading("Do the probabilities hold?"),
        html.paragraph(
            "A temperature makes a model less sure, or surer. Each fold's own is that of the settings, or of its "
            "validation rows, or 1 without either; beside it stands what the other folds' held-out rows ask for. Off "
            "by: expected calibration error. What was held out by all folds together asks for "
            f"answers.temperature={temperature:g}."
        ),
        html.table(header, lines),
    ]


def _share(name: str, value: float) -> str:
    return f"{value:.4f}" if name == "macro_f1" else f"{value:.2%}"


def _model(settings: Mapping[str, Any]) -> str:
    if settings["model"] != "network":
        return f"MLlib's {settings['model']}"
    return f"the network '{settings['settings']['network']['name']}' ({settings['settings']['training']['framework']})"


def _how(settings: Mapping[str, Any]) -> str:
    folds, training = settings["folds"], settings["settings"]["training"]
    sentences = [
        f"Sources: {', '.join(settings['data']['sources'])}; fingerprint {settings['data']['fingerprint'][:16]}.",
        f"Seed of the folds {folds['seed']}; validation takes {folds['validation']:.0%} of the training groups, "
        "one at least.",
    ]
    if left_out := settings["data"].get("left_out"):
        sentences.append(f"Rows that were given as test are in no fold ({left_out}).")
    if folds["kind"] == BLOCK:
        sentences.append(f"Each source and label was cut into {folds['blocks']} blocks.")
    if settings["model"] == "network":
        sentences.append(
            f"At most {training['epochs']} epochs in {training['num_proc']} processes, batches of "
            f"{training['batch_size']}, learning rate {training['learning_rate']:g}."
        )
    sentences.append("All settings are in cross_validation.json.")
    return " ".join(sentences)


@plot_style()
def _plot_folds(folds: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Draw each score with a dot for each fold, their mean, and a box plot where there are enough folds."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    values = [[fold[name] for fold in folds] for name in _SCORES]
    places = np.arange(1, len(values) + 1)
    if len(folds) >= _ENOUGH_FOR_A_BOX:
        grey = {"color": QUIET}
        # Without outliers, since every fold is drawn as a dot anyway.
        axes.boxplot(
            values, widths=0.5, showfliers=False, boxprops=grey, whiskerprops=grey, capprops=grey, medianprops=grey
        )
    axes.hlines(
        [np.mean(scores) for scores in values], places - 0.3, places + 0.3, color=VALIDATION_COLOUR, label="mean"
    )
    offsets = np.linspace(-0.18, 0.18, len(folds))
    for place, scores in zip(places, values, strict=True):
        axes.scatter(
            place + offsets, scores, s=26, color=TRAIN_COLOUR, zorder=3, label="a fold" if place == 1 else None
        )
        for fold, offset, score in zip(folds, offsets, scores, strict=True):
            at = (place + offset, score)
            number = str(fold["fold"])
            axes.annotate(number, at, xytext=(0, 5), textcoords="offset points", ha="center", fontsize=7)
    axes.set_xticks(places, list(_SCORES.values()))
    axes.set(ylabel="share of the fold's test pictures, or F1", title=title, xlim=(0.4, len(values) + 0.6))
    axes.title.set_wrap(True)
    axes.margins(y=0.15)
    axes.grid(axis="y")
    legend_beside(axes)
    figure.savefig(path)

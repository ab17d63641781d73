"""The folds of a cross-validation -> `report.html` with its plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aslspark.common.plot_style import QUIET, TRAIN_COLOUR, VALIDATION_COLOUR, legend_beside, plot_style
from aslspark.common.report_page import write_page
from aslspark.evaluation.cross_validation_json import CrossValidation, FoldRow, RunSettings, ScoreName
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
_SCORES: dict[ScoreName, str] = {"accuracy": "right", "macro_f1": "macro F1", "top3_accuracy": "best three"}


def write_cross_validation_page(result: CrossValidation, folder: Path) -> None:
    """Write `folds.png` and `confusion.png`, and `report.html`, which shows both."""
    settings, folds = result["settings"], result["folds"]
    leaks = settings["folds"]["kind"] in LEAKING
    title = _title(settings, len(folds))
    _plot_folds(folds, title if leaks else "scores of the folds", folder / "folds.png")
    rows = sum(map(sum, result["confusion"]["counts"]))
    right = sum(row[n] for n, row in enumerate(result["confusion"]["counts"]))
    pooled = f"{right / rows:.1%} of {rows:,} right, every picture tested once"
    plot_confusion(result["confusion"], pooled + (" (LEAKS)" if leaks else ""), folder / "confusion.png")
    write_page(
        folder,
        "cross_validate.html",
        warnings=[
            *([_LEAK] if leaks else []),
            *([f"Trained and tested on {settings['drawn']}."] if settings["drawn"] else []),
            *(
                f"Fold {fold['fold']} tests letters that it never trained on: {', '.join(fold['never_trained'])}."
                for fold in folds
                if fold["never_trained"]
            ),
        ],
        made=_made(settings),
        settings={name: part for name, part in settings["settings"].items() if settings["drawn"] or name != "drawn"},
        title=title,
        wilson=wilson,
        folds=folds,
        scores=result["scores"],
        temperature=result["temperature"],
    )


def _title(settings: RunSettings, folds: int) -> str:
    """Return the page's title, which also says where the scores leak."""
    kind = settings["folds"]["kind"]
    title = f"Cross-validation of {_model(settings)}, {folds} folds {_HOW[kind]}"
    return f"{title}: THESE SCORES LEAK" if kind in LEAKING else title


def _model(settings: RunSettings) -> str:
    if settings["model"] != "network":
        return f"MLlib's {settings['model']}"
    return f"the network '{settings['settings']['network']['name']}' ({settings['settings']['training']['framework']})"


def _made(settings: RunSettings) -> dict[str, str]:
    folds, data = settings["folds"], settings["data"]
    cut = f"; each source and label was cut into {folds['blocks']} blocks" if folds["kind"] == BLOCK else ""
    left_out = data.get("left_out")
    return {
        "data": ", ".join(data["sources"]),
        "fingerprint of the samples": data["fingerprint"],
        "folds": f"seed {folds['seed']}; validation takes {folds['validation']:.0%} of the training groups, one at "
        f"least{cut}",
        "left out": f"Rows that were given as test are in no fold ({left_out})." if left_out else "",
    }


@plot_style()
def _plot_folds(folds: Sequence[FoldRow], title: str, path: Path) -> None:
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

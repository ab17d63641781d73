"""The figures of `honest.py` -> a page with its plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Found = dict[str, Any]

ALPHABET, STUDIO = "alphabet_frames", "studio_hands"
QUESTIONS = {
    (ALPHABET, "random"): "frames,\nat random",
    (ALPHABET, "block"): "frames,\nby block",
    (STUDIO, "random"): "studio,\nat random",
    (STUDIO, "signer"): "studio, signer\nleft out",
    (STUDIO, ALPHABET): "frames after\nstudio alone",
    (ALPHABET, STUDIO): "studio after\nframes alone",
}
"""What was trained on and how it was judged, in the words of the page; the first and the third leak."""
COLOURS = ("#c44e52", "#c44e52", "#dd8452", "#dd8452", "#4c72b0", "#55a868")


def write_page(folder: Path, found: Sequence[Found], machine: dict[str, Any]) -> None:
    """Write README.md, `honest.png` and `augmentation.png` into a folder."""
    at = {(one["model"], one["augmented"], one["trained_on"], one["judged"]): one for one in found}
    best: dict[Any, Found] = {}
    for (model, augmented, *question), one in at.items():
        if augmented or (model, True, *question) not in at:
            best[(model, *question)] = one
    honest = [(STUDIO, "signer"), (ALPHABET, "block")]
    models = sorted(
        {one["model"] for one in found},
        key=lambda model: sum(
            best[(model, *question)]["accuracy"] for question in honest if (model, *question) in best
        ),
        reverse=True,
    )
    scores = {key: 100 * one["accuracy"] for key, one in best.items()}
    gains = {
        (model, *question): 100 * (at[(model, True, *question)]["accuracy"] - at[(model, False, *question)]["accuracy"])
        for model in models
        for question in QUESTIONS
        if {(model, True, *question), (model, False, *question)} <= at.keys()
    }
    networks = [model for model in models if any(key[0] == model for key in gains)]
    _plot(
        folder / "honest.png",
        "What a random split promises, and what an unseen hand gets",
        "right, %",
        models,
        scores,
        "%.0f",
    )
    _plot(
        folder / "augmentation.png",
        "What changing the training pictures adds",
        "points of accuracy",
        networks,
        gains,
        "%+.0f",
    )
    heads = [words.replace("\n", " ") for words in QUESTIONS.values()]
    folds = {model: best[model, STUDIO, "signer"]["folds"] for model in models if (model, STUDIO, "signer") in best}
    spent = sum(one["seconds"] for one in found)
    lines = [
        "# Pictures: random splits, and hands that were not seen",
        "",
        f"24 letters, pictures of {found[0]['size']}x{found[0]['size']} pixels, two Horovod processes on "
        f"{machine['cores']} cores ({machine['cpu']}), made by `spark-submit benchmarks/studies/honest.py` with "
        "`conf/pictures.yaml` (the script says how long each network learns). Frames: `alphabet_frames`, every seventh "
        "frame of short videos; studio: `studio_hands`, five signers. Split at random a picture's near duplicates are "
        "trained on while it is judged: those columns are what is usually published, and say nothing of another "
        "person. Networks learn from changed pictures; none starts from weights "
        "of other pictures, which is what those made for larger ones need most. One that had not begun to learn when "
        "its passes were over shows little more than chance, which is 4 %: "
        "[longer ones](../results.md#pictures-longer).",
        "",
        "![accuracy by question](honest.png)",
        "",
        *_table("model", heads, {model: _cells(scores, model, "{:.1f} %") for model in models}),
        "",
        "## Each signer left out",
        "",
        *_table(
            "model",
            [*(f"hand{n}" for n in range(1, 6)), "mean"],
            {
                model: [
                    *(f"{100 * share:.1f}" for _, share in sorted(of.items())),
                    f"{scores[model, STUDIO, 'signer']:.1f}",
                ]
                for model, of in folds.items()
            },
        ),
        "",
        "## What changing the training pictures adds",
        "",
        "Points of accuracy, changed minus unchanged training pictures, all else alike.",
        "",
        "![what augmentation adds](augmentation.png)",
        "",
        *_table("network", heads, {model: _cells(gains, model, "{:+.1f}") for model in networks}),
        "",
        f"All {len(found)} trials took {spent / 60:.0f} minutes, beside other work on the machine.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


def _table(first: str, heads: Sequence[str], rows: dict[str, list[str]]) -> list[str]:
    lines = [f"| {first} | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    return lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]


def _cells(values: dict[Any, float], model: str, form: str) -> list[str]:
    return [form.format(values[(model, *question)]) if (model, *question) in values else "" for question in QUESTIONS]


def _plot(path: Path, title: str, unit: str, models: Sequence[str], values: dict[Any, float], form: str) -> None:
    """Draw a group of bars for each model, one for each question that somebody was asked."""
    asked = [question for question in QUESTIONS if any((model, *question) in values for model in models)]
    if not asked:
        return
    figure, axes = _axes(len(models))
    width = 0.8 / len(asked)
    colours = dict(zip(QUESTIONS, COLOURS, strict=True))
    for place, question in enumerate(asked):
        leaks = question[1] == "random"
        bars = axes.bar(
            np.arange(len(models)) + (place - (len(asked) - 1) / 2) * width,
            [values.get((model, *question), np.nan) for model in models],
            width * 0.92,
            color="none" if leaks else colours[question],
            edgecolor=colours[question],
            hatch="////" if leaks else None,
            label=QUESTIONS[question].replace("\n", " ") + (" (leaks)" if leaks else ""),
        )
        axes.bar_label(bars, fmt=form, fontsize=7, padding=1)
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.margins(y=0.12)
    _finish(figure, axes, models, path)


def _axes(groups: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(max(7.0, 1.9 * groups), 4.6), layout="constrained")


def _finish(figure: Any, axes: Any, models: Sequence[str], path: Path) -> None:
    axes.set_xticks(range(len(models)), models)
    axes.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.09), frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=110)

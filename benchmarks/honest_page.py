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
    models = list(dict.fromkeys(one["model"] for one in sorted(found, key=lambda one: one["accuracy"])))
    at = {(one["model"], one["augmented"], one["trained_on"], one["judged"]): one for one in found}
    best = {
        (model, question): max(
            (at[key] for changed in (True, False) if (key := (model, changed, *question)) in at),
            key=lambda one: one["augmented"],
            default=None,
        )
        for model in models
        for question in QUESTIONS
    }
    _plot_questions(folder / "honest.png", models, best)
    _plot_augmentation(folder / "augmentation.png", models, at)
    (folder / "README.md").write_text("\n".join(_lines(models, best, at, found, machine)) + "\n")


def _lines(
    models: Sequence[str],
    best: dict[Any, Any],
    at: dict[Any, Any],
    found: Sequence[Found],
    machine: dict[str, Any],
) -> list[str]:
    heads = [words.replace("\n", " ") for words in QUESTIONS.values()]
    size = found[0]["size"]
    lines = [
        "# Pictures: random splits, and hands that were not seen",
        "",
        f"24 letters, pictures of {size}x{size} pixels, two Horovod processes on {machine['cores']} cores "
        f"({machine['cpu']}), made by `spark-submit benchmarks/honest.py` (its settings stand there). Frames: "
        "`alphabet_frames`, every seventh frame of short videos; studio: `studio_hands`, five signers. Split at random "
        "a picture's near-twins are trained on while it is judged: those columns are what is usually published, and "
        "say nothing of another person. Networks learn from changed pictures; none starts from other pictures.",
        "",
        "![accuracy by question](honest.png)",
        "",
        "| model | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for model in models:
        cells = [_percent(best[model, question]) for question in QUESTIONS]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Each signer left out",
        "",
        "| model | " + " | ".join(f"hand{n}" for n in range(1, 6)) + " | mean |",
        "|---" * 7 + "|",
    ]
    for model in models:
        one = best[model, (STUDIO, "signer")]
        if one:
            cells = [f"{100 * accuracy:.1f}" for _, accuracy in sorted(one["folds"].items())]
            lines.append(f"| {model} | " + " | ".join(cells) + f" | {100 * one['accuracy']:.1f} |")
    lines += [
        "",
        "## What changing the training pictures adds",
        "",
        "Points of accuracy, changed minus unchanged training pictures, all else alike.",
        "",
        "![what augmentation adds](augmentation.png)",
        "",
        "| network | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for model in models:
        gains = [_gain(at, model, question) for question in QUESTIONS]
        if any(gain is not None for gain in gains):
            lines.append(f"| {model} | " + " | ".join("" if g is None else f"{g:+.1f}" for g in gains) + " |")
    spent = sum(one["seconds"] for one in found)
    lines += ["", f"All {len(found)} trials took {spent / 60:.0f} minutes, beside other work on the machine."]
    return lines


def _percent(one: Found | None) -> str:
    return "" if one is None else f"{100 * one['accuracy']:.1f} %"


def _gain(at: dict[Any, Any], model: str, question: tuple[str, str]) -> float | None:
    changed, plain = at.get((model, True, *question)), at.get((model, False, *question))
    return None if changed is None or plain is None else 100 * (changed["accuracy"] - plain["accuracy"])


def _plot_questions(path: Path, models: Sequence[str], best: dict[Any, Any]) -> None:
    figure, axes = _axes(len(models))
    width = 0.8 / len(QUESTIONS)
    for place, ((question, words), colour) in enumerate(zip(QUESTIONS.items(), COLOURS, strict=True)):
        values = [100 * one["accuracy"] if (one := best[model, question]) else np.nan for model in models]
        leaks = question[1] == "random"
        at = np.arange(len(models)) + (place - (len(QUESTIONS) - 1) / 2) * width
        bars = axes.bar(
            at,
            values,
            width * 0.92,
            color=colour if not leaks else "none",
            edgecolor=colour,
            hatch="////" if leaks else None,
            label=words.replace("\n", " ") + (" (leaks)" if leaks else ""),
        )
        axes.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
    axes.set_ylim(0, 108)
    axes.set_ylabel("right, %")
    axes.set_title("What a random split promises, and what an unseen hand gets")
    _finish(figure, axes, models, path)


def _plot_augmentation(path: Path, models: Sequence[str], at: dict[Any, Any]) -> None:
    networks = [model for model in models if any(_gain(at, model, question) is not None for question in QUESTIONS)]
    if not networks:
        return
    figure, axes = _axes(len(networks))
    width = 0.8 / len(QUESTIONS)
    for place, ((question, words), colour) in enumerate(zip(QUESTIONS.items(), COLOURS, strict=True)):
        gains = [_gain(at, model, question) for model in networks]
        where = np.arange(len(networks)) + (place - (len(QUESTIONS) - 1) / 2) * width
        leaks = question[1] == "random"
        bars = axes.bar(
            where,
            [np.nan if gain is None else gain for gain in gains],
            width * 0.92,
            color=colour if not leaks else "none",
            edgecolor=colour,
            hatch="////" if leaks else None,
            label=words.replace("\n", " "),
        )
        axes.bar_label(bars, fmt="%+.0f", fontsize=7, padding=1)
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.set_ylabel("points of accuracy")
    axes.set_title("What changing the training pictures adds")
    axes.margins(y=0.12)
    _finish(figure, axes, networks, path)


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

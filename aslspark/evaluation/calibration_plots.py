"""The pictures of certainty: whether probabilities hold, what silence buys, and who is read how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from aslspark.common.plot_style import QUIET, TRAIN_COLOUR, VALIDATION_COLOUR, literal_text
from aslspark.evaluation.groups import NAMES
from aslspark.evaluation.metrics import wilson

_COLOURS = {"validation": VALIDATION_COLOUR, "test": TRAIN_COLOUR}
_SHOWN_GROUPS = 20


@literal_text()
def plot_calibration(certainty: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy against the model's own probability, before and after the temperature, for each held-out split.

    A dot a bin, as large as the bin has pictures, with the range that chance leaves.
    """
    splits = {name: part for name, part in certainty["splits"].items() if name in _COLOURS and part["bins"]}
    splits = splits or dict(certainty["splits"])
    figure = Figure(figsize=(4.6 * len(splits), 4.6), layout="constrained")
    figure.suptitle(
        f"do the probabilities hold? (temperature {certainty['temperature']:.2f}; a dot a bin, lines: 95 %)"
    )
    for axes, (name, part) in zip(figure.subplots(1, len(splits), squeeze=False)[0], splits.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":", label="as it should be")
        for bins, when, colour, error in (
            ("bins_before", "before", QUIET, part["calibration_error_before"]),
            ("bins", "after", _COLOURS.get(name, TRAIN_COLOUR), part["calibration_error"]),
        ):
            found = part[bins]
            rows = np.array([line["rows"] for line in found])
            label = f"{when}: off by {error:.1%}" if error is not None else when
            x, y = [line["certainty"] for line in found], [line["accuracy"] for line in found]
            for line in found:
                ends = wilson(line["accuracy"], line["rows"])
                axes.plot([line["certainty"]] * 2, ends, color=colour, linewidth=1, alpha=0.4)
            axes.scatter(x, y, s=12 + 240 * rows / max(rows.sum(), 1), color=colour, alpha=0.7, label=label)
        axes.set(xlabel="probability", ylabel="right", title=f"{name}, {part['rows']:,} pictures", aspect="equal")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.grid(alpha=0.25)
        legend = axes.legend(loc="upper left", fontsize=8)
        for handle in legend.legend_handles[1:]:
            handle.set_sizes([30])
    figure.savefig(path, dpi=120)


@literal_text()
def plot_coverage(certainty: Mapping[str, Any], path: Path) -> None:
    """Draw the accuracy of what is answered against how much is, with thresholds marked."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    splits = {name: part for name, part in certainty["splits"].items() if name in _COLOURS} or certainty["splits"]
    for name, part in splits.items():
        colour = _COLOURS.get(name, QUIET)
        axes.plot(part["curve"]["coverage"], part["curve"]["accuracy"], color=colour, label=name)
    name, part = list(splits.items())[-1]
    places: dict[tuple[float, float], list[float]] = {}
    for mark in part["coverage"]:
        if mark["accuracy"] is not None:
            places.setdefault((mark["coverage"], mark["accuracy"]), []).append(mark["threshold"])
    for at, thresholds in places.items():
        chosen = certainty["threshold"] in thresholds
        axes.plot(*at, marker="D" if chosen else "o", markersize=8 if chosen else 4, color=_COLOURS.get(name, QUIET))
        words = ", ".join(f"{threshold:g}" for threshold in thresholds) + (" (the bundle's)" if chosen else "")
        axes.annotate(words, at, xytext=(7, 0), textcoords="offset points", fontsize=8, va="center")
    axes.set(xlabel="answered, share of all pictures", ylabel="right, of those answered")
    axes.margins(x=0.25)
    axes.set_title(f"what a threshold buys (marked on {name})")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path, dpi=120)


@literal_text()
def plot_groups(groups: Mapping[str, Sequence[Mapping[str, Any]]], accuracy: float, path: Path) -> None:
    """Draw the accuracy of each group with the range that chance leaves, and that of all together."""
    shown = {kind: _fewest_right(found) for kind, found in groups.items()}
    heights = [0.6 + 0.27 * len(found) for found in shown.values()]
    figure = Figure(figsize=(8, sum(heights) + 0.9), layout="constrained")
    title = "who is read how well (line: 95 % range by the number of pictures; dotted: all together)"
    figure.suptitle(title, fontsize=10)
    all_axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (kind, found) in zip(all_axes, shown.items(), strict=True):
        places = range(len(found))
        for place, figures in enumerate(found):
            axes.plot([figures["low"], figures["high"]], [place, place], color="#222222", linewidth=1)
            axes.plot(figures["accuracy"], place, marker="o", color=TRAIN_COLOUR)
            words = f"{figures['accuracy']:.0%} of {figures['rows']:,}"
            axes.text(1.02, place, words, va="center", fontsize=8, transform=axes.get_yaxis_transform())
        axes.axvline(accuracy, color=QUIET, linestyle=":")
        axes.set_yticks(places, [figures["group"] for figures in found], fontsize=8)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(found) - 0.5, -0.5))
        more = f" (the {len(found)} read worst of {len(groups[kind])})" if len(found) < len(groups[kind]) else ""
        axes.set_title(NAMES[kind] + more, fontsize=9, loc="left")
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[-1].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.savefig(path, dpi=120)


def _fewest_right(found: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(found) <= _SHOWN_GROUPS:
        return found
    return sorted(found, key=lambda figures: figures["accuracy"])[:_SHOWN_GROUPS]

"""Plots of calibration: probability against accuracy, accuracy against coverage, accuracy by group."""

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
_MOST_GROUPS = 20
"""The most groups of a kind that are drawn."""


@literal_text()
def plot_calibration(certainty: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy against probability, before and after the temperature, for each held-out split.

    Each bin is a dot whose size shows its number of pictures; the line through it is its 95 % interval.
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
            (part["bins_before"], "before", QUIET, part["calibration_error_before"]),
            (part["bins"], "after", _COLOURS.get(name, TRAIN_COLOUR), part["calibration_error"]),
        ):
            rows = np.array([each["rows"] for each in bins])
            label = f"{when}: off by {error:.1%}" if error is not None else when
            x, y = [each["certainty"] for each in bins], [each["accuracy"] for each in bins]
            for each in bins:
                interval = wilson(each["accuracy"], each["rows"])
                axes.plot([each["certainty"]] * 2, interval, color=colour, linewidth=1, alpha=0.4)
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
    """Draw the accuracy of answered pictures against the share that is answered, with thresholds marked."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    splits = {name: part for name, part in certainty["splits"].items() if name in _COLOURS} or certainty["splits"]
    for name, part in splits.items():
        colour = _COLOURS.get(name, QUIET)
        axes.plot(part["curve"]["coverage"], part["curve"]["accuracy"], color=colour, label=name)
    name, part = list(splits.items())[-1]
    points: dict[tuple[float, float], list[float]] = {}
    for entry in part["coverage"]:
        if entry["accuracy"] is not None:
            points.setdefault((entry["coverage"], entry["accuracy"]), []).append(entry["threshold"])
    for point, thresholds in points.items():
        is_set = certainty["threshold"] in thresholds
        axes.plot(*point, marker="D" if is_set else "o", markersize=8 if is_set else 4, color=_COLOURS.get(name, QUIET))
        label = ", ".join(f"{threshold:g}" for threshold in thresholds) + (" (the bundle's)" if is_set else "")
        axes.annotate(label, point, xytext=(7, 0), textcoords="offset points", fontsize=8, va="center")
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
    """Draw the accuracy of each group with its 95 % interval, and that of all pictures together."""
    drawn = {kind: _least_accurate(metrics) for kind, metrics in groups.items()}
    heights = [0.6 + 0.27 * len(metrics) for metrics in drawn.values()]
    figure = Figure(figsize=(8, sum(heights) + 0.9), layout="constrained")
    title = "who is read how well (line: 95 % range by the number of pictures; dotted: all together)"
    figure.suptitle(title, fontsize=10)
    all_axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (kind, metrics) in zip(all_axes, drawn.items(), strict=True):
        for place, group in enumerate(metrics):
            axes.plot([group["low"], group["high"]], [place, place], color="#222222", linewidth=1)
            axes.plot(group["accuracy"], place, marker="o", color=TRAIN_COLOUR)
            label = f"{group['accuracy']:.0%} of {group['rows']:,}"
            axes.text(1.02, place, label, va="center", fontsize=8, transform=axes.get_yaxis_transform())
        axes.axvline(accuracy, color=QUIET, linestyle=":")
        axes.set_yticks(range(len(metrics)), [group["group"] for group in metrics], fontsize=8)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(metrics) - 0.5, -0.5))
        more = f" (the {len(metrics)} read worst of {len(groups[kind])})" if len(metrics) < len(groups[kind]) else ""
        axes.set_title(NAMES[kind] + more, fontsize=9, loc="left")
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[-1].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.savefig(path, dpi=120)


def _least_accurate(metrics: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(metrics) <= _MOST_GROUPS:
        return metrics
    return sorted(metrics, key=lambda group: group["accuracy"])[:_MOST_GROUPS]

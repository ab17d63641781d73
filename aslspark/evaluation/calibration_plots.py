"""Plots of calibration: probability against accuracy, accuracy against coverage, accuracy by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aslspark.common.counted import counted
from aslspark.common.plot_style import (
    INK,
    QUIET,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    as_percent,
    label_at_right,
    legend_beside,
    limits_of_shares,
    plot_style,
    show_percent,
)
from aslspark.evaluation.groups import NAMES
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.metrics_json import Certainty, GroupAccuracy

_COLOURS = {"validation": VALIDATION_COLOUR, "test": TRAIN_COLOUR}
_MOST_GROUPS = 20
"""The most groups of a kind that are drawn."""
_POINT_MARKERS = "osD^v<>PXhd"


@plot_style()
def plot_calibration(certainty: Certainty, path: Path) -> None:
    """Draw accuracy against probability for each held-out split, before and after the temperature where one is set.

    Each bin is a dot whose size shows its number of pictures; the line through it is its 95 % interval.
    """
    splits = {name: part for name, part in certainty["splits"].items() if name in _COLOURS and part["bins"]}
    splits = splits or dict(certainty["splits"])
    figure = Figure(figsize=(max(4.2 * len(splits), 5.6), 5.0), layout="constrained")
    is_set = certainty["temperature"] != 1
    how = f"temperature {certainty['temperature']:.2f}" if is_set else "no temperature is set"
    figure.suptitle(f"do the probabilities hold? ({how})")
    for axes, (name, part) in zip(figure.subplots(1, len(splits), squeeze=False)[0], splits.items(), strict=True):
        handles = axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1, label="as it should be")
        title = f"{name}, {counted(part['rows'], 'picture')}"
        if part["calibration_error"] is not None:
            before = f" (before: {part['calibration_error_before']:.1%})" if is_set else ""
            title += f"\nprobabilities off by {part['calibration_error']:.1%}{before}"
        drawn = [(part["bins"], "after it" if is_set else "the model's answers", TRAIN_COLOUR, "o")]
        if is_set:
            drawn.insert(0, (part["bins_before"], "before the temperature", QUIET, "s"))
        for bins, label, colour, marker in drawn:
            rows = np.array([each["rows"] for each in bins])
            x, y = [each["certainty"] for each in bins], [each["accuracy"] for each in bins]
            for each in bins:
                interval = wilson(each["accuracy"], each["rows"])
                axes.plot([each["certainty"]] * 2, interval, color=colour, linewidth=1, alpha=0.4)
            sizes = 12 + 240 * rows / max(rows.sum(), 1)
            axes.scatter(x, y, s=sizes, color=colour, marker=marker, alpha=0.7, linewidths=0)
            handles += axes.plot([], [], color=colour, marker=marker, linestyle="none", label=label)
        axes.set(xlabel="probability", ylabel="right", title=title, aspect="equal")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        show_percent(axes.yaxis)
        show_percent(axes.xaxis)
        axes.grid()
    handles += axes.plot([], [], color=TRAIN_COLOUR, alpha=0.4, label="95% range")
    figure.legend(handles=handles, loc="outside lower center", ncols=4, title="a dot: pictures of like probability")
    figure.savefig(path)


@plot_style()
def plot_coverage(certainty: Certainty, path: Path) -> None:
    """Draw the accuracy of answered pictures against the share that is answered, with thresholds marked."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
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
    # Thresholds lie close to each other where a model is sure of itself: numbers at the points would lie upon each
    # other. So each point has a marker, and what it stands for is in the legend.
    for place, (point, thresholds) in enumerate(points.items()):
        is_set = certainty["threshold"] in thresholds
        answered = as_percent(float(f"{point[0]:.2g}"))  # two digits: 1 of 203 is 0.49%, and not 0%
        label = f"{_range(thresholds)}: {point[1]:.1%} of {answered}" + (" (as set)" if is_set else "")
        axes.plot(
            *point,
            marker=_POINT_MARKERS[place % len(_POINT_MARKERS)],
            markersize=9 if is_set else 6,
            markeredgecolor="white",
            linestyle="none",
            color=_COLOURS.get(name, QUIET),
            label=label,
            clip_on=False,
        )
    accuracies = [share for each in splits.values() for share in each["curve"]["accuracy"]]
    coverages = [share for each in splits.values() for share in each["curve"]["coverage"]]
    axes.set(xlabel="answered, share of all pictures", ylabel="right, of those answered")
    axes.set(xlim=limits_of_shares(*coverages or [0, 1]), ylim=limits_of_shares(*accuracies or [0, 1]))
    axes.set_title(f"what a threshold buys (marked on {name})")
    for axis in (axes.xaxis, axes.yaxis):
        show_percent(axis)
    axes.grid()
    legend_beside(axes, title="threshold: right, of answered")
    figure.savefig(path)


def _range(thresholds: Sequence[float]) -> str:
    if len(thresholds) < 3:
        return ", ".join(f"{threshold:g}" for threshold in thresholds)
    return f"{min(thresholds):g} to {max(thresholds):g}"


@plot_style()
def plot_groups(groups: Mapping[str, Sequence[GroupAccuracy]], accuracy: float, path: Path) -> None:
    """Draw the accuracy of each group with its 95 % interval, and that of all pictures together."""
    drawn = {kind: _least_accurate(metrics) for kind, metrics in groups.items()}
    heights = [0.6 + 0.27 * len(metrics) for metrics in drawn.values()]
    figure = Figure(figsize=(8, sum(heights) + 0.9), layout="constrained")
    title = "who is read how well (line: 95% range by the number of pictures; dotted: all together)"
    figure.suptitle(title)
    all_axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (kind, metrics) in zip(all_axes, drawn.items(), strict=True):
        for place, group in enumerate(metrics):
            axes.plot([group["low"], group["high"]], [place, place], color=INK, linewidth=1)
            axes.plot(group["accuracy"], place, marker="o", color=TRAIN_COLOUR)
        axes.axvline(accuracy, color=QUIET, linestyle=":")
        axes.set_yticks(range(len(metrics)), [group["group"] for group in metrics])
        label_at_right(
            axes, range(len(metrics)), [f"{group['accuracy']:.0%} of {group['rows']:,}" for group in metrics]
        )
        axes.set(xlim=(-0.02, 1.02), ylim=(len(metrics) - 0.5, -0.5))
        more = f" (the {len(metrics)} read worst of {len(groups[kind])})" if len(metrics) < len(groups[kind]) else ""
        axes.set_title(NAMES[kind] + more, loc="left")
        axes.grid(axis="x")
    show_percent(all_axes[-1].xaxis)
    figure.savefig(path)


def _least_accurate(metrics: Sequence[GroupAccuracy]) -> Sequence[GroupAccuracy]:
    if len(metrics) <= _MOST_GROUPS:
        return metrics
    return sorted(metrics, key=lambda group: group["accuracy"])[:_MOST_GROUPS]

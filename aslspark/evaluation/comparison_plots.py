"""Plots of a comparison: accuracy by set, accuracy against cost, and pictures that bundles read differently."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from aslspark.common.counted import counted
from aslspark.common.plot_style import (
    COLOURS,
    INK,
    MARKERS,
    label_at_right,
    legend_beside,
    limits_of_shares,
    plot_style,
    show_percent,
)
from aslspark.evaluation.comparison_json import BundleRow
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.sheets import PLAIN, Tile, colour_of, draw_sheet


@plot_style()
def plot_scores(bundles: Sequence[BundleRow], sets: Sequence[str], path: Path) -> None:
    """Draw each bundle's accuracy on each set, with its 95 % interval."""
    figure = Figure(figsize=(8.5, 1.2 + 0.32 * len(bundles) * len(sets) + 0.25 * len(sets)), layout="constrained")
    axes = figure.subplots()
    places: list[int] = []
    names: list[str] = []
    shares: list[str] = []
    for s, name in enumerate(sets):
        for b, bundle in enumerate(bundles):
            judged = bundle["sets"][name]
            place = s * (len(bundles) + 1) + b
            low, high = wilson(judged["accuracy"], judged["rows"])
            axes.barh(place, judged["accuracy"], color=COLOURS[b % len(COLOURS)])
            axes.plot([low, high], [place, place], color=INK, linewidth=1)
            places.append(place)
            names.append(f"{name}: {bundle['name']}")
            shares.append(f"{judged['accuracy']:.1%}")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    label_at_right(axes, places, shares)
    axes.set(xlim=(0, 1), xlabel="right (the line: 95% range by the number of pictures)")
    show_percent(axes.xaxis)
    figure.savefig(path)


@plot_style()
def plot_cost(bundles: Sequence[BundleRow], sets: Sequence[str], path: Path) -> None:
    """Draw accuracy against the milliseconds of one picture, for the bundles that were timed."""
    timed = [(b, bundle, ms) for b, bundle in enumerate(bundles) if (ms := bundle["ms_a_picture"]) is not None]
    dots = len(timed) * len(sets)
    figure = Figure(figsize=(8, 2.6 if dots < 5 else 3.8), layout="constrained")  # two dots in a large box say little
    axes = figure.subplots()
    for b, bundle, ms in timed:
        for s, name in enumerate(sets):
            axes.scatter(
                ms,
                bundle["sets"][name]["accuracy"],
                s=60,
                color=COLOURS[b % len(COLOURS)],
                marker=MARKERS[s % len(MARKERS)],
                label=f"{bundle['name']}, {name}" if len(sets) > 1 else bundle["name"],
                clip_on=False,
                zorder=3,
            )
    axes.set_xscale("log")
    times = [ms for *_, ms in timed]
    axes.set_xlim(min(times) / 1.5, max(times) * 1.5)
    # Within a factor of a few, 1, 2 and 5 would leave one tick or two: no scale to read a dot by.
    steps = (1, 2, 5) if max(times) > 5 * min(times) else (1, 1.5, 2, 3, 4, 5, 6, 8)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    shares = [bundle["sets"][name]["accuracy"] for _, bundle, _ in timed for name in sets]
    axes.set(xlabel="milliseconds a picture, one at a time", ylabel="right", ylim=limits_of_shares(*shares))
    show_percent(axes.yaxis)
    axes.grid()
    legend_beside(axes)
    figure.savefig(path)


def plot_disagreements(
    drawn: Sequence[tuple[npt.NDArray[np.uint8], str, Sequence[str]]],
    names: Sequence[str],
    differing: int,
    rows: int,
    path: Path,
) -> None:
    """Draw pictures that bundles read differently, with the answer of each: blue where it is right.

    Parameters
    ----------
    drawn : sequence of (picture, label, answers)
        Answers in the order of `names`.
    names : sequence of str
        Of the bundles.
    differing, rows : int
        How many pictures they read differently, of how many.
    """
    part = "all of them" if len(drawn) == differing else f"{len(drawn)} of them"
    title = f"{counted(rows, 'picture')}, {differing:,} read differently; {part}"
    tiles = [
        Tile(
            picture,
            [
                (label, PLAIN),
                *((f"{name}: {answer}", colour_of(answer, label)) for name, answer in zip(names, answers, strict=True)),
            ],
        )
        for picture, label, answers in drawn
    ]
    draw_sheet([(title, tiles)], path, columns=8, width=1.3, size=7)

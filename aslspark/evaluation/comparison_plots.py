"""Plots of a comparison: accuracy by set, accuracy against cost, and pictures that bundles read differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from aslspark.common.plot_style import literal_text
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.sheets import PLAIN, Tile, colour_of, draw_sheet

_COLOURS = ("#4C78A8", "#E45756", "#54A24B", "#F58518", "#72B7B2", "#B279A2", "#9D755D", "#777777")


@literal_text()
def plot_scores(bundles: Sequence[Mapping[str, Any]], sets: Sequence[str], path: Path) -> None:
    """Draw each bundle's accuracy on each set, with its 95 % interval."""
    figure = Figure(figsize=(8.5, 1.2 + 0.32 * len(bundles) * len(sets) + 0.25 * len(sets)), layout="constrained")
    axes = figure.subplots()
    places, names = [], []
    for s, name in enumerate(sets):
        for b, bundle in enumerate(bundles):
            judged = bundle["sets"][name]
            place = s * (len(bundles) + 1) + b
            low, high = wilson(judged["accuracy"], judged["rows"])
            axes.barh(place, judged["accuracy"], color=_COLOURS[b % len(_COLOURS)])
            axes.plot([low, high], [place, place], color="#222222", linewidth=1)
            axes.text(max(high, judged["accuracy"]) + 0.01, place, f"{judged['accuracy']:.1%}", va="center", fontsize=8)
            places.append(place)
            names.append(f"{name}: {bundle['name']}")
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.12), xlabel="right (the line: 95 % range by the number of pictures)")
    axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


@literal_text()
def plot_cost(bundles: Sequence[Mapping[str, Any]], sets: Sequence[str], path: Path) -> None:
    """Draw accuracy against the milliseconds of one picture, for the bundles that were timed."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    markers = "osD^v<>P"
    for b, bundle in enumerate(bundles):
        if bundle["ms_a_picture"] is None:
            continue
        for s, name in enumerate(sets):
            axes.scatter(
                bundle["ms_a_picture"],
                bundle["sets"][name]["accuracy"],
                s=60,
                color=_COLOURS[b % len(_COLOURS)],
                marker=markers[s % len(markers)],
                label=f"{bundle['name']}, {name}",
            )
    axes.set_xscale("log")
    times = [bundle["ms_a_picture"] for bundle in bundles if bundle["ms_a_picture"] is not None]
    axes.set_xlim(min(times) / 2, max(times) * 2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="milliseconds a picture, one at a time", ylabel="right", ylim=(0, 1.02))
    axes.set_yticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path, dpi=120)


def plot_disagreements(
    drawn: Sequence[tuple[npt.NDArray[np.uint8], str, Sequence[str]]],
    names: Sequence[str],
    differing: int,
    rows: int,
    path: Path,
) -> None:
    """Draw pictures that bundles read differently, with the answer of each: green where it is right.

    Parameters
    ----------
    drawn : sequence of (picture, label, answers)
        Answers in the order of `names`.
    names : sequence of str
        Of the bundles.
    differing, rows : int
        How many pictures they read differently, of how many.
    path : Path
    """
    part = "all of them" if len(drawn) == differing else f"{len(drawn)} of them"
    title = f"{differing:,} of {rows:,} pictures are read differently; {part}"
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
    width = max(1.3, 0.075 * (max(map(len, names)) + 10))
    draw_sheet([(title, tiles)], path, columns=8, width=width, size=7)

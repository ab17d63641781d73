"""Plots of a monitor: every statistic against its limit, and a batch beside the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from aslspark.common.counted import counted
from aslspark.common.plot_style import (
    QUIET,
    SMALL,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    Spot,
    plot_style,
    save_with_spots,
    show_percent,
)
from aslspark.monitoring.drift import histogram
from aslspark.monitoring.measures import ANSWER, FLAGS
from aslspark.monitoring.profile import Profile

_MOST = 2.0
"""Times the limit; the map draws larger values alike."""


@plot_style()
def plot_drift(batches: Sequence[Mapping[str, Any]], alarm_rate: float, path: Path) -> None:
    """Draw each statistic of each batch as a share of its limit: bars for one batch, a map for several.

    Parameters
    ----------
    batches : sequence of dict
        As in `drift.json`.
    """
    names = sorted({name for row in batches for name in row["statistics"]})
    shares = np.array(
        [
            [
                row["statistics"][name]["value"] / row["statistics"][name]["limit"]
                if name in row["statistics"]
                else np.nan
                for row in batches
            ]
            for name in names
        ]
    ).reshape(len(names), len(batches))
    width = 7.0 if len(batches) == 1 else 3.6 + min(0.34 * len(batches), 16)
    figure = Figure(figsize=(width, 1.4 + 0.26 * max(len(names), 4)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), [_in_words(name) for name in names])
    if len(batches) == 1:
        values = shares[:, 0]
        colours = [VALIDATION_COLOUR if value > 1 else TRAIN_COLOUR for value in values]
        axes.barh(range(len(names)), np.minimum(values, 2 * _MOST), color=colours)
        for place, value in enumerate(values):
            if value > 2 * _MOST:
                axes.text(
                    2 * _MOST, place, f"{value:.0f} times ", ha="right", va="center", color="white", fontsize=SMALL
                )
        axes.axvline(1, color="black", linewidth=1)
        axes.set(xlabel="times its limit", ylim=(max(len(names), 1) - 0.5, -0.5))
        title = f"{batches[0]['batch']}, {counted(batches[0]['rows'], 'row')}"
    else:
        image = axes.imshow(shares, cmap="RdYlBu_r", vmin=0, vmax=_MOST, aspect="auto")
        for row, column in zip(*np.nonzero(shares > 1), strict=True):
            axes.plot(column, row, marker="x", color="black", markersize=5)
        step = math.ceil(len(batches) / 40)
        labelled = range(0, len(batches), step)
        axes.set_xticks(labelled, [batches[n]["batch"] for n in labelled], rotation=90)
        figure.colorbar(image, ax=axes, label="times its limit (x: above)", extend="max")
        title = f"{len(batches)} batches, {sum(bool(row['drift']) for row in batches)} with drift"
    axes.set_title(f"{title} (alarm rate {alarm_rate:g} a batch)")
    spots = []
    for row, column in zip(*np.nonzero(~np.isnan(shares)), strict=True):
        one, share = batches[column]["statistics"][names[row]], shares[row, column]
        says = f"{_in_words(names[row])}, {batches[column]['batch']}: {one['value']:.4g}, {share:.2f} times its limit"
        across = axes.get_xlim() if len(batches) == 1 else (column - 0.5, column + 0.5)
        spots.append(Spot(axes, across, (row - 0.5, row + 0.5), says))
    save_with_spots(figure, path, spots)


@plot_style()
def plot_shares(profile: Profile, counts: Mapping[str, Any], batch: Mapping[str, Any], path: Path) -> None:
    """Draw a batch beside the reference: the distributions of the measures, and the shares of answers and flags.

    Parameters
    ----------
    counts : mapping
        Measure to the batch's rows in each bin.
    batch : mapping
        Its row of `drift.json`.
    """
    measures = [name for name in profile.edges if name in counts]
    columns = max(min(4, len(measures)), 2)
    lines = math.ceil(len(measures) / columns)
    figure = Figure(figsize=(3.3 * columns, 2.7 * lines + 2.9), layout="constrained")
    grid = figure.add_gridspec(lines + 1, columns)
    sizes = profile.sizes()
    alarms = {name.split()[0] for name in batch["alarms"]}

    def colour(name: str) -> str:
        return VALIDATION_COLOUR if name in alarms else TRAIN_COLOUR

    label = f"{batch['batch']} ({counted(batch['rows'], 'row')})"
    spots: list[Spot] = []
    for place, name in enumerate(measures):
        axes = figure.add_subplot(grid[place // columns, place % columns])
        edges = profile.edges[name]
        reference = histogram(profile.bins[name], sizes[name])
        below = [_below(rows) for rows in (reference, counts[name])]
        for rows, shares, shade, whose in (
            (reference, below[0], QUIET, "reference"),
            (counts[name], below[1], colour(name), label),
        ):
            if rows.sum():
                axes.plot(edges, shares, color=shade, label=whose, marker=".", markersize=3)
        axes.set(title=f"{name}{' — drift' if name in alarms else ''}", ylim=(-0.03, 1.03))
        show_percent(axes.yaxis)
        axes.grid()
        middles = (np.asarray(edges)[:-1] + np.asarray(edges)[1:]) / 2
        bands = zip([axes.get_xlim()[0], *middles], [*middles, axes.get_xlim()[1]], strict=True)
        spots += [
            Spot(axes, band, axes.get_ylim(), f"{name} below {edge:.4g}: {_beside(before, now)}")
            for band, edge, before, now in zip(bands, edges, *below, strict=True)
        ]
        if place % columns == 0:
            axes.set_ylabel("share of the rows below")
        if place == 0:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    axes = figure.add_subplot(grid[lines, :])
    bars = [(answer, ANSWER, n) for n, answer in enumerate(profile.answers)] if ANSWER in counts else []
    bars += [(name.replace("_", "\n"), name, 1) for name in FLAGS if name in counts]
    says: list[str] = []
    for x, (text, name, place) in enumerate(bars):
        reference = histogram(profile.bins[name], sizes[name])
        before, now = (rows[place] / max(rows.sum(), 1) for rows in (reference, counts[name]))
        for shift, share, shade in ((-0.2, before, QUIET), (0.2, now, colour(name))):
            axes.bar(x + shift, share, width=0.4, color=shade)
        says.append(f"{_in_words(name) if name in FLAGS else text}: {_beside(before, now)}")
    axes.set_xticks(range(len(bars)), [text for text, _, _ in bars])
    axes.tick_params(axis="x", labelrotation=0 if len(bars) < 30 else 90)
    show_percent(axes.yaxis)
    axes.set(ylabel="share of the rows", title="answers: the reference (grey), the batch (coloured)")
    spots += [Spot(axes, (x - 0.5, x + 0.5), axes.get_ylim(), words) for x, words in enumerate(says)]
    save_with_spots(figure, path, spots)


def _in_words(name: str) -> str:
    return name.replace("_", " ")  # of no_hand and not_sure


def _below(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the share of the rows that lie below each edge between bins."""
    return np.asarray(rows.cumsum()[:-1] / max(rows.sum(), 1))


def _beside(before: float, now: float) -> str:
    return f"{before:.1%} of the reference, {now:.1%} of the batch"

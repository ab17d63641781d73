"""Plots of a report: learning curves, confusion matrix, mistakes, look-alikes, augmented pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from aslspark.common.plot_style import (
    INK,
    QUIET,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    Spot,
    legend_beside,
    limits_of_shares,
    plot_style,
    save_with_spots,
    show_percent,
    show_whole,
)
from aslspark.evaluation.metrics_json import Confusion
from aslspark.evaluation.sheets import PLAIN, Tile, colour_of, draw_sheet


@plot_style()
def plot_curves(history: Sequence[Mapping[str, Any]], best_epoch: int, path: Path) -> None:
    """Draw loss and accuracy by epoch, with the epoch whose weights were kept."""
    figure = Figure(figsize=(10, 3.4 if len(history) > 1 else 2.2), layout="constrained")
    epochs = [row["epoch"] for row in history]
    lines = [("", TRAIN_COLOUR, "o", "training\n(changed pictures,\ndropout)")]
    spots = []
    if "val_loss" in history[0]:
        lines.append(("val_", VALIDATION_COLOUR, "s", "validation"))
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for prefix, colour, marker, label in lines:
            values = [row[f"{prefix}{name}"] for row in history]
            axes.plot(epochs, values, color=colour, label=label, marker=marker, markersize=3.5)
        axes.axvline(best_epoch, color=QUIET, linestyle=":", label=f"kept: epoch {best_epoch}", zorder=0)
        axes.set(xlabel="epoch", title=name, xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        show_whole(axes.xaxis)
        axes.grid()
        spots += [(axes, row["epoch"], _at_epoch(row, name)) for row in history]
    shares = [row[f"{prefix}accuracy"] for row in history for prefix, *_ in lines]
    axes.set_ylim(limits_of_shares(*shares))
    show_percent(axes.yaxis)
    legend_beside(axes)
    bands = [Spot(axes, (epoch - 0.5, epoch + 0.5), axes.get_ylim(), says) for axes, epoch, says in spots]
    save_with_spots(figure, path, bands)


def _at_epoch(row: Mapping[str, Any], name: str) -> str:
    """Say what a curve shows at an epoch."""
    write = "{:.1%}" if name == "accuracy" else "{:.4f}"
    parts = [
        f"{write.format(row[prefix + name])} in {where}"
        for prefix, where in (("", "training"), ("val_", "validation"))
        if prefix + name in row
    ]
    return f"epoch {row['epoch']}: {name} {', '.join(parts)}"


@plot_style()
def plot_confusion(confusion: Confusion, title: str, path: Path) -> None:
    """Draw the confusion matrix: shares of each label's rows as colours, counts as numbers."""
    counts = np.array(confusion["counts"])
    labels, answers = confusion["labels"], list(confusion["answers"])
    if counts[:, -1].sum() == 0:  # every picture got an answer
        counts, answers = counts[:, :-1], answers[:-1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 0.36 * len(labels) + 1.5)
    figure = Figure(figsize=(side + 1.3, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="read as", ylabel="label", title=title)
    axes.set_xticks(range(len(answers)), answers)
    for tick in axes.get_xticklabels():  # a letter fits below its column; "nothing" beside "space" does not
        tick.set_rotation(90 if len(tick.get_text()) > 2 else 0)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else INK
        number = _short(counts[row, column])
        axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=7)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, label="share of the label's pictures")
    show_percent(bar.ax.yaxis)
    bar.outline.set_visible(False)
    spots = [
        Spot(
            axes,
            (column - 0.5, column + 0.5),
            (row - 0.5, row + 0.5),
            f"{labels[row]} read as {answers[column]}: {counts[row, column]:,} of {counts[row].sum():,}, "
            f"{shares[row, column]:.1%}",
            _mistake(labels[row], answers[column]),
        )
        for row, column in zip(*np.nonzero(counts), strict=True)
    ]
    save_with_spots(figure, path, spots)


def _short(count: int) -> str:
    """Write a count so that it fits into a cell: 12345 as 12k."""
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def plot_mistakes(mistakes: Sequence[tuple[npt.NDArray[np.uint8], str, str, float]], total: int, path: Path) -> None:
    """Draw pictures that were read wrongly, surest first.

    Parameters
    ----------
    mistakes : sequence of (picture, label, answer, probability)
    total : int
        How many there were in all.
    """
    part = f"the {len(mistakes)} surest of them" if len(mistakes) < total else "all of them"
    title = (
        f"{total:,} read wrongly, {part}: label → answer, and how sure it was of it (1 = certain)"
        if total
        else "nothing was read wrongly"
    )
    tiles = [
        Tile(picture, [(_caption(label, answer, probability), PLAIN)], _mistake(label, answer))
        for picture, label, answer, probability in mistakes
    ]
    draw_sheet([(title, tiles)], path, columns=10)


def plot_confusable(
    titles: Sequence[str], groups: Sequence[Sequence[tuple[npt.NDArray[np.uint8], str, str, float]]], path: Path
) -> None:
    """Draw pictures of letters that look alike, one block for each group: blue where the answer is right.

    Parameters
    ----------
    titles : sequence of str
        Of the groups.
    groups : sequence of sequence of (picture, label, answer, probability)
    """
    blocks = [
        (
            title,
            [
                Tile(picture, [(_caption(label, answer, probability), colour_of(answer, label))])
                for picture, label, answer, probability in group
            ],
        )
        for title, group in zip(titles, groups, strict=True)
    ]
    draw_sheet(blocks, path, columns=8)


def _caption(label: str, answer: str, probability: float) -> str:
    return f"{_mistake(label, answer)}  {probability:.2f}"


def _mistake(label: str, answer: str) -> str:
    return f"{label} → {answer}"


def plot_augmented(versions: npt.NDArray[np.float32], labels: Sequence[str], path: Path) -> None:
    """Draw training pictures, one a row, each as it is and as augmentation changes it.

    Parameters
    ----------
    versions : ndarray of float32, shape (n, 1 + versions, height, width, channels)
        See `aslspark.features.augment_sheet.augmented_versions`; values outside of 0-1 are clipped.
    labels : sequence of str
        The labels of the n pictures.
    """
    tiles = [
        Tile(picture, [(label if n == 0 else "", PLAIN)])
        for label, row in zip(labels, versions.clip(0, 1), strict=True)
        for n, picture in enumerate(row)
    ]
    title = "training pictures, one a row: as it is, and as training changes it at random"
    heads = ["as it is", *(f"changed, {n}" for n in range(1, versions.shape[1]))]
    draw_sheet([(title, tiles)], path, columns=versions.shape[1], heads=heads)

"""The pictures of a report: curves, confusion, mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

TRAIN_COLOUR, VALIDATION_COLOUR, QUIET = "#4C78A8", "#E45756", "#777777"
RIGHT, WRONG = "#2A7F3F", "#C0392B"


def plot_curves(history: Sequence[Mapping[str, Any]], best_epoch: int, path: Path) -> None:
    """Draw loss and accuracy by epoch, with the epoch whose weights were kept."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(
            epochs,
            [row[name] for row in history],
            color=TRAIN_COLOUR,
            label="training (changed pictures, dropout)",
            marker=".",
        )
        if f"val_{name}" in history[0]:
            values = [row[f"val_{name}"] for row in history]
            axes.plot(epochs, values, color=VALIDATION_COLOUR, label="validation", marker=".")
        axes.axvline(best_epoch, color=QUIET, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
    axes.legend()
    figure.savefig(path, dpi=120)


def plot_confusion(confusion: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw which label was read as which, as shares of each label's rows, with the counts in the cells."""
    counts = np.array(confusion["counts"])
    labels, answers = confusion["labels"], list(confusion["answers"])
    if counts[:, -1].sum() == 0:  # every picture got an answer
        counts, answers = counts[:, :-1], answers[:-1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 0.36 * len(labels) + 1.5)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="read as", ylabel="label", title=title)
    axes.set_xticks(range(len(answers)), answers)
    axes.set_yticks(range(len(labels)), labels)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=7)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the label's pictures")
    figure.savefig(path, dpi=120)


def plot_mistakes(mistakes: Sequence[tuple[npt.NDArray[np.uint8], str, str, float]], total: int, path: Path) -> None:
    """Draw pictures that were read wrongly, surest first.

    Parameters
    ----------
    mistakes : sequence of (picture, label, answer, probability)
    total : int
        How many there were in all.
    path : Path
    """
    columns = 10
    rows = max(1, -(-len(mistakes) // columns))
    figure = Figure(figsize=(columns * 1.1, rows * 1.35 + 0.5), layout="constrained")
    shown = f"the {len(mistakes)} surest of them" if len(mistakes) < total else "all of them"
    figure.suptitle(f"{total} read wrongly, {shown}: label → answer" if total else "nothing was read wrongly")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (picture, label, answer, probability) in zip(grid, mistakes, strict=False):
        axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{label} → {answer}  {probability:.2f}", fontsize=8)
    figure.savefig(path, dpi=120)


def plot_augmented(versions: npt.NDArray[np.float32], labels: Sequence[str], path: Path) -> None:
    """Draw training pictures, one a row: as they are, and as training changes them.

    Parameters
    ----------
    versions : ndarray of float32, shape (n, 1 + versions, height, width, channels)
        See `aslspark.features.augment_sheet.augmented_versions`; values out of 0-1 are shown as 0 and 1.
    labels : sequence of str
        Of the n pictures.
    path : Path
    """
    rows, columns, height, width, _ = versions.shape
    figure = Figure(figsize=(columns * 1.1, rows * 1.1 * height / width + 0.6), layout="constrained")
    figure.suptitle("training pictures: as they are, and as they are changed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, label in enumerate(labels):
        for axes, picture in zip(grid[row], versions[row].clip(0, 1), strict=True):
            axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
        grid[row][0].set_title(label, fontsize=9)
    figure.savefig(path, dpi=120)


def plot_confusable(
    titles: Sequence[str], groups: Sequence[Sequence[tuple[npt.NDArray[np.uint8], str, str, float]]], path: Path
) -> None:
    """Draw pictures of letters that look alike, a block of rows a group.

    Parameters
    ----------
    titles : sequence of str
        Of the groups.
    groups : sequence of sequence of (picture, label, answer, probability)
    path : Path
    """
    columns = 8
    lines = [max(1, -(-len(group) // columns)) for group in groups]
    heights = [1.35 * count + 0.4 for count in lines]
    figure = Figure(figsize=(columns * 1.1, sum(heights) + 0.2), layout="constrained")
    blocks = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)
    for block, title, group, count in zip(blocks.ravel(), titles, groups, lines, strict=True):
        block.suptitle(title, fontsize=10, fontweight="bold")
        grid = block.subplots(count, columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, (picture, label, answer, probability) in zip(grid, group, strict=False):
            axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
            colour = RIGHT if answer == label else WRONG
            axes.set_title(f"{label} → {answer}  {probability:.2f}", fontsize=8, color=colour)
    figure.savefig(path, dpi=120)

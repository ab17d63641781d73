"""Plots of a report: learning curves, confusion matrix, mistakes, look-alikes, augmented pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aslspark.common.plot_style import QUIET, TRAIN_COLOUR, VALIDATION_COLOUR, literal_text
from aslspark.evaluation.sheets import PLAIN, Tile, colour_of, draw_sheet


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


@literal_text()
def plot_confusion(confusion: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw the confusion matrix: shares of each label's rows as colours, counts as numbers."""
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
    part = f"the {len(mistakes)} surest of them" if len(mistakes) < total else "all of them"
    title = f"{total} read wrongly, {part}: label → answer" if total else "nothing was read wrongly"
    tiles = [
        Tile(picture, [(_caption(label, answer, probability), PLAIN)])
        for picture, label, answer, probability in mistakes
    ]
    draw_sheet([(title, tiles)], path, columns=10)


def plot_confusable(
    titles: Sequence[str], groups: Sequence[Sequence[tuple[npt.NDArray[np.uint8], str, str, float]]], path: Path
) -> None:
    """Draw pictures of letters that look alike, one block for each group: green where the answer is right.

    Parameters
    ----------
    titles : sequence of str
        Of the groups.
    groups : sequence of sequence of (picture, label, answer, probability)
    path : Path
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
    return f"{label} → {answer}  {probability:.2f}"


def plot_augmented(versions: npt.NDArray[np.float32], labels: Sequence[str], path: Path) -> None:
    """Draw training pictures, one a row, each as it is and as augmentation changes it.

    Parameters
    ----------
    versions : ndarray of float32, shape (n, 1 + versions, height, width, channels)
        See `aslspark.features.augment_sheet.augmented_versions`; values outside of 0-1 are clipped.
    labels : sequence of str
        The labels of the n pictures.
    path : Path
    """
    tiles = [
        Tile(picture, [(label if n == 0 else "", PLAIN)])
        for label, row in zip(labels, versions.clip(0, 1), strict=True)
        for n, picture in enumerate(row)
    ]
    title = "training pictures: as they are, and as they are changed"
    draw_sheet([(title, tiles)], path, columns=versions.shape[1])

"""Sheets of pictures with words above each: mistakes, look-alikes, disagreements, heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from aslspark.common.plot_style import literal_text

RIGHT, WRONG, PLAIN = "#2A7F3F", "#C0392B", "black"

_TITLE, _LINE, _GAP = 0.45, 0.16, 0.08
"""Inches: height of a title, of a line of words; room between pictures."""


@dataclass(frozen=True)
class Tile:
    """A picture of a sheet.

    Parameters
    ----------
    picture : ndarray of uint8 (0-255) or float (0-1), shape (height, width, 1 or 3)
    words : sequence of (str, str)
        Lines above it, each with its colour.
    """

    picture: npt.NDArray
    words: Sequence[tuple[str, str]] = ()


def colour_of(answer: str, label: str) -> str:
    """Choose the colour of an answer."""
    return RIGHT if answer == label else WRONG


@literal_text()
def draw_sheet(
    blocks: Sequence[tuple[str, Sequence[Tile]]], path: Path, *, columns: int, width: float = 1.1, size: float = 7.5
) -> None:
    """Draw blocks of pictures, each below its title.

    Parameters
    ----------
    blocks : sequence of (title, tiles)
        All pictures have the shape of the first.
    path : Path
        The PNG to write.
    columns : int
        Pictures side by side.
    width : float
        Inches for a picture, room included.
    size : float
        Of the words, in points.
    """
    tiles = [tile for _, found in blocks for tile in found]
    shape = tiles[0].picture.shape if tiles else (1, 1)
    tall = (width - _GAP) * shape[0] / shape[1]
    above = _LINE * max((len(tile.words) for tile in tiles), default=0)
    row = above + tall + _GAP
    lines = [-(-len(found) // columns) for _, found in blocks]
    height = sum(_TITLE + count * row for count in lines) + _GAP
    # One pair of axes for all: each pair would take as long as ten pictures. Its unit is the inch.
    figure = Figure(figsize=(columns * width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    top = 0.0
    for (title, found), count in zip(blocks, lines, strict=True):
        axes.text(columns * width / 2, top + _TITLE / 2, title, ha="center", va="center", fontsize=10)
        for place, tile in enumerate(found):
            left, upper = place % columns * width + _GAP / 2, top + _TITLE + place // columns * row + above
            extent = (left, left + width - _GAP, upper + tall, upper)
            axes.imshow(np.squeeze(tile.picture), cmap="gray", vmin=0, vmax=_most(tile.picture), extent=extent)
            for line, (words, colour) in enumerate(reversed(tile.words)):
                axes.text(left, upper - 0.03 - line * _LINE, words, fontsize=size, color=colour, va="bottom")
        top += _TITLE + count * row
    axes.set(xlim=(0, columns * width), ylim=(height, 0), aspect="auto")
    figure.savefig(path, dpi=120)


def _most(picture: npt.NDArray) -> int:
    return 255 if picture.dtype == np.uint8 else 1

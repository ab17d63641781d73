"""Sheets of pictures with captions: mistakes, look-alikes, disagreements, heat maps."""

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
"""In inches: the height of a title and of a caption's line, and the gap between pictures."""


@dataclass(frozen=True)
class Tile:
    """A picture of a sheet.

    Parameters
    ----------
    picture : ndarray of uint8 (0-255) or float (0-1), shape (height, width, 1 or 3)
    caption : sequence of (str, str)
        Lines above it, each with its colour.
    """

    picture: npt.NDArray
    caption: Sequence[tuple[str, str]] = ()


def colour_of(answer: str, label: str) -> str:
    """Return the colour of an answer: green where it is right, else red."""
    return RIGHT if answer == label else WRONG


@literal_text()
def draw_sheet(
    blocks: Sequence[tuple[str, Sequence[Tile]]], path: Path, *, columns: int, width: float = 1.1, size: float = 7.5
) -> None:
    """Draw blocks of pictures, each block below its title.

    Parameters
    ----------
    blocks : sequence of (title, tiles)
        All pictures have the shape of the first.
    path : Path
        The PNG to write.
    columns : int
        Pictures side by side.
    width : float
        Inches a picture, the gap included.
    size : float
        Of the captions, in points.
    """
    tiles = [tile for _, block in blocks for tile in block]
    shape = tiles[0].picture.shape if tiles else (1, 1)
    picture_height = (width - _GAP) * shape[0] / shape[1]
    caption_height = _LINE * max((len(tile.caption) for tile in tiles), default=0)
    row_height = caption_height + picture_height + _GAP
    row_counts = [-(-len(block) // columns) for _, block in blocks]
    height = sum(_TITLE + rows * row_height for rows in row_counts) + _GAP
    # All pictures share one pair of axes, whose unit is the inch: a pair each would take as long as ten pictures.
    figure = Figure(figsize=(columns * width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    top = 0.0
    for (title, block), rows in zip(blocks, row_counts, strict=True):
        axes.text(columns * width / 2, top + _TITLE / 2, title, ha="center", va="center", fontsize=10)
        for place, tile in enumerate(block):
            left = place % columns * width + _GAP / 2
            upper = top + _TITLE + place // columns * row_height + caption_height
            extent = (left, left + width - _GAP, upper + picture_height, upper)
            white = 255 if tile.picture.dtype == np.uint8 else 1
            axes.imshow(np.squeeze(tile.picture), cmap="gray", vmin=0, vmax=white, extent=extent)
            for line, (text, colour) in enumerate(reversed(tile.caption)):
                axes.text(left, upper - 0.03 - line * _LINE, text, fontsize=size, color=colour, va="bottom")
        top += _TITLE + rows * row_height
    axes.set(xlim=(0, columns * width), ylim=(height, 0), aspect="auto")
    figure.savefig(path, dpi=120)

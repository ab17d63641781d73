"""Sheets of pictures with captions: mistakes, look-alikes, disagreements, heat maps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from aslspark.common.plot_style import PLAIN, RIGHT, SMALL, TITLE, WRONG, Spot, plot_style, save_with_spots

__all__ = ["PLAIN", "Tile", "colour_of", "draw_sheet"]

_TITLE, _LINE, _GAP = 0.45, 0.16, 0.08
"""In inches: the height of a title and of a caption's line, and the gap between pictures."""
_LETTERS_AN_INCH = 12.5
"""Of a title, as a rule."""
_LETTER = 0.0092
"""The width of a caption's letter, in inches a point of its size: the widest that was measured."""
_LEAST_COLUMNS = 5
"""That a title fits over."""


@dataclass(frozen=True)
class Tile:
    """A picture of a sheet.

    Parameters
    ----------
    picture : ndarray of uint8 (0-255) or float (0-1), shape (height, width, 1 or 3)
    caption : sequence of (str, str)
        Lines above it, each with its colour.
    about : str
        What a page finds it by; see `aslspark.common.plot_style.Spot`.
    """

    picture: npt.NDArray
    caption: Sequence[tuple[str, str]] = ()
    about: str = ""


def colour_of(answer: str, label: str) -> str:
    """Return the colour of an answer: blue where it is right, else orange."""
    return RIGHT if answer == label else WRONG


@plot_style()
def draw_sheet(
    blocks: Sequence[tuple[str, Sequence[Tile]]],
    path: Path,
    *,
    columns: int,
    width: float = 1.1,
    size: float = 7.5,
    heads: Sequence[str] = (),
) -> None:
    """Draw blocks of pictures, each block below its title.

    Parameters
    ----------
    blocks : sequence of (title, tiles)
        All pictures have the shape of the first.
    path : Path
        The PNG to write.
    columns : int
        Pictures side by side, at most.
    width : float
        Inches a picture, the gap included; more where a caption needs it.
    size : float
        Of the captions, in points.
    heads : sequence of str
        What stands above the columns of every block.
    """
    tiles = [tile for _, block in blocks for tile in block]
    columns = min(columns, max([_LEAST_COLUMNS, *(len(block) for _, block in blocks)]))
    longest = max((len(text) for tile in tiles for text, _ in tile.caption), default=0)
    width = max(width, longest * size * _LETTER + _GAP)
    shape = tiles[0].picture.shape if tiles else (1, 1)
    picture_height = (width - _GAP) * shape[0] / shape[1]
    caption_height = _LINE * max((len(tile.caption) for tile in tiles), default=0)
    row_height = caption_height + picture_height + _GAP
    row_counts = [-(-len(block) // columns) for _, block in blocks]
    head_height = _LINE + _GAP if heads else 0.0
    height = sum(_TITLE + head_height + rows * row_height for rows in row_counts) + _GAP
    # All pictures share one pair of axes, whose unit is the inch: a pair each would take as long as ten pictures.
    figure = Figure(figsize=(columns * width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    top = 0.0
    spots = []
    for (title, block), rows in zip(blocks, row_counts, strict=True):
        # A title that is wider than the pictures below it is set in several lines, or it would be cut.
        wrapped = textwrap.fill(title, max(int(columns * width * _LETTERS_AN_INCH), 12))
        axes.text(columns * width / 2, top + _TITLE / 2, wrapped, ha="center", va="center", fontsize=TITLE)
        for column, head in enumerate(heads):
            middle = column * width + width / 2
            axes.text(middle, top + _TITLE, head, ha="center", va="top", fontsize=SMALL)
        top += head_height
        for place, tile in enumerate(block):
            left = place % columns * width + _GAP / 2
            upper = top + _TITLE + place // columns * row_height + caption_height
            extent = (left, left + width - _GAP, upper + picture_height, upper)
            white = 255 if tile.picture.dtype == np.uint8 else 1
            is_grey = tile.picture.ndim == 3 and tile.picture.shape[2] == 1
            shown = tile.picture[:, :, 0] if is_grey else tile.picture
            axes.imshow(shown, cmap="gray", vmin=0, vmax=white, extent=extent)
            if tile.about:
                said = " ".join(text for text, _ in tile.caption)
                spots.append(Spot(axes, extent[:2], extent[2:], said, tile.about))
            for line, (text, colour) in enumerate(reversed(tile.caption)):
                axes.text(left, upper - 0.03 - line * _LINE, text, fontsize=size, color=colour, va="bottom")
        top += _TITLE + rows * row_height
    axes.set(xlim=(0, columns * width), ylim=(height, 0), aspect="auto")
    save_with_spots(figure, path, spots)

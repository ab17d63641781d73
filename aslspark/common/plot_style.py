"""The one style of all plots: fonts, sizes, and colours that people tell apart who see no red or no green."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.rcsetup import cycler

from aslspark.common.report_page import SPOTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D00", "#6A3D9A", "#555555")
"""For things side by side. The first five, and the order, are Okabe and Ito's; their yellow is too light for lines."""
MARKERS = "osD^v<>P"
"""For things side by side, so that colour is never all that tells them apart."""
TRAIN_COLOUR, VALIDATION_COLOUR, QUIET, INK = COLOURS[0], COLOURS[1], "#767676", "#222222"
RIGHT, WRONG, PLAIN = "#00619A", "#B34700", INK
"""Of an answer; blue and orange, since red and green look alike to one man in twelve."""
SMALL, USUAL, TITLE = 8.0, 9.0, 10.0
"""Sizes of text, in points."""

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": USUAL,
    "axes.titlesize": TITLE,
    "axes.labelsize": USUAL,
    "xtick.labelsize": USUAL,
    "ytick.labelsize": USUAL,
    "legend.fontsize": SMALL,
    "figure.titlesize": TITLE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.frameon": False,
    "figure.dpi": 120,
    # Matplotlib sets text between two dollar signs as a formula: a file name with two of them would end the job.
    "text.parse_math": False,
}


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw in this style, and text as it is written; as a context or as a decorator of a function."""
    with matplotlib.rc_context(_STYLE):
        yield


def as_percent(share: float) -> str:
    """Write the share at a tick as a percentage, with the decimals that it has."""
    return f"{round(100 * share, 4) + 0.0:g}%"  # + 0.0: rounding may leave -0.0, which is written with its sign


def show_percent(axis: Axis) -> None:
    """Write the shares of an axis as percentages; see `as_percent`."""
    axis.set_major_formatter(lambda share, _: as_percent(share))


def show_whole(axis: Axis) -> None:
    """Put the ticks of an axis at whole numbers, of epochs or trials, however few there are."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def legend_beside(axes: Axes, **options: Any) -> Legend:
    """Put a legend to the right of the data, never over it."""
    return axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, **options)


def label_at_right(axes: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Write a label for each row to the right of the axes; the layout keeps room for them, as it does for ticks."""
    right = axes.secondary_yaxis("right")
    right.set_yticks(list(places), list(labels))
    right.tick_params(length=0, labelsize=SMALL)
    right.spines[:].set_visible(False)


def limits_of_shares(*shares: float, least_span: float = 0.1) -> tuple[float, float]:
    """Return limits within 0-1, and a little beyond for what lies at the edge, that show some shares closely.

    Parameters
    ----------
    *shares : float
        0-1; at least one.
    least_span : float
        The limits are at least so far apart: a difference of 0.1 % shall not look like a cliff.
    """
    low, high = min(shares), max(shares)
    room = 0.08 * (high - low)
    low, high = max(low - room, 0.0), min(high + room, 1.0)
    missing = max(least_span - (high - low), 0.0)
    low, high = low - missing / 2, high + missing / 2
    if high > 1:
        low, high = low - (high - 1), 1.0
    elif low < 0:
        low, high = 0.0, high - low
    edge = 0.02 * (high - low)  # half a marker
    return low - (edge if low == 0 else 0), high + (edge if high == 1 else 0)


@dataclass(frozen=True)
class Spot:
    """A part of a plot that a page knows something of.

    Parameters
    ----------
    axes : Axes
    x, y : (float, float)
        Its edges, in the units of the axes.
    says : str
    about : str
        Spots of other plots that are about the same have it, too.
    """

    axes: Axes
    x: tuple[float, float]
    y: tuple[float, float]
    says: str
    about: str = ""


def save_with_spots(figure: Figure, path: Path, spots: Sequence[Spot]) -> None:
    """Save a plot as a PNG that carries where its spots are, in percent of its width and height, from the top left."""
    if not spots:
        figure.savefig(path)
        return
    figure.draw_without_rendering()  # only then it is known where the axes lie,
    figure.set_layout_engine("none")  # and there they stay
    kept = []
    for spot in spots:
        corners = spot.axes.transData.transform(list(zip(spot.x, spot.y, strict=True)))
        (left, right), (low, high) = map(sorted, figure.transFigure.inverted().transform(corners).T.tolist())
        box = (left, 1 - high, right - left, high - low)
        kept.append({"box": [round(100 * part, 3) for part in box], "says": spot.says, "about": spot.about})
    figure.savefig(path, metadata={SPOTS: json.dumps(kept)})

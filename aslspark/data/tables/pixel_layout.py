"""What stands in a pixel table -> which column is what, and which numbers are pixels: one answer for every way in.

In: a header, or the numbers of a picture. Out: a `Layout`, or one line that says what is wrong with the header; uint8
pixels, or the reason why the numbers are none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aslspark.common.errors import AslsparkError

SIDE = 28
PIXELS = SIDE * SIDE
COLUMNS = ("label", *(f"pixel{number}" for number in range(1, PIXELS + 1)))
"""The header of a pixel table (Sign Language MNIST's)."""

EMPTY = "empty"
WRONG_COLUMN_COUNT = "wrong column count"
NOT_A_NUMBER = "not a number"
OUT_OF_RANGE = "out of 0-255"
SCALED = "scaled to 0-1"
UNKNOWN_LABEL = "unknown label"

TOLERANCE = 1e-3
"""How far from a whole number a pixel may be: what dividing by 255 and multiplying again leaves, in float32 too."""

_BOM = "\ufeff"
_PIXEL = re.compile(r"pixel\d+")
# What pandas and R call the row numbers that they write as a column.
_INDEX = re.compile(r"(index|unnamed: \d+)?")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}


class Layout(NamedTuple):
    """Which column of a pixel table is what."""

    columns: int
    """In all, those that are passed over too."""
    label: int | None
    """Place of the label, counted from 0; None without one."""
    pixels: tuple[int, ...]
    """Places of pixel1, pixel2 and so on."""

    @property
    def names(self) -> list[str]:
        """A name for each column, no two alike."""
        names = [f"column {place + 1}" for place in range(self.columns)]
        if self.label is not None:
            names[self.label] = "label"
        for number, place in enumerate(self.pixels, 1):
            names[place] = f"pixel{number}"
        return names


PLAIN = Layout(len(COLUMNS), 0, tuple(range(1, len(COLUMNS))))
"""label,pixel1,...,pixel784"""


def bare(count: int) -> Layout:
    """Return the layout of lines that hold a picture's pixels and nothing else."""
    return Layout(count, None, tuple(range(count)))


def header_names(line: str) -> list[str]:
    """Cut a header into its names, without the spaces and quotes around them, in small letters."""
    return [_name(name) for name in line.removeprefix(_BOM).split(",")]


def names_pixels(line: str | None) -> bool:
    """Tell the first line of a pixel table, in whatever encoding and with whatever between its fields, from others'.

    Whether the table can be read, `layout_of_line` says.
    """
    text = (line or "").replace("\0", "").replace("\ufffd", "").removeprefix(_BOM)
    return any("pixel1" in map(_name, text.split(mark)) for mark in (",", *_SEPARATORS))


def layout_of_line(line: str | None, where: str, *, label: bool = True, pixels: int | None = PIXELS) -> Layout:
    """Read the header of a pixel table.

    Names may be in any case, with spaces or quotes around them, behind a byte order mark. The label may stand in any
    place; a column of row numbers, as pandas and R write it (without a name, ``index`` or ``Unnamed: 0``), is passed
    over.

    Parameters
    ----------
    line : str or None
        The first line, decoded as UTF-8; None where there is none.
    where : str
        Opens the error.
    label : bool
        Whether there must be a label.
    pixels : int, optional
        How many pixels a row must have; None: any number.

    Raises
    ------
    AslsparkError
        In one line: the encoding or the separator that is not read; or the column that is missing, out of order or
        too many.
    """
    start = "label," if label else "[label,]"
    wanted = f"its first line must be {start}pixel1,...,pixel{pixels or 'N'}"
    if line is None:
        raise AslsparkError(f"{where} is empty: {wanted}, and rows must follow")
    if "\0" in line:
        raise AslsparkError(f"{where} is not in UTF-8, but in UTF-16 or UTF-32: save it as CSV in UTF-8")
    names = header_names(line)
    if not {"label", "pixel1"} & set(names):
        for mark, called in _SEPARATORS.items():
            if "pixel1" in map(_name, line.removeprefix(_BOM).split(mark)):
                raise AslsparkError(
                    f"{where} has {called} between its fields: {wanted}, with commas; save it as CSV with commas"
                )
        raise AslsparkError(f"{where} has no header: it starts with {line[:40]!r}, and {wanted}")
    return layout_of_names(names, where, label=label, pixels=pixels)


def layout_of_names(names: Sequence[str], where: str, *, label: bool = True, pixels: int | None = PIXELS) -> Layout:
    """Tell from the names of its columns what each column of a pixel table is; see `layout_of_line`."""
    names = [_name(name) for name in names]
    if pixels is None:
        pixels = max(1, sum(_PIXEL.fullmatch(name) is not None for name in names))
    of_pixels = [f"pixel{number}" for number in range(1, pixels + 1)]
    start = "label," if label else "[label,]"
    wanted = f"a pixel table has {start}pixel1,...,pixel{pixels} in this order and nothing else"
    there = set(names)
    if missing := [name for name in (*(["label"] if label else []), *of_pixels) if name not in there]:
        raise AslsparkError(f"{where} lacks {_some(missing)}: {wanted}")
    known = {"label", *of_pixels}
    others = [name for name in names if name not in known]
    if extra := [name for name in others if not _INDEX.fullmatch(name)]:
        raise AslsparkError(f"{where} has other columns too, {_some(extra)}: {wanted}")
    times = Counter(names)
    places = {name: place for place, name in enumerate(names)}
    in_order = tuple(places[name] for name in of_pixels)
    if any(times[name] > 1 for name in known) or in_order != tuple(sorted(in_order)):
        raise AslsparkError(f"{where} has its columns in another order, or twice: {wanted}")
    return Layout(len(names), places.get("label"), in_order)


def as_bytes(numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
    """Turn numbers into bytes; None where any is not whole or not from 0 to 255, give or take TOLERANCE."""
    with np.errstate(invalid="ignore"):  # what is no number or far outside becomes anything, and is not near it
        found = np.rint(numbers).astype(np.uint8)
        return found if (np.abs(numbers - found) <= TOLERANCE).all() else None


def scaled_rows(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Find the pictures that were divided by 255, one a row.

    All values lie within 0-1 and not all are 0: as 0-255 that would be a picture blacker than any camera takes, and a
    model would answer it with confidence. A picture that is black all over is taken as it is.

    Parameters
    ----------
    numbers : ndarray, shape (n, pixels)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if numbers.shape[1] == 0:
        return np.zeros(len(numbers), bool)
    highest = numbers.max(axis=1)  # NaN where one is in the row, and then neither comparison holds
    scaled: npt.NDArray[np.bool_] = (highest > 0) & (highest <= 1)
    if scaled.any():
        scaled[scaled] = numbers[scaled].min(axis=1) >= 0
    return scaled


def trouble_with(numbers: npt.NDArray[np.float64]) -> tuple[str, str] | None:
    """Say why the numbers of one picture are no pixels: a reason and what was found; None where they are.

    Parameters
    ----------
    numbers : ndarray, shape (pixels,)
    """
    if scaled_rows(numbers[None])[0]:
        return SCALED, scaled_detail(float(numbers.min()), float(numbers.max()))
    whole = np.rint(numbers)
    for place, number in enumerate(numbers.tolist()):
        if not np.isfinite(number) or abs(number - whole[place]) > TOLERANCE:
            return NOT_A_NUMBER, f"pixel{place + 1} is {number:g}, not a whole number"
        if not 0 <= whole[place] <= 255:
            return OUT_OF_RANGE, f"pixel{place + 1} is {number:g}"
    return None


def scaled_detail(lowest: float, highest: float) -> str:
    """Say what a picture that was divided by 255 holds, and the way out."""
    return f"values from {lowest:.3g} to {highest:.3g}; multiply by 255, for whole numbers of 0-255"


def _name(name: str) -> str:
    return name.strip().strip('"').strip().lower()


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(_short, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _short(name: str) -> str:
    """Keep a name, which may be anything, to a part of a line."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name[:41])
    return name if len(name) <= 40 else f"{name[:37]}..."

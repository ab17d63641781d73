"""The header of a pixel table -> its `Layout`; the numbers of a picture -> uint8 pixels, by one set of rules.

A header that cannot be read is an error; numbers that are no pixels have a reason.
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
"""Largest distance of a pixel from a whole number: the rounding error of dividing by 255 and back, in float32 too."""

_BOM = "\ufeff"
_PIXEL = re.compile(r"pixel\d+")
# Names of the column of row numbers that pandas and R write.
INDEX = re.compile(r"(index|unnamed: \d+)?")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}


class Layout(NamedTuple):
    """The columns of a pixel table."""

    columns: int
    """Their number, ignored ones included."""
    label: int | None
    """Place of the label, from 0; None without one."""
    pixels: tuple[int, ...]
    """Places of pixel1, pixel2 and so on."""

    @property
    def names(self) -> list[str]:
        """A unique name for each column."""
        names = [f"column {place + 1}" for place in range(self.columns)]
        if self.label is not None:
            names[self.label] = "label"
        for number, place in enumerate(self.pixels, 1):
            names[place] = f"pixel{number}"
        return names


PLAIN = Layout(len(COLUMNS), 0, tuple(range(1, len(COLUMNS))))
"""label,pixel1,...,pixel784"""


def bare(count: int) -> Layout:
    """Return the layout of lines with only the pixels of a picture."""
    return Layout(count, None, tuple(range(count)))


def header_names(line: str, separator: str = ",") -> list[str]:
    """Split a header into names, in lower case, without the spaces and quotes around them."""
    return [_name(name) for name in line.removeprefix(_BOM).split(separator)]


def names_pixels(line: str | None) -> bool:
    """Tell the first line of a pixel table, in any encoding and with any separator.

    `layout_of_line` decides whether the table can be read.
    """
    text = (line or "").replace("\0", "").replace("\ufffd", "").removeprefix(_BOM)
    return any("pixel1" in map(_name, text.split(separator)) for separator in (",", *_SEPARATORS))


def pixel_places(names: Sequence[str]) -> list[int]:
    """Return where pixel1, pixel2 and so on stand among the names of columns, in the order of their numbers."""
    numbers = {int(_name(name)[5:]): place for place, name in enumerate(names) if _PIXEL.fullmatch(_name(name))}
    return [numbers[number] for number in sorted(numbers)]


def layout_of_line(line: str | None, where: str, *, label: bool = True, pixels: int | None = PIXELS) -> Layout:
    """Read the header of a pixel table.

    Names may be in upper or lower case, with spaces or quotes around them, after a byte order mark. The label may be in
    any column. A column of row numbers, as pandas and R write it (without a name, ``index`` or ``Unnamed: 0``), is
    ignored.

    Parameters
    ----------
    line : str or None
        The first line, decoded as UTF-8; None of an empty file.
    where : str
        Opens the error.
    label : bool
        Whether a label is required.
    pixels : int, optional
        Pixels that a row must have; None: any number.

    Raises
    ------
    AslsparkError
        Naming the encoding, the separator, or the column that is missing, additional or out of order.
    """
    start = "label," if label else "[label,]"
    expected = f"its first line must be {start}pixel1,...,pixel{pixels or 'N'}"
    if line is None:
        raise AslsparkError(f"{where} is empty: {expected}, and rows must follow")
    if "\0" in line:
        raise AslsparkError(f"{where} is not in UTF-8, but in UTF-16 or UTF-32: save it as CSV in UTF-8")
    names = header_names(line)
    if not {"label", "pixel1"} & set(names):
        for separator, plural in _SEPARATORS.items():
            if "pixel1" in map(_name, line.removeprefix(_BOM).split(separator)):
                raise AslsparkError(
                    f"{where} has {plural} between its fields: {expected}, with commas; save it as CSV with commas"
                )
        raise AslsparkError(f"{where} has no header: it starts with {line[:40]!r}, and {expected}")
    return layout_of_names(names, where, label=label, pixels=pixels)


def layout_of_names(names: Sequence[str], where: str, *, label: bool = True, pixels: int | None = PIXELS) -> Layout:
    """Return the layout of a pixel table by the names of its columns; see `layout_of_line`."""
    names = [_name(name) for name in names]
    if pixels is None:
        pixels = max(1, sum(_PIXEL.fullmatch(name) is not None for name in names))
    of_pixels = [f"pixel{number}" for number in range(1, pixels + 1)]
    start = "label," if label else "[label,]"
    expected = f"a pixel table has the columns {start}pixel1,...,pixel{pixels}, those of pixels in order, and no others"
    given = set(names)
    if missing := [name for name in (*(["label"] if label else []), *of_pixels) if name not in given]:
        raise AslsparkError(f"{where} lacks {some_names(missing)}: {expected}")
    known = {"label", *of_pixels}
    others = [name for name in names if name not in known]
    if extra := [name for name in others if not INDEX.fullmatch(name)]:
        raise AslsparkError(f"{where} has other columns too, {some_names(extra)}: {expected}")
    times = Counter(names)
    places = {name: place for place, name in enumerate(names)}
    in_order = tuple(places[name] for name in of_pixels)
    if any(times[name] > 1 for name in known) or in_order != tuple(sorted(in_order)):
        raise AslsparkError(f"{where} has its columns in another order, or twice: {expected}")
    return Layout(len(names), places.get("label"), in_order)


def as_bytes(numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
    """Convert numbers to uint8; None where any is not a whole number of 0-255 within TOLERANCE."""
    with np.errstate(invalid="ignore"):  # NaN and numbers out of range become any byte, which then differs
        pixels = np.rint(numbers).astype(np.uint8)
        return pixels if (np.abs(numbers - pixels) <= TOLERANCE).all() else None


def scaled_rows(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Find the pictures that were divided by 255.

    Their values are all within 0-1 and not all 0. As 0-255, that would be darker than any camera's picture, and a model
    would answer with confidence. A picture of zeros is taken as black.

    Parameters
    ----------
    numbers : ndarray, shape (n, pixels)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if numbers.shape[1] == 0:
        return np.zeros(len(numbers), bool)
    highest = numbers.max(axis=1)  # NaN where the row has one: then neither comparison is true
    scaled: npt.NDArray[np.bool_] = (highest > 0) & (highest <= 1)
    if scaled.any():
        scaled[scaled] = numbers[scaled].min(axis=1) >= 0
    return scaled


def problem_with(numbers: npt.NDArray[np.float64]) -> tuple[str, str] | None:
    """Return why the numbers of a picture are no pixels, as reason and detail; None where they are pixels.

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
    """Return the detail for a picture that was divided by 255."""
    return f"values from {lowest:.3g} to {highest:.3g}; multiply by 255, for whole numbers of 0-255"


def _name(name: str) -> str:
    return name.strip().strip('"').strip().lower()


def some_names(names: Sequence[str]) -> str:
    """Write all of few names, and of many the first three and how many more there are."""
    shown = names if len(names) <= 6 else names[:3]
    return ", ".join(map(_short, shown)) + (f" and {len(names) - 3} more" if len(names) > len(shown) else "")


def _short(name: str) -> str:
    """Return a name as printable text of limited length."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name[:41])
    return name if len(name) <= 40 else f"{name[:37]}..."

"""Lines of a pixel table -> pixels and label numbers, parsed in C++; and a reason for each line that cannot be used.

In: an Arrow array of CSV lines without line ends, and their layout. Out: uint8 pixels, label numbers, bad rows.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aslspark.common.labels import LETTER_OF_NUMBER
from aslspark.data.tables.csv_lines import ROW_BY_ROW_LINES, BadRow, joined_lines, number_in, parse_each, read_columns
from aslspark.data.tables.pixel_layout import (
    EMPTY,
    NOT_A_NUMBER,
    OUT_OF_RANGE,
    PLAIN,
    SCALED,
    TOLERANCE,
    UNKNOWN_LABEL,
    WRONG_COLUMN_COUNT,
    Layout,
    as_bytes,
    scaled_detail,
    scaled_rows,
)

LABEL_IS_KNOWN = np.array([number in LETTER_OF_NUMBER for number in range(256)])


class ParsedLines(NamedTuple):
    """The places `good` of usable lines with their label `numbers` and `pixels`, and the `bad` lines."""

    good: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.uint8]
    bad: list[BadRow]


def parse_lines(lines: pa.Array, layout: Layout = PLAIN) -> ParsedLines:
    """Parse lines of a pixel table.

    They are parsed together in C++. Where that fails, each half is tried by itself, so that a bad row sends only the
    few rows around it to `parse_row_by_row`.

    Parameters
    ----------
    lines : pyarrow.Array of string
        Data rows, without the header.
    layout : Layout
        Without a label, all label numbers are 0.

    Returns
    -------
    ParsedLines
        Places (int64), label numbers (uint8) and pixels (uint8, shape (n, pixels)) of the good lines; the bad lines.
    """
    if len(lines) == 0:
        return _parsed([], [], [], [], layout)
    together = parse_together(lines, layout)
    if together is None:
        if len(lines) <= ROW_BY_ROW_LINES:
            return parse_row_by_row(lines, layout)
        half = len(lines) // 2
        return _joined(parse_lines(lines.slice(0, half), layout), parse_lines(lines.slice(half), layout), half)
    numbers, pixels = together
    known = LABEL_IS_KNOWN[numbers] if layout.label is not None else np.ones(len(lines), bool)
    scaled = scaled_rows(pixels)
    good = np.flatnonzero(known & ~scaled)
    if len(good) == len(lines):
        return ParsedLines(good, numbers, pixels, [])
    bad = [
        BadRow(int(row), *(_scaled(pixels[row].tolist()) if known[row] else _unknown_label(int(numbers[row]))))
        for row in np.flatnonzero(~known | scaled)
    ]
    return ParsedLines(good, numbers[good], np.rint(pixels[good]).astype(np.uint8), bad)


def parse_together(lines: pa.Array, layout: Layout = PLAIN) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]] | None:
    """Parse lines in C++: label numbers and pixels, shape (n, pixels); None where any line is in doubt.

    Where lines were divided by 255, the pixels are float64, for the detail of the reason.
    """
    count, names = len(lines), layout.names
    used = [names[place] for place in ((layout.label,) if layout.label is not None else ()) + layout.pixels]
    text = joined_lines(lines)
    # Arrow reads 0x1F as 31, which a pixel table does not mean. Searching one letter first is faster.
    if any(letter in text and b"0" + letter in text for letter in (b"x", b"X")):
        return None
    # Arrow skips a byte order mark at the start of its text, which may be any line here.
    if text.startswith(BOM_UTF8):
        return None
    # With uint8 the parser itself refuses numbers out of 0-255; 12.0 needs float64 and a check of the values.
    number_type = pa.float64() if b"." in text else pa.uint8()
    table = read_columns(lines, text, names, dict.fromkeys(used, number_type))
    if table is None:
        return None
    by_column = np.empty((len(used), count), np.float64 if number_type == pa.float64() else np.uint8)
    for number, column in enumerate(table.columns):
        by_column[number] = column.chunk(0).to_numpy()
    numbers = by_column[0] if layout.label is not None else np.zeros(count, np.uint8)
    pixels = np.ascontiguousarray(by_column[layout.label is not None :].T)
    if pixels.dtype == np.uint8:
        return numbers, pixels
    scaled = scaled_rows(pixels)
    labels, rest = as_bytes(numbers), as_bytes(pixels[~scaled] if scaled.any() else pixels)
    if labels is None or rest is None:
        return None
    return labels, pixels if scaled.any() else rest


def parse_row_by_row(lines: pa.Array, layout: Layout = PLAIN) -> ParsedLines:
    """Parse lines one by one, which is slower and gives a reason for each bad row."""
    good, rows, bad = parse_each(lines, ParsedRow, partial(parse_row, layout=layout))
    return _parsed(good, [row.label for row in rows], [row.pixels for row in rows], bad, layout)


class ParsedRow(NamedTuple):
    """A usable line."""

    label: int
    """0 where the layout has none."""
    pixels: list[int]


def parse_row(line: str, layout: Layout = PLAIN) -> ParsedRow | tuple[str, str]:
    """Parse one line; or return a reason and a detail."""
    if not line.strip():
        return EMPTY, "a blank line"
    # Counted before splitting, so that a line of a hundred million commas takes no further memory.
    if (count := line.count(",") + 1) != layout.columns:
        return WRONG_COLUMN_COUNT, f"{count} columns instead of {layout.columns}"
    fields = line.split(",")
    label = 0
    if layout.label is not None:
        value = number_in(fields[layout.label])
        if not _is_whole(value):
            return NOT_A_NUMBER, f"label is {_quote(fields[layout.label])}"
        if abs(value) > 256 or not 0 <= round(value) <= 255:
            return _unknown_label(fields[layout.label].strip())
        label = round(value)
        if label not in LETTER_OF_NUMBER:
            return _unknown_label(label)
    values = [number_in(fields[place]) for place in layout.pixels]
    if 0 < max(values) <= 1 and all(0 <= value <= 1 for value in values):
        return _scaled(values)
    for number, (place, value) in enumerate(zip(layout.pixels, values, strict=True), 1):
        if not _is_whole(value):
            return NOT_A_NUMBER, f"pixel{number} is {_quote(fields[place])}"
        if abs(value) > 256 or not 0 <= round(value) <= 255:
            return OUT_OF_RANGE, f"pixel{number} is {_quote(fields[place])}"
    return ParsedRow(label, [round(value) for value in values])


def _is_whole(value: float) -> bool:
    # An overflow such as 1e999 is infinite: a number, but out of range.
    return abs(value) == float("inf") or (value == value and abs(value - round(value)) <= TOLERANCE)


def _unknown_label(label: int | str) -> tuple[str, str]:
    return UNKNOWN_LABEL, f"label is {_quote(str(label))}"


def _scaled(values: list[float]) -> tuple[str, str]:
    return SCALED, scaled_detail(min(values), max(values))


def _quote(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _parsed(
    good: list[int], labels: list[int], rows: list[list[int]], bad: list[BadRow], layout: Layout
) -> ParsedLines:
    pixels = np.array(rows, np.uint8).reshape(len(rows), len(layout.pixels))
    return ParsedLines(np.array(good, np.int64), np.array(labels, np.uint8), pixels, bad)


def _joined(first: ParsedLines, second: ParsedLines, offset: int) -> ParsedLines:
    return ParsedLines(
        np.concatenate([first.good, second.good + offset]),
        np.concatenate([first.numbers, second.numbers]),
        np.concatenate([first.pixels, second.pixels]),
        first.bad + [bad._replace(line=bad.line + offset) for bad in second.bad],
    )

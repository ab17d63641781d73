"""Lines of a pixel table to pictures: numbers in C++, and the reason for each row that cannot be used.

In: an Arrow array of CSV lines without their line ends. Out: a byte matrix, label numbers, and bad rows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from aslspark.labels import LETTER_OF_NUMBER

SIDE = 28
PIXELS = SIDE * SIDE
COLUMNS = ("label", *(f"pixel{number}" for number in range(1, PIXELS + 1)))
"""The header of a pixel table (Sign Language MNIST's)."""

EMPTY = "empty"
WRONG_COLUMN_COUNT = "wrong column count"
NOT_A_NUMBER = "not a number"
OUT_OF_RANGE = "out of 0-255"
UNKNOWN_LABEL = "unknown label"

# Below this many lines, looking at each row costs less than trying C++ again on halves.
ROW_BY_ROW_LINES = 16

LABEL_IS_KNOWN = np.array([number in LETTER_OF_NUMBER for number in range(256)])

# A plain decimal number. No two parts of it can take the same characters: a field of a million of them is read once.
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
SPACES = " \t\n\r\f\v"
# A quote in mid-field, or one that opens and does not close; Arrow takes "1"2 for 12, and "12 at the end for 12.
MISPLACED_QUOTE = r'[^,]"[^,]|(^|,)"[^",]*(,|$)'


class BadRow(NamedTuple):
    """A line that cannot be used: its place among the lines from 0, a reason, and what was found there."""

    line: int
    reason: str
    detail: str


class ParsedLines(NamedTuple):
    """`good` are the places of the usable lines, with their `numbers` and `pixels`; `bad` are the others."""

    good: np.ndarray
    numbers: np.ndarray
    pixels: np.ndarray
    bad: list[BadRow]


def parse_lines(lines: pa.Array) -> ParsedLines:
    """Parse lines of a pixel table.

    The lines are parsed together in C++. When that fails they are halved and tried again, so that one bad
    row sends only the few rows around it to `parse_row_by_row`.

    Parameters
    ----------
    lines : pyarrow.Array of string
        Data rows, without the header.

    Returns
    -------
    ParsedLines
        The place (int64) of each good line, its label number (uint8) and 784 pixels (uint8); the bad lines.
    """
    if len(lines) == 0:
        return _parsed([], [], [])
    together = parse_together(lines)
    if together is None:
        if len(lines) <= ROW_BY_ROW_LINES:
            return parse_row_by_row(lines)
        half = len(lines) // 2
        return _joined(parse_lines(lines.slice(0, half)), parse_lines(lines.slice(half)), half)
    numbers, pixels = together
    known = LABEL_IS_KNOWN[numbers]
    good = np.flatnonzero(known)
    if len(good) == len(lines):
        return ParsedLines(good, numbers, pixels, [])
    bad = [BadRow(int(row), *_unknown_label(int(numbers[row]))) for row in np.flatnonzero(~known)]
    return ParsedLines(good, numbers[good], pixels[good], bad)


def parse_together(lines: pa.Array) -> tuple[np.ndarray, np.ndarray] | None:
    """Parse lines in C++: label numbers and an (n, 784) byte matrix, or None when any line is in doubt."""
    count = len(lines)
    whole = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), lines)
    text = pc.binary_join(whole, "\n")[0].as_buffer().to_pybytes()
    # Arrow reads 0x1F as 31, which no pixel table means.
    if b"x" in text or b"X" in text:
        return None
    quoted = b'"' in text
    if quoted and pc.any(pc.match_substring_regex(lines, MISPLACED_QUOTE)).as_py():
        return None
    # uint8 makes the parser itself refuse what is not 0-255; 12.0 needs float64 and a look at the values.
    number_type = pa.float64() if b"." in text else pa.uint8()
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            # Spark already runs one of these per core; one block, so that each column is one array.
            read_options=pa_csv.ReadOptions(
                column_names=COLUMNS, use_threads=False, block_size=max(len(text) + 1, 1024)
            ),
            parse_options=pa_csv.ParseOptions(quote_char='"' if quoted else False, ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, number_type), null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != count:
        return None
    by_column = np.empty((len(COLUMNS), count), np.uint8)
    for number, column in enumerate(table.columns):
        values = column.chunk(0).to_numpy()
        if number_type == pa.float64() and not _whole_bytes(values):
            return None
        by_column[number] = values
    return by_column[0], np.ascontiguousarray(by_column[1:].T)


def parse_row_by_row(lines: pa.Array) -> ParsedLines:
    """Parse lines one at a time, which is slow and tells why a row cannot be used."""
    good, rows, bad = [], [], []
    # As bytes: a line that is not UTF-8 must become a bad row, not an error.
    for number, line in enumerate(lines.cast(pa.binary()).to_pylist()):
        row = parse_row(line.decode("utf-8", errors="replace"))
        if isinstance(row, tuple):
            bad.append(BadRow(number, *row))
        else:
            good.append(number)
            rows.append(row)
    return _parsed(good, rows, bad)


def parse_row(line: str) -> list[int] | tuple[str, str]:
    """Parse one line: its label number and 784 pixels, or a reason and what was found there."""
    if not line.strip():
        return EMPTY, "a blank line"
    # Counted before it is cut up: a line of a hundred million commas takes no more memory than it has.
    if (found := line.count(",") + 1) != len(COLUMNS):
        return WRONG_COLUMN_COUNT, f"{found} columns instead of {len(COLUMNS)}"
    numbers = []
    for name, field in zip(COLUMNS, line.split(","), strict=True):
        text = _unquoted(field)
        value = float(text) if NUMBER.fullmatch(text) else float("nan")
        # An overflow such as 1e999 is infinite: a number, though not a whole one.
        if not value.is_integer() and abs(value) != float("inf"):
            return NOT_A_NUMBER, f"{name} is {_quote(field)}"
        if name == "label" and (abs(value) > 255 or int(value) not in LETTER_OF_NUMBER):
            return _unknown_label(field.strip())
        if not 0 <= value <= 255:
            return OUT_OF_RANGE, f"{name} is {_quote(field)}"
        numbers.append(int(value))
    return numbers


def _unquoted(field: str) -> str:
    """Take the spaces from a field, and the quotes around it, with the spaces in them."""
    field = field.strip(SPACES)
    return field[1:-1].strip(SPACES) if len(field) > 1 and field[0] == field[-1] == '"' else field


def _unknown_label(label: int | str) -> tuple[str, str]:
    return UNKNOWN_LABEL, f"label is {_quote(str(label))}"


def _quote(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _whole_bytes(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 255) & (values == np.floor(values))).all())


def _parsed(good: list[int], rows: list[list[int]], bad: list[BadRow]) -> ParsedLines:
    numbers = np.array(rows, np.uint8).reshape(len(rows), len(COLUMNS))
    return ParsedLines(np.array(good, np.int64), numbers[:, 0], numbers[:, 1:], bad)


def _joined(first: ParsedLines, second: ParsedLines, offset: int) -> ParsedLines:
    return ParsedLines(
        np.concatenate([first.good, second.good + offset]),
        np.concatenate([first.numbers, second.numbers]),
        np.concatenate([first.pixels, second.pixels]),
        first.bad + [bad._replace(line=bad.line + offset) for bad in second.bad],
    )

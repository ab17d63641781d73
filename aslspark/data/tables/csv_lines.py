"""Lines of a table, without its header -> its columns, parsed in C++; or each line by itself, a reason for bad ones.

In: an Arrow array of CSV lines without line ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

# Up to this many lines, parsing row by row costs less than trying halves again in C++.
ROW_BY_ROW_LINES = 16

# A decimal number. No two parts of the pattern match the same characters, so that a long field is read once.
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
SPACES = " \t\n\r\f\v"
# A quote within a field, or an unclosed one: Arrow reads both "1"2 and a final "12 as 12.
MISPLACED_QUOTE = r'[^,]"[^,]|(^|,)"[^",]*(,|$)'

Row = TypeVar("Row")


class BadRow(NamedTuple):
    """A line that cannot be used: its place among the lines from 0, a reason and a detail."""

    line: int
    reason: str
    detail: str


def joined_lines(lines: pa.Array) -> bytes:
    """Return the lines as the text of a file."""
    whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    text: bytes = pc.binary_join(whole, "\n")[0].as_buffer().to_pybytes()
    return text


def read_columns(
    lines: pa.Array, text: bytes, names: Sequence[str], types: Mapping[str, pa.DataType]
) -> pa.Table | None:
    """Parse lines together in C++.

    Parameters
    ----------
    lines : pyarrow.Array of string
    text : bytes
        What `joined_lines` makes of them.
    names : sequence of str
        Of all columns.
    types : mapping of str to DataType
        Of the columns that are read, in their order.

    Returns
    -------
    pyarrow.Table or None
        None where any line is in doubt.
    """
    quoted = b'"' in text
    if quoted and pc.any(pc.match_substring_regex(lines, MISPLACED_QUOTE)).as_py():
        return None
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            # One thread, since Spark runs a task on every core; one block, so that each column is one array.
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(text) + 1, 1024)),
            parse_options=pa_csv.ParseOptions(quote_char='"' if quoted else False, ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    return table if table.num_rows == len(lines) else None


def parse_each(
    lines: pa.Array, kind: type[Row], parse_row: Callable[[str], Row | tuple[str, str]]
) -> tuple[list[int], list[Row], list[BadRow]]:
    """Parse lines one by one; return the places of the good ones, these as rows of `kind`, and the bad ones."""
    good, rows, bad = [], [], []
    # As bytes, so that a line that is not UTF-8 becomes a bad row and no error.
    for number, line in enumerate(lines.cast(pa.binary()).to_pylist()):
        row = parse_row(line.decode("utf-8", errors="replace"))
        if isinstance(row, kind):
            good.append(number)
            rows.append(row)
        else:
            bad.append(BadRow(number, *row))  # type: ignore[misc]  # not narrowed by `kind`
    return good, rows, bad


def number_in(field: str) -> float:
    """Return the number in a field; NaN where there is none."""
    text = _unquoted(field)
    return float(text) if NUMBER.fullmatch(text) else float("nan")


def _unquoted(field: str) -> str:
    """Remove the spaces and quotes around a field."""
    field = field.strip(SPACES)
    return field[1:-1].strip(SPACES) if len(field) > 1 and field[0] == field[-1] == '"' else field

"""The bytes of a pixel table, such as a request's body -> its rows, by the parser of files.

In: CSV with or without a header. Out: the pixels of each row, or the reason why it has none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aslspark.data.tables.parse_pixels import parse_lines
from aslspark.data.tables.pixel_layout import Layout, bare, layout_of_line, names_pixels

_LINE_END = re.compile(r"\r\n|\r|\n")


class PixelLine(NamedTuple):
    """A row of a table: pixels or a reason."""

    line: int
    """Its number in the text from 1, headers included."""
    pixels: npt.NDArray[np.uint8] | None
    reason: str | None


def pixel_lines(data: bytes, where: str) -> list[PixelLine]:
    """Read the rows of a table.

    Parameters
    ----------
    data : bytes
        With a header: a pixel table with any number of pixels; labels are ignored. Without: the pixels of one picture
        on each line, and nothing else. Blank lines at the end are ignored.
    where : str
        Opens the error.

    Raises
    ------
    AslsparkError
        Where the header cannot be read; see `aslspark.data.tables.pixel_layout.layout_of_line`.
    UnicodeDecodeError
        Where the bytes are not UTF-8.
    """
    lines = _LINE_END.split(data.decode("utf-8-sig"))
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return []
    if "\0" in lines[0] or names_pixels(lines[0]):
        layout = layout_of_line(lines[0], where, label=False, pixels=None)
        return _parsed(lines[1:], 2, layout._replace(label=None))
    counts = {line.count(",") + 1 for line in lines}
    if len(counts) == 1:
        return _parsed(lines, 1, bare(counts.pop()))
    return [row for place, line in enumerate(lines, 1) for row in _parsed([line], place, bare(line.count(",") + 1))]


def _parsed(lines: list[str], first: int, layout: Layout) -> list[PixelLine]:
    parsed = parse_lines(pa.array(lines, pa.string()), layout)
    rows = [PixelLine(first + int(place), row, None) for place, row in zip(parsed.good, parsed.pixels, strict=True)]
    rows += [PixelLine(first + bad.line, None, f"{bad.reason}: {bad.detail}") for bad in parsed.bad]
    return sorted(rows, key=lambda row: row.line)

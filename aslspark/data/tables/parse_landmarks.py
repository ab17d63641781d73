"""Lines of a table of landmarks -> points, parsed in C++; and a reason for each line that cannot be used."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from aslspark.data.tables.landmark_layout import POINTS, LandmarkLayout, coordinate_names, label_number
from aslspark.data.tables.parse_pixels import MISPLACED_QUOTE, ROW_BY_ROW_LINES, BadRow, number_in
from aslspark.data.tables.pixel_layout import EMPTY, NOT_A_NUMBER, WRONG_COLUMN_COUNT

NO_HAND = "no hand"
"""All points are at one place, as people write a picture in which no hand was found."""


class ParsedLandmarks(NamedTuple):
    """The places `good` of usable lines with their label `numbers` and `points`, and the `bad` lines."""

    good: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    """See `landmark_layout.label_number`; -1 where a line has no known label, or the layout none."""
    points: npt.NDArray[np.float64]
    """Shape (n, 21, axes)."""
    bad: list[BadRow]


def parse_landmarks(lines: pa.Array, layout: LandmarkLayout) -> ParsedLandmarks:
    """Parse lines of a table of landmarks, together in C++, or each half by itself where that fails.

    Parameters
    ----------
    lines : pyarrow.Array of string
        Data rows, without the header.
    layout : LandmarkLayout
    """
    together = _parse_together(lines, layout) if len(lines) else ([], np.zeros((0, len(layout.points))))
    if together is None:
        if len(lines) > ROW_BY_ROW_LINES:
            half = len(lines) // 2
            first, rest = (parse_landmarks(part, layout) for part in (lines.slice(0, half), lines.slice(half)))
            return ParsedLandmarks(
                np.concatenate([first.good, rest.good + half]),
                np.concatenate([first.numbers, rest.numbers]),
                np.concatenate([first.points, rest.points]),
                first.bad + [bad._replace(line=bad.line + half) for bad in rest.bad],
            )
        return _parse_row_by_row(lines, layout)
    labels, coordinates = together
    points = coordinates.reshape(len(coordinates), POINTS, layout.axes)
    is_hand = np.ptp(points[:, :, :2], axis=1).max(axis=1) > 0 if len(points) else np.zeros(0, bool)
    good = np.flatnonzero(is_hand)
    numbers = np.array([label_number(labels[row]) if labels else -1 for row in good], np.int64)
    bad = [BadRow(int(row), *_no_hand(points[row])) for row in np.flatnonzero(~is_hand)]
    return ParsedLandmarks(good, numbers, points[good], bad)


def _parse_together(lines: pa.Array, layout: LandmarkLayout) -> tuple[list[str], npt.NDArray[np.float64]] | None:
    """Return labels, none where the layout has none, and coordinates (n, numbers); None where a line is in doubt."""
    names = layout.names
    used = [names[place] for place in layout.points]
    whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    text = pa.compute.binary_join(whole, "\n")[0].as_buffer().to_pybytes()
    quoted = b'"' in text
    if quoted and pa.compute.any(pa.compute.match_substring_regex(lines, MISPLACED_QUOTE)).as_py():
        return None
    types = dict.fromkeys(used, pa.float64())
    if layout.label is not None:
        types["label"] = pa.string()
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(text) + 1, 1024)),
            parse_options=pa_csv.ParseOptions(quote_char='"' if quoted else False, ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(lines):
        return None
    coordinates = np.stack([table[name].combine_chunks().to_numpy() for name in used], axis=1)
    if not np.isfinite(coordinates).all():
        return None
    return (table["label"].to_pylist() if layout.label is not None else []), coordinates


def _parse_row_by_row(lines: pa.Array, layout: LandmarkLayout) -> ParsedLandmarks:
    good, numbers, rows, bad = [], [], [], []
    # As bytes, so that a line that is not UTF-8 becomes a bad row and no error.
    for number, line in enumerate(lines.cast(pa.binary()).to_pylist()):
        row = _parse_row(line.decode("utf-8", errors="replace"), layout)
        if isinstance(row, ParsedRow):
            good.append(number)
            numbers.append(row.label)
            rows.append(row.points)
        else:
            bad.append(BadRow(number, *row))
    points = np.array(rows, np.float64).reshape(len(rows), POINTS, layout.axes)
    return ParsedLandmarks(np.array(good, np.int64), np.array(numbers, np.int64), points, bad)


class ParsedRow(NamedTuple):
    """A usable line."""

    label: int
    points: npt.NDArray[np.float64]


def _parse_row(line: str, layout: LandmarkLayout) -> ParsedRow | tuple[str, str]:
    if not line.strip():
        return EMPTY, "a blank line"
    if (count := line.count(",") + 1) != layout.columns:
        return WRONG_COLUMN_COUNT, f"{count} columns instead of {layout.columns}"
    fields = line.split(",")
    values = [number_in(fields[place]) for place in layout.points]
    for name, place, value in zip(coordinate_names(layout.axes), layout.points, values, strict=True):
        if not math.isfinite(value):
            return NOT_A_NUMBER, f"{name} is {fields[place].strip()[:40]!r}"
    points = np.array(values).reshape(POINTS, layout.axes)
    if not np.ptp(points[:, :2], axis=0).any():
        return _no_hand(points)
    return ParsedRow(-1 if layout.label is None else label_number(fields[layout.label]), points)


def _no_hand(points: npt.NDArray[np.float64]) -> tuple[str, str]:
    return NO_HAND, f"all points are at {points[0, 0]:g}, {points[0, 1]:g}"

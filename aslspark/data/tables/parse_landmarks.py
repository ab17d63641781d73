"""Lines of a table of landmarks -> points, parsed in C++; and a reason for each line that cannot be used."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aslspark.data.tables.csv_lines import ROW_BY_ROW_LINES, BadRow, joined_lines, number_in, parse_each, read_columns
from aslspark.data.tables.landmark_layout import POINTS, LandmarkLayout, coordinate_names, label_number
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
    types = dict.fromkeys(used, pa.float64())
    if layout.label is not None:
        types["label"] = pa.string()
    table = read_columns(lines, joined_lines(lines), names, types)
    if table is None:
        return None
    coordinates = np.stack([table[name].combine_chunks().to_numpy() for name in used], axis=1)
    if not np.isfinite(coordinates).all():
        return None
    return (table["label"].to_pylist() if layout.label is not None else []), coordinates


def _parse_row_by_row(lines: pa.Array, layout: LandmarkLayout) -> ParsedLandmarks:
    good, rows, bad = parse_each(lines, ParsedRow, partial(_parse_row, layout=layout))
    points = np.array([row.points for row in rows], np.float64).reshape(len(rows), POINTS, layout.axes)
    numbers = np.array([row.label for row in rows], np.int64)
    return ParsedLandmarks(np.array(good, np.int64), numbers, points, bad)


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

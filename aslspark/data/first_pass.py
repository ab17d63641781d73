"""Opened sources -> how many rows each has, and what else is known before anything is parsed or decoded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field, replace

from pyspark.sql import DataFrame, SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import LETTER_OF_NUMBER
from aslspark.data.discover_sources import OpenedSources
from aslspark.data.files.store_files import plain_path
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.sample_frames import FrameCounts, count_samples
from aslspark.data.tables.label_numbers import numbering_warning
from aslspark.data.tables.landmark_hands import TableHands
from aslspark.data.tables.landmark_layout import LandmarkLayout, is_gapless, letters_of
from aslspark.data.tables.pixel_layout import PIXELS
from aslspark.data.tables.table_lines import (
    TableLayout,
    count_lines,
    hands_of_lines,
    labelled_lines,
    lines_of_files,
    write_lines,
)

# Approximate share of the raw pixels' bytes; decides the size of row groups, which readers decode in memory.
STORED_SHARE = {"raw": 1.0, "png": 0.5, "jpeg": 0.1}


@dataclass(frozen=True)
class FirstPass:
    """All counts of the first pass, before parsing."""

    lines: DataFrame | None
    """The lines of all pixel tables, for the second pass; None without pixel tables."""
    counts: Mapping[tuple[str, int], Counter[int]]
    """Lines by block and label number, headers included."""
    source_of: Mapping[str, str]
    """Short names, by path in `counts`."""
    frames: Mapping[str, FrameCounts]
    """Counts of the tables of samples in memory."""
    headers: int
    """Lines that are headers."""
    pictures: int = 0
    """Pictures in files."""
    picture_file_bytes: int = 0
    """Their size in the sample table, about."""
    layouts: Mapping[str, TableLayout] = field(default_factory=dict)
    """Of the lines, by short name."""
    hands: Mapping[str, TableHands] = field(default_factory=dict)
    """Of tables of landmarks, by short name."""

    @property
    def rows(self) -> int:
        """Rows of all sources."""
        return self._table_rows + self.pictures + sum(frame.rows for frame in self.frames.values())

    @property
    def picture_bytes(self) -> int:
        """Bytes of all pictures, about."""
        in_frames = sum(frame.picture_bytes for frame in self.frames.values())
        return PIXELS * self._table_rows + self.picture_file_bytes + in_frames

    def numbering_warnings(self) -> list[str]:
        """Return a warning for each pixel table whose label numbers seem to number letters differently.

        And for each table of landmarks what is not written in it, but was found out.
        """
        numbers = _label_numbers(self.counts, self.source_of)
        warnings = [numbering_warning(name, numbers[name]) for name in sorted(numbers.keys() - self.hands.keys())]
        for name, hands in sorted(self.hands.items()):
            count = "; its labels count the 24 static letters from 0" if is_gapless(numbers.get(name, ())) else ""
            warnings.append(f"{name}: read as {hands}{count}")
        return [warning for warning in warnings if warning]

    def label_of(self, source: str, number: int) -> str | None:
        """Return the label that a label number of a table stands for; None where it stands for none."""
        hands = self.hands.get(source)
        return LETTER_OF_NUMBER.get(number) if hands is None else hands.letters.get(number)

    @property
    def has_pixels(self) -> bool:
        """Whether any table is one of pixels."""
        return len(self.hands) < len(self.layouts)

    @property
    def _table_rows(self) -> int:
        return sum(lines.total() for lines in self.counts.values()) - self.headers


def count_sources(spark: SparkSession, opened: OpenedSources, folder: str, options: PictureOptions) -> FirstPass:
    """Count the rows of every source, in the JVM.

    Parameters
    ----------
    folder : str
        A folder to be made: pixel tables in memory are written there as lines, since they are read twice.

    Raises
    ------
    AslsparkError
        Where Spark passes over a file, or ids of samples in memory repeat.
    """
    # By number, since the name of a table may be none that a path has as it is.
    folders = {name: f"{folder}/{number}" for number, name in enumerate(opened.pixel_frames)}
    of_frames = {name: write_lines(frame, folders[name]) for name, frame in opened.pixel_frames.items()}
    layouts = {path: opened.layouts[name] for path, name in opened.files.items()}
    layouts |= {folders[name]: layout for name, layout in of_frames.items()}
    names = opened.files | {path: name for name, path in folders.items()}
    lines = labelled_lines(spark, layouts) if layouts else None
    counts = count_lines(lines) if lines is not None else {}
    source_of = _name_paths({path for path, _ in counts}, opened)
    if unread := sorted(set(opened.files.values()) - set(source_of.values())):
        raise AslsparkError(f"{unread[0]} is passed over by Spark: give it a name without a leading _ or .")
    numbers = _label_numbers(counts, source_of)
    hands = {
        names[path]: hands_of_lines(lines_of_files(spark, [path]), layout)
        for path, layout in layouts.items()
        if isinstance(layout, LandmarkLayout)
    }
    hands = {
        name: replace(found, letters=_wanted_letters(numbers.get(name, ()), options)) for name, found in hands.items()
    }
    taken = _taken_ids(opened, counts, source_of) if opened.sample_frames else {}
    frames = count_samples(opened.sample_frames, taken)
    pictures = sum(len(source.pictures) for source in opened.pictures.values())
    stored_bytes = int(pictures * math.prod(options.form.shape) * STORED_SHARE[options.store])
    return FirstPass(
        lines,
        counts,
        source_of,
        frames,
        len(opened.files),
        pictures,
        stored_bytes,
        {**opened.layouts, **of_frames},
        hands,
    )


def _taken_ids(
    opened: OpenedSources, counts: Mapping[tuple[str, int], Counter[int]], source_of: Mapping[str, str]
) -> dict[str, Container[str]]:
    """Return what follows a source's name and a colon in the ids of its rows, of all sources but samples in memory."""
    lines: Counter[str] = Counter()
    for (path, _), of_block in counts.items():
        lines[source_of[path]] += of_block.total()
    for name in opened.files.values():
        lines[name] -= 1  # the header
    names = {name: {picture.name for picture in source.usable} for name, source in opened.pictures.items()}
    return {**{name: _Numbers(rows) for name, rows in lines.items()}, **names}


@dataclass(frozen=True)
class _Numbers:
    """The numbers from 1 to `last`, as text."""

    last: int

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and text.isdecimal() and 1 <= int(text) <= self.last


def _label_numbers(counts: Mapping[tuple[str, int], Counter[int]], source_of: Mapping[str, str]) -> dict[str, set[int]]:
    numbers: dict[str, set[int]] = {}
    for (path, _), lines in counts.items():
        numbers.setdefault(source_of[path], set()).update(lines)
    return numbers


def _wanted_letters(numbers: Collection[int], options: PictureOptions) -> dict[int, str]:
    return {number: label for number, label in letters_of(numbers).items() if options.is_wanted(label)}


def _name_paths(paths: set[str], opened: OpenedSources) -> dict[str, str]:
    """Return the short names by path as Spark writes it: a URI in most versions, a plain path in others."""
    spellings = [{plain_path(path): name for path, name in spelled.items()} for spelled in (opened.uris, opened.files)]
    names = max(spellings, key=lambda known: sum(plain_path(path) in known for path in paths))
    # Any other path is a part file of <folder>/<number> from write_lines.
    frames = list(opened.pixel_frames)
    return {path: names.get(plain_path(path)) or frames[int(path.split("/")[-2])] for path in paths}

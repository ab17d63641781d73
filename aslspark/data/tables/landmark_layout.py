"""The header of a table of landmarks -> its `LandmarkLayout`; its labels -> letters.

A table of landmarks has `label, x0, y0[, z0], ..., x20, y20[, z20]`, as people collect them with MediaPipe.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import LABELS, STATIC_LETTERS, label_named
from aslspark.data.tables.pixel_layout import INDEX, header_names

POINTS = 21
FIRST_NAMED = 100
"""Labels by number are 0 to 99; a name's number is this and its place in `labels.LABELS`."""

_ALPHABET = LABELS[:26]
_J, _LAST_WITHOUT_GAPS = 9, len(STATIC_LETTERS) - 1


class LandmarkLayout(NamedTuple):
    """The columns of a table of landmarks."""

    columns: int
    """Their number, ignored ones included."""
    label: int | None
    """Place of the label, from 0; None without one."""
    points: tuple[int, ...]
    """Places of x0, y0, (z0,) x1 and so on."""
    axes: int
    """2 or 3: whether there is a z."""

    @property
    def names(self) -> list[str]:
        """A unique name for each column."""
        names = [f"column {place + 1}" for place in range(self.columns)]
        if self.label is not None:
            names[self.label] = "label"
        for place, name in zip(self.points, coordinate_names(self.axes), strict=True):
            names[place] = name
        return names


def coordinate_names(axes: int) -> list[str]:
    """Return x0, y0, (z0,) x1 and so on."""
    return [f"{axis}{point}" for point in range(POINTS) for axis in "xyz"[:axes]]


def names_landmarks(names: Collection[str]) -> bool:
    """Tell the names of columns of a table that is, or was meant to be, a table of landmarks."""
    given = {name.strip().strip('"').strip().lower() for name in names}
    return {"x0", "y0", "x1", "y1"} <= given


def landmark_layout(names: Sequence[str], where: str, *, label: bool = True) -> LandmarkLayout:
    """Return the layout of a table of landmarks by the names of its columns, in any order and in upper or lower case.

    Columns of row numbers, as pandas and R write them, are ignored.

    Parameters
    ----------
    where : str
        Opens the error.
    label : bool
        Whether a label is required.

    Raises
    ------
    AslsparkError
        Naming the columns that are missing, additional or there twice.
    """
    names = header_names(",".join(names))
    axes = 3 if "z0" in names else 2
    wanted = coordinate_names(axes)
    start, end = ("label," if label else "[label,]"), wanted[-1]
    expected = f"a table of landmarks has {start}{','.join(wanted[:axes])},...,{end} and nothing else"
    needed = [*(["label"] if label else []), *wanted]
    if missing := [name for name in needed if name not in names]:
        raise AslsparkError(f"{where} lacks {', '.join(missing[:3])}: {expected}")
    if twice := [name for name in ("label", *wanted) if names.count(name) > 1]:
        raise AslsparkError(f"{where} has {twice[0]} twice: {expected}")
    if extra := [name for name in names if name not in {"label", *wanted} and not INDEX.fullmatch(name)]:
        raise AslsparkError(f"{where} has other columns too, {', '.join(extra[:3])[:120]}: {expected}")
    places = {name: place for place, name in enumerate(names)}
    return LandmarkLayout(len(names), places.get("label"), tuple(places[name] for name in wanted), axes)


def letters_of(numbers: Collection[int]) -> dict[int, str]:
    """Say which label each label number of a table stands for; a number that is not in the answer stands for none.

    Numbers from FIRST_NAMED up are labels that are written as names. Others are places in the alphabet, counted from 0,
    as in Sign Language MNIST. But where 9 is among them, which would be J, and none is above 23, they are classes: the
    places of 24 static letters without gaps, as scikit-learn's LabelEncoder numbers them.

    Parameters
    ----------
    numbers : collection of int
        All that are in the table; negative ones are ignored.
    """
    used = {number for number in numbers if 0 <= number < FIRST_NAMED}
    letters = STATIC_LETTERS if is_gapless(used) else _ALPHABET
    found = {number: letters[number] for number in used if number < len(letters)}
    return found | {FIRST_NAMED + place: name for place, name in enumerate(LABELS)}


def is_gapless(numbers: Collection[int]) -> bool:
    """Tell label numbers that count the 24 static letters, and not the alphabet; see `letters_of`."""
    used = {number for number in numbers if 0 <= number < FIRST_NAMED}
    return _J in used and max(used) <= _LAST_WITHOUT_GAPS


def label_number(text: str) -> int:
    """Return the number of a label as it is written, before it is known what numbers stand for; -1 where it is none."""
    text = text.strip().strip('"').strip()
    name = label_named(text)
    if name is not None:
        return FIRST_NAMED + LABELS.index(name)
    try:
        number = float(text)
    except ValueError:
        return -1
    return int(number) if 0 <= number < FIRST_NAMED and number == int(number) else -1

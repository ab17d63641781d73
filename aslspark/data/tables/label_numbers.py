"""The label numbers of a pixel table -> a warning where they seem to count letters in another way."""

from __future__ import annotations

from collections.abc import Iterable

from aslspark.common.labels import LETTER_OF_NUMBER

J, Y, Z = 9, 24, 25
LAST_KNOWN = 28
"""Of tables that number the alphabet and then del, nothing and space."""
MANY = 3


def numbering_warning(name: str, numbers: Iterable[int]) -> str | None:
    """Warn of label numbers that stand for other letters than a pixel table's.

    A table counts the alphabet from 0, with gaps at 9 (J) and 25 (Z), which are movements. Letters that were numbered
    anew, without the gaps or from 1, would be learned as others without a word, but for those few rows that fall on a
    number that is no letter.

    Parameters
    ----------
    name : str
        Of the table.
    numbers : iterable of int
        Those that stand in it; below 0 is no number.
    """
    there = {number for number in numbers if number >= 0}
    above = {number for number in there if number > LAST_KNOWN}
    if len(above) >= MANY:
        seems, mend = f"labels up to {max(above)}", "number the letters 0-25, and give digits and others elsewhere"
    elif 0 not in there and {J, Z, Z + 1} & there:
        # Counted from 1 with the gaps, J would be 10 and Y 25; without them K is 10 and nothing is above 24.
        has_gaps = J + 1 not in there or {Z, Z + 1} & there
        seems, mend = "counted from 1", f"subtract 1{'' if has_gaps else ', and then add 1 from 9 up'}"
    elif J in there and not {Y, Z} & there:
        seems, mend = "numbered 0-23 without a gap, as LabelEncoder does it", "add 1 from 9 up"
    else:
        return None
    known = f"0 is {LETTER_OF_NUMBER[0]}, 8 is {LETTER_OF_NUMBER[8]}, 10 is {LETTER_OF_NUMBER[10]}, 24 is Y"
    return (
        f"{name}: its labels seem {seems}; they are read as Sign Language MNIST numbers letters ({known}, 9 and 25 "
        f"are none), so that many would be learned as another letter: {mend}"
    )

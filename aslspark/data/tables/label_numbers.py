"""The label numbers of a pixel table -> a warning where they seem to number letters differently."""

from __future__ import annotations

from collections.abc import Iterable

from aslspark.common.labels import LETTER_OF_NUMBER

J, Y, Z = 9, 24, 25
LAST_KNOWN = 28
"""The highest number in tables that number the alphabet and then del, nothing and space."""
MANY = 3


def numbering_warning(name: str, numbers: Iterable[int]) -> str | None:
    """Return a warning about label numbers that seem to stand for other letters.

    Sign Language MNIST numbers the alphabet from 0, without 9 (J) and 25 (Z), which are movements. Letters that are
    numbered from 1 or without the gaps would silently be learned as others, except for the few rows with a number that
    is no letter.

    Parameters
    ----------
    name : str
        Of the table.
    numbers : iterable of int
        Label numbers in the table; negative ones are ignored.
    """
    used = {number for number in numbers if number >= 0}
    above = {number for number in used if number > LAST_KNOWN}
    if len(above) >= MANY:
        guess, advice = f"labels up to {max(above)}", "number the letters 0-25, and give digits and others elsewhere"
    elif 0 not in used and {J, Z, Z + 1} & used:
        # Counted from 1 with the gaps, J is 10 and Y is 25; without them, K is 10 and no number is above 24.
        has_gaps = J + 1 not in used or {Z, Z + 1} & used
        guess, advice = "counted from 1", f"subtract 1{'' if has_gaps else ', and then add 1 from 9 up'}"
    elif J in used and not {Y, Z} & used:
        guess, advice = "numbered 0-23 without a gap, as LabelEncoder does it", "add 1 from 9 up"
    else:
        return None
    numbering = f"0 is {LETTER_OF_NUMBER[0]}, 8 is {LETTER_OF_NUMBER[8]}, 10 is {LETTER_OF_NUMBER[10]}, 24 is Y"
    return (
        f"{name}: its labels seem {guess}; they are read as Sign Language MNIST numbers letters ({numbering}, 9 and 25 "
        f"are none), so that many would be learned as another letter: {advice}"
    )

"""A number and what it counts -> words such as "1 picture" and "1,200 pictures"."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """Write a number with what it counts.

    Parameters
    ----------
    number : int
    one : str
        What stands after 1, such as ``test picture has``.
    several : str
        What stands after any other number; empty: `one` with an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"

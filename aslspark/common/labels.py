"""The labels: letters, their numbers in pixel tables, and the names of picture folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

J_AND_Z = frozenset("JZ")
"""Letters that are movements, which a still picture cannot show."""

STATIC_LETTERS = tuple(letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in J_AND_Z)
"""The 24 letters that a still picture can show, in alphabetical order."""

LETTER_OF_NUMBER = {ord(letter) - ord("A"): letter for letter in STATIC_LETTERS}
"""Label numbers of Sign Language MNIST: 0 is A, 24 is Y; 9 (J) and 25 (Z) are absent."""

LABELS = (*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "del", "nothing", "space")
"""All labels of pictures, in alphabetical order. J and Z are among them: frames of a film can show them."""

LABEL_SETS = {
    "all": frozenset(LABELS),
    "letters": frozenset(STATIC_LETTERS) | J_AND_Z,
    "static": frozenset(STATIC_LETTERS),
}
"""Values of `pictures.keep`, and the labels that each keeps."""

_BY_NAME = {label.lower(): label for label in LABELS}


def label_named(name: str) -> str | None:
    """Return the label of a name in upper or lower case, such as a folder's; None where the name is no label."""
    return _BY_NAME.get(name.strip().lower())


def nearest_label(folders: Sequence[str], label_of: Callable[[str], str | None] = label_named) -> str | None:
    """Return the label of the innermost folder whose name is one; None where none is.

    Parameters
    ----------
    folders : sequence of str
        Names of the folders above a file, outermost first.
    label_of : callable, optional
        From a name to its label, or None.
    """
    return next((label for folder in reversed(folders) if (label := label_of(folder))), None)

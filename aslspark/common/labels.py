"""The letters, how pixel tables number them, and what folders of pictures may be called."""

J_AND_Z = frozenset("JZ")
"""Letters that are movements: a still picture does not hold them."""

STATIC_LETTERS = tuple(letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in J_AND_Z)
"""The 24 letters that a still hand shows, in alphabetical order."""

LETTER_OF_NUMBER = {ord(letter) - ord("A"): letter for letter in STATIC_LETTERS}
"""Sign Language MNIST's label numbers: 0 is A, 24 is Y; 9 (J) and 25 (Z) are absent."""

LABELS = (*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "del", "nothing", "space")
"""What pictures may be labelled, in alphabetical order: J and Z too, which a film's frames can show."""

LABEL_SETS = {
    "all": frozenset(LABELS),
    "letters": frozenset(STATIC_LETTERS) | J_AND_Z,
    "static": frozenset(STATIC_LETTERS),
}
"""What `pictures.keep` may ask for."""

_BY_NAME = {label.lower(): label for label in LABELS}


def label_named(name: str) -> str | None:
    """Find the label of a name in any case, such as that of a folder; None where it is no label."""
    return _BY_NAME.get(name.strip().lower())

"""The letters, and how pixel tables number them."""

J_AND_Z = frozenset("JZ")
"""Letters that are movements: a still picture does not hold them."""

STATIC_LETTERS = tuple(letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in J_AND_Z)
"""The 24 letters that a still hand shows, in alphabetical order."""

LETTER_OF_NUMBER = {ord(letter) - ord("A"): letter for letter in STATIC_LETTERS}
"""Sign Language MNIST's label numbers: 0 is A, 24 is Y; 9 (J) and 25 (Z) are absent."""

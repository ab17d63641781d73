"""What the page teaches: a drawn hand for each letter, how it is formed, and what tells apart those that look alike."""

from __future__ import annotations

import io
from collections.abc import Collection
from functools import lru_cache
from typing import Any

from PIL import Image

from aslspark.common.labels import STATIC_LETTERS

SIDE = 160
_SEED, _INDEX, _SIGNER = 11, 0, 3

STILL_LETTERS = {
    "A": "fist, thumb upright beside the forefinger",
    "B": "four fingers up and together, thumb across the palm",
    "C": "fingers and thumb curved like a C",
    "D": "forefinger up, the others meet the thumb",
    "E": "fingers bent down to the thumb, which lies below their tips",
    "F": "forefinger and thumb meet, three fingers up",
    "G": "forefinger and thumb point sideways, side by side",
    "H": "forefinger and middle finger point sideways, together",
    "I": "fist, little finger up",
    "K": "forefinger and middle finger up in a V, thumb between them",
    "L": "forefinger up, thumb out: an L",
    "M": "fist, thumb under three fingers",
    "N": "fist, thumb under two fingers",
    "O": "all fingertips meet the thumb: an O",
    "P": "as K, pointing down",
    "Q": "as G, pointing down",
    "R": "forefinger and middle finger crossed",
    "S": "fist, thumb across the fingers",
    "T": "fist, thumb between forefinger and middle finger",
    "U": "forefinger and middle finger up, together",
    "V": "forefinger and middle finger up, apart",
    "W": "three fingers up, apart",
    "X": "forefinger up and hooked",
    "Y": "thumb and little finger out",
}
MOVING_LETTERS = {"J": "as I, while the little finger draws a J", "Z": "the forefinger draws a Z"}

LESSONS = {
    "AEMNST": "All six are fists, and the thumb tells them apart. A: beside the forefinger. S: across the fingers. "
    "E: below the bent fingertips. T, N and M: under one, two and three fingers; count the knuckles above it.",
    "RUV": "Forefinger and middle finger are up in all three. U: together. V: apart. R: crossed.",
    "KPV": "K is a V with the thumb between the two fingers. P is the same hand as K, pointing down.",
    "GHQ": "G and H point sideways: G with the forefinger and thumb, H with two fingers together. Q is the same hand "
    "as G, pointing down.",
    "DF": "They are opposites. D: the forefinger alone is up. F: the forefinger meets the thumb, the others are up.",
    "CO": "The fingers curve in both. C leaves a gap to the thumb, O closes it. Show them from the side.",
    "IY": "The little finger is up in both. I: the thumb lies across the fist. Y: the thumb points away. J is I in "
    "motion.",
}
"""Letters that look alike -> what tells them apart; the known groups of `evaluation.confusable` are among them."""


def chart_of(labels: Collection[str]) -> list[dict[str, Any]]:
    """Return what the page's chart says of each letter, for a model with these labels."""
    return [
        {"letter": letter, "words": description, "drawn": letter in STATIC_LETTERS, "known": letter in labels}
        for letter, description in sorted({**STILL_LETTERS, **MOVING_LETTERS}.items())
    ]


def lessons() -> list[dict[str, Any]]:
    """Return what the page's lessons say of letters that look alike."""
    return [{"letters": list(letters), "words": words} for letters, words in LESSONS.items()]


@lru_cache(maxsize=len(STATIC_LETTERS))
def drawn(letter: str) -> bytes:
    """Draw a letter's hand as the bytes of a PNG, always the same."""
    from aslspark.data.synthetic.picture import draw_hand

    picture = draw_hand(letter, seed=_SEED, index=_INDEX, signer=_SIGNER, size=SIDE, channels=3)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()

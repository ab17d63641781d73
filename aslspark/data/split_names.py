"""Names of files and folders in, the split that they say they are out: train, validation, test, or nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from aslspark.data.samples import TEST, TRAIN, VALIDATION

SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "holdout", "heldout"), TEST),
}
"""What data is called by those who divide it. `eval` is test: by what is evaluated on, nothing is to be chosen."""

# CamelCase and what is not a letter part words; of TESTSet the first is TEST.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HELD_OUT = re.compile(r"\b(hold|held) out\b")
_ENDING = re.compile(r"(?<=.)(set|data)$")


@lru_cache(maxsize=65536)
def split_of_name(name: str) -> str | None:
    """Find the split that a file's or a folder's name says.

    Parameters
    ----------
    name : str
        One part of a path, such as `sign_mnist_test.csv` or `Train_Alphabet`.

    Returns
    -------
    str or None
        None where no word of it is one of SPLIT_OF_WORD (alone, or before `set` or `data`), or words contradict each
        other, as in `train_test`.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    words += [_ENDING.sub("", word) for word in words]
    found = {SPLIT_OF_WORD[word] for word in words if word in SPLIT_OF_WORD}
    if _HELD_OUT.search(" ".join(words)):
        found.add(TEST)
    return found.pop() if len(found) == 1 else None


def nearest_named(names: Sequence[str]) -> str | None:
    """Find the last of some names that says a split: the folder that is nearest to the file knows best."""
    return next((name for name in reversed(names) if split_of_name(name) is not None), None)

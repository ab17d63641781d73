"""The name of a file or folder -> the split that it says: train, validation, test, or none."""

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
"""Common words for splits. `eval` is test: nothing may be chosen by what a model is evaluated on."""

# Words end at CamelCase and at signs; TESTSet begins with TEST.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HELD_OUT = re.compile(r"\b(hold|held) out\b")
_ENDING = re.compile(r"(?<=.)(set|data)$")


@lru_cache(maxsize=65536)
def split_of_name(name: str) -> str | None:
    """Return the split that the name of a file or folder says.

    Parameters
    ----------
    name : str
        One part of a path, such as `sign_mnist_test.csv` or `Train_Alphabet`.

    Returns
    -------
    str or None
        None where no word is in SPLIT_OF_WORD (alone, or before `set` or `data`), or where words contradict each other,
        as in `train_test`.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    words += [_ENDING.sub("", word) for word in words]
    splits = {SPLIT_OF_WORD[word] for word in words if word in SPLIT_OF_WORD}
    if _HELD_OUT.search(" ".join(words)):
        splits.add(TEST)
    return splits.pop() if len(splits) == 1 else None


def nearest_named(names: Sequence[str]) -> str | None:
    """Return the last name that says a split: the innermost folder decides."""
    return next((name for name in reversed(names) if split_of_name(name) is not None), None)

"""Colours of all plots, and text that Matplotlib draws as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

TRAIN_COLOUR, VALIDATION_COLOUR, QUIET = "#4C78A8", "#E45756", "#777777"


@contextmanager
def literal_text() -> Iterator[None]:
    """Draw text as it is written; as a context or as a decorator of a function.

    Matplotlib sets text between two dollar signs as a formula. A file name with two of them would end the job.
    """
    with matplotlib.rc_context({"text.parse_math": False}):
        yield

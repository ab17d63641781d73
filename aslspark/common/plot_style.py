"""What all plots share: colours, and words that are names from elsewhere and no formulas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib

TRAIN_COLOUR, VALIDATION_COLOUR, QUIET = "#4C78A8", "#E45756", "#777777"


@contextmanager
def literal_text() -> Iterator[None]:
    """Draw words as they are, while it lasts or, as a decorator, in a function.

    Matplotlib sets what stands between two dollar signs as a formula, and a name that is none would end the job.
    """
    with matplotlib.rc_context({"text.parse_math": False}):
        yield

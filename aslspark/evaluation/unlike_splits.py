"""Metrics of a model -> a warning where its validation split says something else than its test split."""

from __future__ import annotations

from aslspark.data.samples import TEST, VALIDATION
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.metrics_json import Metrics

FAR_APART = 0.1
"""By how much more the validation pictures are right, beyond what the numbers of pictures leave open."""


def unlike_splits_warning(metrics: Metrics) -> str | None:
    """Return a warning where the test pictures are read far worse than those of validation; else None."""
    validation, test = (metrics["splits"].get(name) for name in (VALIDATION, TEST))
    if validation is None or test is None:
        return None
    low, _ = wilson(validation["accuracy"], validation["rows"])
    _, high = wilson(test["accuracy"], test["rows"])
    if low - high < FAR_APART:
        return None
    return (
        f"{validation['accuracy']:.1%} of the validation pictures are right, and {test['accuracy']:.1%} of the test "
        "pictures: validation is like what was learned (the same hands, neighbouring frames of a film), the test is "
        "not; believe the test. Hold out whole signers or sources for both (split.kind=signer or source), or learn "
        "from more of them"
    )

"""A DataFrame of pictures, or the bytes of one -> letters with probabilities, or reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aslspark.scoring.model import SignClassifierModel
    from aslspark.scoring.scored_tables import write_scores

__all__ = ["SignClassifierModel", "write_scores"]


def __getattr__(name: str) -> Any:
    """Import what needs Spark only when it is used: a service reads bundles without it."""
    if name in __all__:
        from aslspark.scoring import model, scored_tables

        return getattr(scored_tables if name == "write_scores" else model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

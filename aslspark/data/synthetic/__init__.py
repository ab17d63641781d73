"""A letter and a seed -> a drawn picture of a hand from a jointed model; for use where there are no photographs."""

from __future__ import annotations

from typing import Any

from aslspark.data.synthetic.picture import draw_hand, draw_landmarks

__all__ = ["draw_hand", "draw_landmarks", "drawn_samples"]


def __getattr__(name: str) -> Any:
    """Import the module that needs Spark only when it is used: the service draws its chart without Spark."""
    if name == "drawn_samples":
        from aslspark.data.synthetic.table import drawn_samples

        return drawn_samples
    raise AttributeError(name)

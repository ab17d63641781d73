"""Drawn hands: pictures of the 24 static letters from a jointed model, where there are no photographs."""

from __future__ import annotations

from typing import Any

from aslspark.data.synthetic.picture import draw_hand, draw_landmarks
from aslspark.data.synthetic.sheet import contact_sheet

__all__ = ["contact_sheet", "draw_hand", "draw_landmarks", "drawn_samples"]


def __getattr__(name: str) -> Any:
    """Import the Spark table when it is asked for: the service draws its chart without Spark."""
    if name == "drawn_samples":
        from aslspark.data.synthetic.table import drawn_samples

        return drawn_samples
    raise AttributeError(name)

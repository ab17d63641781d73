"""Drawn hands: pictures of the 24 static letters from a jointed model, where there are no photographs."""

from aslspark.sources.drawn.picture import draw_hand, draw_landmarks
from aslspark.sources.drawn.sheet import contact_sheet
from aslspark.sources.drawn.table import drawn_samples

__all__ = ["contact_sheet", "draw_hand", "draw_landmarks", "drawn_samples"]

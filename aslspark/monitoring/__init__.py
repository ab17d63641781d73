"""Whether the pictures that a model now reads differ from those that it was made with."""

ALARM_RATE = 0.01
"""Default share of clean batches that may raise an alarm."""

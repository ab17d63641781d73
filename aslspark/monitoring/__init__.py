"""Pictures that a model meets, against those that it was made with: whether the world has changed."""

ALARM_RATE = 0.01
"""Share of clean batches that may raise an alarm, unless another is asked for."""

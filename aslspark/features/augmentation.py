"""How far training pictures are changed, the same in both frameworks. Every amount is drawn evenly up to these."""

TURN_DEGREES = 10.0
SCALE = 0.1
"""Share of the size."""
SHEAR = 0.2
SHIFT = 0.07
"""Share of the width and height; two pixels of 28."""
CONTRAST = 0.2
BRIGHTNESS = 0.1

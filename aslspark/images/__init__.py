"""The bytes and names of picture files -> pixels, or the reason why there are none."""

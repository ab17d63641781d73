"""In: the bytes and names of picture files. Out: pixels, and the reason where there are none."""

"""Folders of pictures, as people bring them."""

import numpy as np
from PIL import Image


def picture(seed, size=(60, 50)):
    """A smooth picture; no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def fill(folder, labels="ABc", count=12, kind="jpg", first=0):
    """Write pictures into a folder for each label, numbered from 1, without leading zeros."""
    for place, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for number in range(1, count + 1):
            picture(first + 1000 * place + number).save(folder / label / f"{label}{number}.{kind}")
    return folder

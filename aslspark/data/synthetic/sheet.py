"""A seed -> a contact sheet of drawn hands, for people to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.synthetic.picture import draw_hand

_LABEL_HEIGHT = 14


def contact_sheet(
    path: str | Path,
    *,
    seed: int,
    signers: int = 4,
    size: int = 96,
    shown_size: int = 96,
    channels: int = 3,
    letters_per_row: int = 12,
) -> None:
    """Write a PNG that shows each letter as drawn for several signers, one below the other.

    Parameters
    ----------
    path : str or Path
        The PNG to write.
    seed : int
    signers : int
        Number of signers.
    size : int
        Height and width of each drawn picture, in pixels.
    shown_size : int
        Height and width of each picture on the sheet; above `size`, pictures are enlarged.
    channels : int
        1 for grey, 3 for RGB.
    letters_per_row : int
        Letters in a row.
    """
    bands = -(-len(STATIC_LETTERS) // letters_per_row)
    band_height = _LABEL_HEIGHT + signers * shown_size
    sheet = Image.new("RGB", (letters_per_row * shown_size, bands * band_height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, letter in enumerate(STATIC_LETTERS):
        band, column = divmod(number, letters_per_row)
        left, top = column * shown_size, band * band_height
        pen.text((left + shown_size // 2 - 3, top + 1), letter, fill="black")
        for signer in range(signers):
            index = signer * len(STATIC_LETTERS) + number
            hand = draw_hand(letter, seed=seed, index=index, signer=signer, size=size, channels=channels)
            tile = Image.fromarray(np.broadcast_to(hand, (size, size, 3)).copy())
            tile = tile.resize((shown_size, shown_size), Image.Resampling.BICUBIC)
            sheet.paste(tile, (left, top + _LABEL_HEIGHT + signer * shown_size))
    sheet.save(path)

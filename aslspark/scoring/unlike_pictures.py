"""Pictures to score and what a model takes -> a warning where the two have hardly anything in common."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.images.decoding import Unusable, header_of
from aslspark.images.image_spec import ImageSpec
from aslspark.images.local_file import read_file

SMALL_SIDE = 32
"""Of what a model of pixel tables takes: 28x28, where the hand fills the picture."""
LARGE_SIDE = 128
"""From which on a picture is a photograph, in which a hand is a part."""
_LOOKED_AT = 3
_MOST_BYTES = 32 << 20


def photographs_warning(rows: DataFrame, column: str, form: ImageSpec, are_paths: bool = False) -> str | None:
    """Return a warning where a model of small grey pictures is given large ones in colour; else None.

    Parameters
    ----------
    rows : DataFrame
        To be scored. Only where `column` holds files or their paths, and the model takes small grey pictures, some are
        looked at.
    column : str
        Of pictures.
    form : ImageSpec
        What the model takes.
    are_paths : bool
        Whether `column` holds paths of local files.
    """
    is_small = form.channels == 1 and max(form.height, form.width) <= SMALL_SIDE
    if not is_small or dict(rows.dtypes).get(column) != "binary":
        return None
    content = F.col(f"`{column}`")
    is_short = F.octet_length(content).between(1, _MOST_BYTES)
    some = [bytes(data) for (data,) in rows.where(is_short).select(content).limit(_LOOKED_AT).collect()]
    sizes = [size for data in some if (size := _size_in_colour(data, are_paths)) is not None]
    if not sizes or min(map(max, sizes)) < LARGE_SIDE:
        return None
    width, height = sizes[0]
    return (
        f"the model reads grey pictures of {form.width}x{form.height} that a hand fills, and is given photographs in "
        f"colour (the first has {width}x{height}): most answers will be wrong; train on pictures like these with "
        "--config conf/hands.yaml, which finds the hand"
    )


def _size_in_colour(data: bytes, is_path: bool) -> tuple[int, int] | None:
    """Return width and height of a picture in colour, by its header; None for what is grey, or no picture."""
    try:
        width, height, has_colours = header_of(read_file(data) if is_path else data)
    except Unusable:  # scoring will say why
        return None
    return (width, height) if has_colours else None

"""Rows of the sample table -> pictures and hands in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type

from aslspark.data.samples import HAND_COLUMN, HAND_TYPE, hands_missing
from aslspark.features.landmarks import hand_vectors
from aslspark.features.pictures import fit_picture
from aslspark.images.decoding import pixels_of
from aslspark.scoring.model import SignClassifierModel


def as_read(picture: Row, model: SignClassifierModel) -> npt.NDArray[np.uint8]:
    """Return a picture as the model gets it, as uint8 of the model's shape."""
    pixels = pixels_of(picture)
    return pixels if pixels.shape == model.form.shape else fit_picture(pixels, model.form)


def hands_of(rows: Sequence[Row]) -> npt.NDArray[np.float32]:
    """Return the hands of rows of the sample table, shape (n, HAND_NUMBERS).

    Raises
    ------
    AslsparkError
        Where the table has no column of hands.
    """
    if HAND_COLUMN not in rows[0]:
        raise hands_missing("the samples")
    hands = [row[HAND_COLUMN] for row in rows]
    return hand_vectors(pa.array([hand and hand.asDict() for hand in hands], to_arrow_type(HAND_TYPE)))


def one_of_each_label(samples: DataFrame) -> list[Row]:
    """Collect one row (`id`, `label`, `picture`, and `hand` where there is one) of each label, always the same."""
    # By a hash, so that it is not always the first frame of a video.
    first = F.min_by("id", F.xxhash64("id")).alias("id")
    chosen = [row["id"] for row in samples.groupBy("label").agg(first).collect()]
    columns = ["id", "label", "picture", *([HAND_COLUMN] if HAND_COLUMN in samples.columns else [])]
    return samples.where(F.col("id").isin(chosen)).select(*columns).orderBy("label", "id").collect()

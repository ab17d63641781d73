"""Bytes of a column that may be a picture file's or the pixels of the model's size."""

import pandas as pd
import pytest

from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import Unusable
from aslspark.images.image_spec import ImageSpec


def test_as_many_bytes_as_the_model_has_pixels_are_pixels():
    normaliser = Normaliser("bytes", ImageSpec(2, 2, 1))
    assert normaliser.one(b"abcd")[0].ravel().tolist() == list(b"abcd")
    pixels, reasons = normaliser(pd.DataFrame({"data": [b"abcd", b"efgh"]}))
    assert (pixels.ravel().tolist(), reasons.tolist()) == (list(b"abcdefgh"), [None, None])


def test_three_bytes_are_no_picture_to_a_model_of_landmarks_whose_own_have_one_pixel():
    normaliser = Normaliser("bytes", ImageSpec(1, 1, 3))
    with pytest.raises(Unusable, match="not a picture: 3 bytes"):
        normaliser.one(b"abc")
    _, reasons = normaliser(pd.DataFrame({"data": [b"abc", b"def"]}))
    assert [reason.partition(":")[0] for reason in reasons] == ["not a picture"] * 2

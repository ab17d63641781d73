"""What scoring says besides its answers: how many are right where labels are known, and pictures that do not fit."""

import io

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import functions as F

from aslspark.images.image_spec import ImageSpec
from aslspark.scoring.scored_tables import _summary, count_scores
from aslspark.scoring.unlike_pictures import photographs_warning

SMALL = ImageSpec(28, 28, 1)


@pytest.mark.parametrize(
    ("rows", "schema", "line"),
    [
        (
            [("A", "A"), ("b ", "B"), ("C", "D"), ("nothing", None), (None, "A"), ("what", "A")],
            "label string, letter string",
            ["labels are known of 4: 50.00% of them are read right"],
        ),
        (
            [("t.csv", 1, "0", "A"), ("t.csv", 2, "24", "Y"), ("t.csv", 3, "9", "J"), ("t.csv", 4, "oops", "B")],
            "source string, row long, label string, letter string",
            ["labels are known of 2: 100.00% of them are read right"],
        ),
        ([("0", "A")], "label string, letter string", []),  # of another table a number is no letter
        ([(None, "A")], "label string, letter string", []),
        ([("A",)], "letter string", []),
        ([(3, "A")], "label int, letter string", []),
    ],
)
def test_scoring_says_how_many_are_right_where_labels_are_known(spark, rows, schema, line):
    scored = spark.createDataFrame(rows, schema).withColumn("reason", F.lit("not read"))
    assert [said for said in _summary(count_scores(scored)) if said.startswith("labels")] == line


def picture(width, height, mode="RGB"):
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).convert(mode).save(file, "PNG")
    return bytearray(file.getvalue())


@pytest.mark.parametrize(
    ("content", "form", "is_warned"),
    [
        (picture(640, 480), SMALL, True),
        (picture(640, 480, "L"), SMALL, False),
        (picture(28, 28), SMALL, False),
        (picture(640, 480), ImageSpec(64, 64, 3), False),
        (picture(640, 480), ImageSpec(64, 64, 1), False),
        (bytearray(b"no picture"), SMALL, False),
        (None, SMALL, False),
    ],
)
def test_a_model_of_small_grey_pictures_that_is_given_photographs_says_so(spark, content, form, is_warned):
    rows = spark.createDataFrame([("a", content)], "path string, content binary")
    said = photographs_warning(rows, "content", form)
    assert (said is not None) == is_warned
    if is_warned:
        assert "28x28" in said
        assert "640x480" in said
    assert photographs_warning(rows, "path", form) is None

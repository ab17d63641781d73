"""Rows that stand byte for byte on both sides of a split, counted one by one."""

import numpy as np
import pandas as pd
import pytest

from aslspark.data.exact_duplicates import common_encoding, count_exact_duplicates, duplicates_in_lines, encodings_of
from aslspark.data.samples import SAMPLE_SCHEMA, TEST, TRAIN, VALIDATION
from aslspark.images.decoding import encode


def samples(spark, rows):
    """A row for each (split, pixels), with the shape that the pixels come in where it is given."""
    made = []
    for n, (split, pixels, *shape) in enumerate(rows):
        height, width = shape or (1, len(pixels))
        made.append((f"{split}:{n}", (height, width, 1, bytearray(pixels), "raw"), "A", "film", None, split))
    return spark.createDataFrame(made, SAMPLE_SCHEMA)


def from_lines(_, rows):
    lines = [(f"{split}:{n}", split, repr(picture).encode()) for n, (split, *picture) in enumerate(rows)]
    return duplicates_in_lines(pd.DataFrame(lines, columns=["id", "split", "digest"]), "digest")


def by_spark(spark, rows):
    return count_exact_duplicates(samples(spark, rows))


WAYS = pytest.mark.parametrize("counted", [by_spark, from_lines])


@WAYS
def test_each_pair_of_splits_is_counted_by_the_rows_of_either_side(spark, counted):
    rows = [
        *[(TRAIN, b"aaaa")] * 3,
        *[(TEST, b"aaaa")] * 2,  # in train
        (VALIDATION, b"bbbb"),
        (TEST, b"bbbb"),  # in validation alone
        *[(VALIDATION, b"cccc")] * 2,
        (TRAIN, b"cccc"),  # of train and validation, not of test
        *[(TRAIN, b"dddd")] * 2,  # twice on one side
        (TEST, b"eeee"),
        (TRAIN, b"ffff"),
        (TEST, b"ffff", 2, 2),  # the same bytes in another shape
    ]
    found = counted(spark, rows)
    assert (found.test, found.others, found.validation) == (3, 4, 2)
    assert found.first == ("test:3", "train:0")
    assert len(found.warnings()) == 2


@WAYS
def test_nothing_is_said_where_the_splits_share_nothing(spark, counted):
    found = counted(spark, [(TRAIN, b"aaaa"), (TRAIN, b"aaaa"), (TEST, b"bbbb")])
    assert (found.test, found.others, found.validation, found.first) == (0, 0, 0, None)
    assert found.warnings() == []


@pytest.mark.promise(
    "tested",
    "A picture is the same on both sides whether its pixels, its PNG or its JPEG is stored.",
    kind="one picture under two encodings",
)
@pytest.mark.parametrize(("stored", "found"), [(("raw", "png"), 2), (("raw", "jpeg"), 2), (("png", "jpeg"), 2)])
def test_a_picture_is_the_same_in_another_encoding(spark, stored, found):
    pictures = np.random.default_rng(1).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    rows = [
        (f"{split}:{number}", (8, 12, 3, bytearray(encode(pictures[number], kind)), kind), "A", "film", None, split)
        for split, kind, numbers in ((TRAIN, stored[0], (0, 1)), (TEST, stored[1], (1, 0, 2)))
        for number in numbers
    ]
    table = spark.createDataFrame(rows, SAMPLE_SCHEMA)
    assert encodings_of(table) == set(stored)
    duplicates = count_exact_duplicates(table, stored)
    assert (duplicates.test, duplicates.others) == (found, 2)
    assert duplicates.first == ("test:0", "train:0")


def test_pictures_of_one_encoding_are_compared_as_they_are():
    assert [common_encoding(kinds) for kinds in ((), {"png"}, {"png", "raw"}, {"raw", "png", "jpeg"})] == [
        None,
        None,
        "raw",
        "jpeg",
    ]

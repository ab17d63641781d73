"""Rows that stand byte for byte on both sides of a split, counted one by one."""

import pandas as pd
import pytest

from aslspark.data.exact_duplicates import count_exact_duplicates, duplicates_in_lines
from aslspark.data.samples import SAMPLE_SCHEMA, TEST, TRAIN, VALIDATION


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

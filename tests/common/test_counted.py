"""Numbers beside what they count, in messages."""

import pytest

from aslspark.common.counted import counted
from aslspark.data.exact_duplicates import ExactDuplicates


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 pictures"), (1, "1 picture"), (2, "2 pictures"), (12345, "12,345 pictures")]
)
def test_one_is_singular_and_all_else_plural(number, words):
    assert counted(number, "picture") == words


def test_a_verb_agrees_with_its_number():
    assert [counted(number, "batch has", "batches have") for number in (1, 2)] == ["1 batch has", "2 batches have"]


def test_one_duplicate_is_told_of_in_the_singular():
    duplicates = ExactDuplicates(test=1, others=1, validation=1, first=("a.csv:1", "b.csv:1"))
    assert [warning.split(",")[0] for warning in duplicates.warnings()] == ["1 test row is", "1 validation row is"]

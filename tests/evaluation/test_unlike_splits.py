"""A validation split that says something else than the test split is said aloud."""

import pytest

from aslspark.evaluation.unlike_splits import unlike_splits_warning


def metrics(**splits):
    return {"splits": {name: {"accuracy": accuracy, "rows": rows} for name, (accuracy, rows) in splits.items()}}


def test_all_of_validation_right_beside_a_far_worse_test_is_warned_of():
    said = unlike_splits_warning(metrics(train=(1.0, 900), validation=(1.0, 200), test=(0.14, 260)))
    assert said.startswith("100.0% of the validation pictures are right, and 14.0% of the test pictures: ")
    assert "split.kind=signer" in said


@pytest.mark.parametrize(
    "splits",
    [
        {"validation": (0.95, 480), "test": (0.93, 480)},
        {"validation": (0.9, 10), "test": (0.6, 10)},  # so few that it may be chance
        {"validation": (0.5, 480), "test": (0.9, 480)},
        {"train": (1.0, 480), "test": (0.1, 480)},
        {"validation": (1.0, 480)},
    ],
)
def test_splits_that_agree_or_say_nothing_are_not(splits):
    assert unlike_splits_warning(metrics(**splits)) is None

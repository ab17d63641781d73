"""Each rule that watches a fit, on both sides of its limit."""

import math

import pytest

from aslspark.training.training_alerts import new_notes

CLASSES = 24
GUESSING = math.log(CLASSES)


def row(epoch, **more):
    good = {"loss": 2.0 / epoch, "accuracy": 0.5, "gradient_norm": 1.0, "val_loss": 1.0, "val_accuracy": 0.5}
    return {"epoch": epoch, **good, "val_commonest": 0.3, **more}


def seen(history):
    return [note["rule"] for note in new_notes(history, CLASSES)]


def after_three(**more):
    return [row(1), row(2), row(3), row(4, **more)]


@pytest.mark.parametrize(
    ("rule", "at_the_limit", "beyond"),
    [
        ("far_apart", {"accuracy": 0.25, "val_accuracy": 0.1}, {"accuracy": 0.2501, "val_accuracy": 0.1}),
        ("one_answer", {"val_commonest": 0.9999}, {"val_commonest": 1.0}),
        ("exploding", {"loss": 5 * GUESSING}, {"loss": 5 * GUESSING + 1e-6}),
        ("exploding", {"gradient_norm": 100.0}, {"gradient_norm": 100.001}),
        ("no_gradient", {"gradient_norm": 1e-30}, {"gradient_norm": 0.0}),
        ("no_gradient", {"gradient_norm": None}, {"gradient_norm": 0.0}),
        ("not_finite", {"val_loss": 1e300}, {"val_loss": math.inf}),
        ("not_finite", {"gradient_norm": None}, {"gradient_norm": math.nan}),
    ],
)
def test_a_rule_goes_off_beyond_its_limit_and_not_at_it(rule, at_the_limit, beyond):
    assert seen(after_three(**at_the_limit)) == []
    assert seen(after_three(**beyond)) == [rule]


def test_gradients_are_held_against_the_middle_of_those_before_and_steps_without_any_do_not_count():
    before = [row(n, gradient_norm=norm) for n, norm in enumerate((1.0, 2.0, 90.0, None), 1)]
    assert seen([*before, row(5, gradient_norm=200.0)]) == []
    assert seen([*before, row(5, gradient_norm=200.1)]) == ["exploding"]


@pytest.mark.parametrize(("epochs", "expected"), [(1, []), (2, ["one_answer"])])
def test_one_answer_to_everything_is_told_from_the_second_epoch_on(epochs, expected):
    assert seen([row(n, val_commonest=1.0 if n == epochs else 0.3) for n in range(1, epochs + 1)]) == expected


@pytest.mark.parametrize(
    ("losses", "accuracy", "expected"),
    [
        ([1.0] * 5, 0.5, []),  # five epochs are not yet five after the first
        ([1.0] * 6, 0.5, ["loss_not_falling"]),
        ([1.0] * 5 + [0.9989], 0.5, []),  # by more than a thousandth
        ([1.0] * 5 + [0.9991], 0.5, ["loss_not_falling"]),
        ([1.0, 0.5, 1.0, 1.0, 1.0, 1.0], 0.5, []),  # the fall is four epochs ago
        ([1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0], 0.5, ["loss_not_falling"]),
        ([1.0] * 6, 0.9899, ["loss_not_falling"]),
        ([1.0] * 6, 0.99, []),  # what does not fall any more has fallen
    ],
)
def test_a_loss_that_does_not_fall_is_told_after_five_epochs(losses, accuracy, expected):
    rows = [row(n, loss=loss, accuracy=accuracy, val_accuracy=accuracy) for n, loss in enumerate(losses, 1)]
    assert seen(rows) == expected


@pytest.mark.parametrize(
    ("losses", "accuracy", "expected"),
    [
        ([3.0, 2.7, 2.6], 0.5, ["still_learning"]),
        ([3.0, 2.9, 2.849], 0.5, ["still_learning"]),  # by a twentieth in two epochs
        ([3.0, 2.9, 2.851], 0.5, []),  # by less
        ([3.0, 3.1, 2.6], 0.5, []),  # it goes up and down
        ([2.5, 3.0, 2.7, 2.6], 0.5, []),  # it was lower before
        ([3.0, 2.7, 2.6], 0.99, []),  # there is little left to learn
        ([3.0, 2.6], 0.5, []),
    ],
)
def test_a_network_that_was_still_learning_when_its_epochs_were_over_is_told_then_alone(losses, accuracy, expected):
    rows = [row(n, val_loss=loss, val_accuracy=accuracy) for n, loss in enumerate(losses, 1)]
    assert seen(rows) == []
    assert [note["rule"] for note in new_notes(rows, CLASSES, is_last=True)] == expected

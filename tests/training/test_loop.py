"""The epochs of a fit, on a network that only counts its steps: whose weights are kept, and when it ends."""

import hashlib

import numpy as np
import pytest

from aslspark.common.settings import TrainingConfig
from aslspark.training.checkpoint import Checkpoint, Progress
from aslspark.training.loop import fit_epochs, learning_rate_factor


class Counting:
    """A network whose weights are the number of its steps, with the validation losses that it is given."""

    learning_rate = 2.0

    def __init__(self, losses):
        self._losses, self._sums = list(losses), None
        self.steps, self.evaluated, self.rates, self.seeds, self.unfrozen = 0, 0, [], [], []

    def set_learning_rate(self, value):
        self.rates.append(value)

    def train(self, batch):
        self.steps += 1
        self._sums = [1.0, 2.0, 3.0, 4.0, 10.0, 5.0, 0.5, 0.0, 0.0]

    def evaluate(self, batch):
        self.evaluated += 1
        self._sums = [self._losses[0] * 8, 8.0, 6.0, 8.0, 0.0, 0.0, 0.0, 6.0, 2.0]

    def average_statistics(self):
        pass

    def unfreeze(self):
        self.unfrozen.append(self.steps)

    def take_sums(self):
        if self._sums[7]:
            self._losses.pop(0)
        return np.array(self._sums)

    def weights(self):
        return b"after step %d" % self.steps

    def load_weights(self, weights):
        self.steps = int(weights.split()[-1])

    def state(self):
        return {"steps": np.array(self.steps)}

    def load_state(self, state):
        assert self.steps == state["steps"]

    def seed(self, epoch):
        self.seeds.append((epoch, self.steps))


class Asked:
    """A feed of three steps an epoch that writes down how it is asked."""

    rows, steps = 30, 3

    def __init__(self):
        self.asked = []

    def epoch(self, number, shuffle=True):
        self.asked.append((number, shuffle))
        return iter([None] * self.steps)


def fit(losses, training, start=None, validate=True, **more):
    network, train, validation = Counting(losses), Asked(), Asked() if validate else None
    outcome = fit_epochs(network, train, validation, training, lambda event: None, start=start, **more)
    return network, train, validation, outcome


@pytest.mark.parametrize(
    ("losses", "best"), [([3, 1, 2, 2], 2), ([1, 2, 3, 4], 1), ([4, 3, 2, 1], 4), ([2, 1, 1, 1], 2)]
)
@pytest.mark.parametrize("checkpoints", [False, True])
def test_the_best_epochs_weights_are_handed_back_and_lie_in_the_network(losses, best, checkpoints):
    kept = []
    keep = (lambda progress, weights, state: kept.append(weights)) if checkpoints else None
    network, _, _, outcome = fit(losses, TrainingConfig(epochs=4, patience=9, schedule="constant"), keep=keep)
    assert outcome.best_epoch == best
    assert outcome.weights == network.weights() == b"after step %d" % (3 * best)
    # The digest is of where the ranks have come to, whichever epoch was the best.
    assert outcome.digest == hashlib.sha256(b"after step 12").hexdigest()
    assert kept == [b"after step %d" % (3 * epoch) for epoch in (1, 2, 3, 4)] * checkpoints


def test_without_validation_the_last_epochs_weights_are_handed_back():
    network, _, _, outcome = fit([], TrainingConfig(epochs=3, patience=1, schedule="constant"), validate=False)
    assert (outcome.best_epoch, outcome.weights, network.evaluated) == (3, b"after step 9", 0)


@pytest.mark.parametrize(("patience", "epochs"), [(1, 4), (2, 5), (3, 6), (4, 8)])
def test_a_fit_ends_after_as_many_epochs_without_a_lower_loss_as_its_patience(patience, epochs):
    # The third is the best; the sixth is as good, which is no fall; the seventh is better.
    _, _, _, outcome = fit(
        [3, 2, 1, 2, 2, 1, 0.5, 0.4], TrainingConfig(epochs=8, patience=patience, schedule="constant")
    )
    assert len(outcome.history) == epochs
    assert outcome.best_epoch == (8 if patience == 4 else 3)


def two_epochs(best):
    """What a fit kept after two epochs."""
    row = {"loss": 1.0, "accuracy": 0.5, "gradient_norm": 1.0, "val_loss": 1.0, "val_accuracy": 0.5}
    progress = Progress(2, [{"epoch": 1, **row}, {"epoch": 2, **row}], best_loss=1.0, best_epoch=best)
    return Checkpoint(progress, b"after step %d" % (3 * best), b"after step 6", {"steps": np.array(6)})


def test_a_fit_that_goes_on_hands_back_the_best_epoch_of_before_where_none_was_better():
    network, train, _, outcome = fit(
        [2, 3], TrainingConfig(epochs=4, patience=9, schedule="constant"), two_epochs(best=1)
    )
    assert network.seeds == [(2, 6), (3, 9)]
    assert [number for number, _ in train.asked] == [2, 3]
    assert (outcome.best_epoch, outcome.weights) == (1, b"after step 3")
    assert outcome.digest == hashlib.sha256(b"after step 12").hexdigest()


@pytest.mark.parametrize(("unfreeze_after", "unfrozen"), [(0, []), (1, [0]), (2, [6]), (3, [9])])
def test_what_was_unfrozen_before_a_stop_is_so_again_before_its_optimizers_state_is_taken(unfreeze_after, unfrozen):
    training = TrainingConfig(epochs=4, patience=9, schedule="constant")
    network, *_ = fit([2, 3], training, two_epochs(best=2), unfreeze_after=unfreeze_after)
    assert network.unfrozen == unfrozen


def test_training_rows_are_shuffled_and_validation_rows_are_not():
    _, train, validation, _ = fit([2, 1], TrainingConfig(epochs=2, patience=9, schedule="constant"))
    assert train.asked == [(0, True), (1, True)]
    assert validation.asked == [(0, False), (1, False)]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_each_step_has_the_share_of_the_highest_rate_that_the_schedule_says(schedule):
    training = TrainingConfig(epochs=3, patience=9, schedule=schedule)
    network, _, _, outcome = fit([3, 2, 1], training)
    assert network.rates == [2.0 * learning_rate_factor(training, step, 3) for step in range(1, 10)]
    assert [row["learning_rate"] for row in outcome.history] == network.rates[2::3]


def test_an_epochs_row_holds_means_over_weights_rows_and_steps():
    _, _, _, outcome = fit([2.0], TrainingConfig(epochs=1, patience=9, schedule="constant"))
    (row,) = outcome.history
    wanted = {"loss": 0.5, "accuracy": 0.75, "gradient_norm": 2.0, "rows": 30}
    wanted |= {"val_loss": 2.0, "val_accuracy": 0.75, "val_commonest": 0.75}
    assert {name: row[name] for name in wanted} == wanted
    assert outcome.phases["waiting_for_gradients"] == 0.5

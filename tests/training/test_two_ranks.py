"""One rank's step beside a second rank that always sends the same: what is averaged, added and multiplied, and when.

The second rank is fixed, so that each number can be worked out by hand; the tests of the launchers have a real one.
"""

import math
from contextlib import nullcontext

import numpy as np
import pytest
from tiny_training import SimpleTraining

from aslspark.training.loop import SUMS
from aslspark.training.worker import mixed_seed

pytestmark = pytest.mark.slow
FRAMEWORKS = ("keras", "torch")
SHAPE = (6, 5, 1)


class Second:
    """The names of Horovod that a worker uses, for two ranks of which the other sends what it is told to."""

    Average, Sum = "average", "sum"

    def __init__(self, sends=lambda name, mine: mine):
        self.sends, self.roots = sends, []

    def size(self):
        return 2

    def rank(self):
        return 0

    def allreduce(self, mine, op, name):
        other = self.sends(name, mine)
        return (mine + other) / 2 if op == self.Average else mine + other

    def broadcast_variables(self, variables, root_rank):
        self.roots.append((root_rank, len(variables)))

    def broadcast_parameters(self, parameters, root_rank):
        self.roots.append((root_rank, len(parameters)))

    def DistributedOptimizer(self, optimizer, named_parameters, num_groups):
        weights = [weight for _, weight in named_parameters]

        def synchronize():
            for weight in weights:
                weight.grad.copy_(self.allreduce(weight.grad, self.Average, "gradients"))

        optimizer.synchronize, optimizer.skip_synchronize = synchronize, nullcontext
        return optimizer


def network(framework, normalised=False):
    """A small one, perhaps with batch normalisation, the same weights each time."""
    if framework == "keras":
        import tensorflow as tf

        tf.keras.utils.set_random_seed(2)
        layers = [tf.keras.layers.Flatten(), tf.keras.layers.Dense(4)]
        layers += [tf.keras.layers.BatchNormalization()] * normalised
        model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(3, activation="softmax")])
        model.build((None, *SHAPE))
        return model
    import torch

    torch.manual_seed(2)
    layers = [torch.nn.Flatten(), torch.nn.Linear(30, 4)] + [torch.nn.BatchNorm1d(4)] * normalised
    return torch.nn.Sequential(*layers, torch.nn.Linear(4, 3))


def descent(framework):
    """Gradient descent: a step is the gradient times the learning rate."""
    if framework == "keras":
        import tensorflow as tf

        return tf.keras.optimizers.SGD(0.001)
    import torch

    return torch.optim.SGD, {"lr": 0.001}


def gradient(framework, ranks, **more):
    """What moved the weights in one step, and what the step says its norm was."""
    training = SimpleTraining(framework, network(framework), SHAPE, optimizer=descent(framework), ranks=ranks, **more)
    before = training.weights()
    training.step()
    after = training.weights()
    moved = np.concatenate([(before[name] - after[name]).ravel() / 0.001 for name in training.learning()])
    # Twice as many, since the second rank's sums are like mine.
    return moved, training.trainable.take_sums()[SUMS.index("norm")] / 2


def against(name, mine):
    """Gradients that take nearly all of mine away; all else as mine."""
    return -0.9 * mine if name == "gradients" else mine


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_step_goes_along_the_mean_of_the_ranks_gradients(framework):
    mine, norm = gradient(framework, Second())
    moved, said = gradient(framework, Second(against))
    np.testing.assert_allclose(moved, 0.05 * mine, atol=0.02 * np.abs(mine).max())
    assert said == pytest.approx(0.05 * norm, rel=1e-3)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradients_are_clipped_after_they_are_averaged(framework):
    mine, norm = gradient(framework, Second())
    # My own gradient is far above the limit and the mean below it: the mean is taken as it is.
    moved, said = gradient(framework, Second(against), clip_norm=norm / 10)
    np.testing.assert_allclose(moved, 0.05 * mine, atol=0.02 * np.abs(mine).max())
    assert said == pytest.approx(0.05 * norm, rel=1e-3)
    # Where the mean is above the limit, it is as long as that.
    moved, _ = gradient(framework, Second(against), clip_norm=norm / 40)
    assert np.linalg.norm(moved) == pytest.approx(norm / 40, rel=0.02)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sums_are_added_over_the_ranks_and_waiting_is_shared(framework):
    other = np.arange(1, len(SUMS) + 4, dtype=np.float64)

    def sends(name, mine):
        if name != "sums":
            return mine
        return mine * 0 + other

    training = SimpleTraining(framework, network(framework), SHAPE, ranks=Second(sends))
    training.trainable.evaluate(training.batch(weight=0.5))
    sums = training.trainable.take_sums() - other
    assert sums[1] == 2.0  # four rows of weight 0.5
    assert sums[3] == 4
    assert sums[len(SUMS) :].sum() == 4
    assert sums[: len(SUMS)][4:].tolist() == [0, 0, 0]
    # Nothing is left over for the next epoch.
    assert training.trainable.take_sums().tolist() == other.tolist()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_batchnorms_statistics_become_the_mean_of_the_ranks_and_weights_stay(framework):
    def sends(name, mine):
        return mine * 0 + 7 if name == "statistics" else mine

    training = SimpleTraining(framework, network(framework, normalised=True), SHAPE, ranks=Second(sends))
    training.step()
    before = training.weights()
    training.trainable.average_statistics()
    after = training.weights()
    statistics = [name for name in before if "moving" in name or "running" in name]
    assert len(statistics) == 2
    for name in before:
        wanted = (before[name] + 7) / 2 if name in statistics else before[name]
        np.testing.assert_allclose(after[name], wanted, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_two_ranks_learn_at_twice_the_rate_from_the_weights_of_the_first(framework):
    ranks = Second()
    training = SimpleTraining(framework, network(framework), SHAPE, ranks=ranks)
    assert math.isclose(training.trainable.learning_rate, 0.002, rel_tol=1e-6)
    assert ranks.roots == [(0, len(training.weights()))]


def test_random_numbers_differ_by_run_rank_and_epoch_and_are_the_same_again():
    seeds = {
        (run, rank, epoch): mixed_seed(run, rank, epoch) for run in (0, 1, 7) for rank in (0, 1) for epoch in (0, 1)
    }
    assert len(set(seeds.values())) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds.values())
    assert mixed_seed(7, 1, 0) == seeds[7, 1, 0]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_rank_draws_random_numbers_of_its_own(framework):
    class Other(Second):
        def rank(self):
            return 1

    def dropped(ranks, epoch):
        training = SimpleTraining(framework, network(framework), SHAPE, ranks=ranks)
        training.trainable.seed(epoch)
        if framework == "keras":
            import tensorflow as tf

            return tf.random.uniform([4]).numpy().tolist()
        import torch

        return torch.rand(4).tolist()

    drawn = [dropped(Second(), 0), dropped(Other(), 0), dropped(Second(), 1)]
    assert drawn[0] == dropped(Second(), 0)
    assert len({tuple(numbers) for numbers in drawn}) == 3

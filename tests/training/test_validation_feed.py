"""What a worker judges by: every validation row once, as it lies in the table, whatever training rows go through."""

from dataclasses import replace

import numpy as np
import pytest
from feed_tables import job_on, rows_of, write_table_with_hands
from tiny_training import SimpleTraining

from aslspark.common.settings import AugmentConfig, FeatureConfig, NetworkConfig, TrainingConfig
from aslspark.features.landmarks import HAND_FOUND, landmark_features
from aslspark.training.loop import SUMS
from aslspark.training.worker import run_epochs

CHANGES = AugmentConfig(landmark_drawn_probability=0.3, landmark_probability=1.0)


class Listening:
    """A network that keeps the batches it is given."""

    learning_rate = 1.0

    def __init__(self):
        self.learned, self.judged = [], []

    def train(self, batch):
        self.learned.append(batch)

    def evaluate(self, batch):
        self.judged.append(batch)

    def take_sums(self):
        return np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, *[0.0] * (len(SUMS) - 7), 1.0, 0.0, 0.0])

    def weights(self):
        return b""

    def load_weights(self, weights):
        pass

    def set_learning_rate(self, value):
        pass

    def seed(self, epoch):
        pass

    def average_statistics(self):
        pass


@pytest.fixture
def heard(tmp_path):
    """The batches of two epochs of rank 1 of 2, and the job; every fifth row has no hand."""
    job = job_on(
        write_table_with_hands(tmp_path / "train", [200]),
        write_table_with_hands(tmp_path / "validation", [90], group_rows=90),
        inputs=("picture", "landmarks"),
        training=TrainingConfig(epochs=2, patience=9, schedule="constant", batch_size=10, seed=5),
        network=NetworkConfig(branch_dropout=0.6),
        augment=CHANGES,
    )
    network = Listening()
    run_epochs(job, 1, 2, lambda: network)
    return job, network


def test_validation_rows_come_in_their_order_each_epoch_with_hands_and_pictures_as_they_lie(heard):
    _, network = heard
    rows = [row for batch in network.judged for row in rows_of(batch)]
    assert rows == [*range(45, 90)] * 2
    for batch in network.judged:
        assert len(batch.labels) <= 16
        numbers = rows_of(batch)
        assert batch.labels.tolist() == [row % 3 for row in numbers]
        assert batch.hands[:, HAND_FOUND].tolist() == [row % 5 != 0 for row in numbers]
        assert batch.hands[:, 0].tolist() == [row if row % 5 else 0 for row in numbers]
        assert np.array_equal(batch.landmarks, landmark_features(batch.hands, False))


def test_training_rows_are_shuffled_and_changed_and_of_some_one_branch_is_left_out(heard):
    _, network = heard
    assert len(network.learned) == 20
    seen = np.concatenate([batch.hands[:, HAND_FOUND] for batch in network.learned])
    pictures = np.concatenate([batch.pictures for batch in network.learned])
    assert np.mean(seen) < 0.8  # of the rows that have a hand, a third is without
    assert np.mean(~pictures.any(axis=(1, 2, 3))) > 0.2
    first, second = ([batch.labels.tolist() for batch in network.learned[start : start + 10]] for start in (0, 10))
    assert first != second


def test_what_is_no_change_at_random_is_done_to_validation_rows_too(heard):
    job, network = heard
    upright = Listening()
    run_epochs(replace(job, features=FeatureConfig(upright=True)), 1, 2, lambda: upright)
    for batch, turned in zip(network.judged, upright.judged, strict=True):
        assert np.array_equal(turned.landmarks, landmark_features(batch.hands, True))


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_network_judges_pictures_as_they_are_and_with_all_its_units(framework):
    everything = {name: 1.0 for name in vars(AugmentConfig()) if name.endswith("_probability")}
    shape = (16, 16, 1)

    def loss(augment, evaluate):
        if framework == "keras":
            import tensorflow as tf

            tf.keras.utils.set_random_seed(4)
            layers = [tf.keras.layers.Flatten(), tf.keras.layers.Dropout(0.9), tf.keras.layers.BatchNormalization()]
            model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(5, activation="softmax")])
            model.build((None, *shape))
        else:
            import torch

            torch.manual_seed(4)
            layers = [torch.nn.Flatten(), torch.nn.Dropout(0.9), torch.nn.BatchNorm1d(256), torch.nn.Linear(256, 5)]
            model = torch.nn.Sequential(*layers)
        training = SimpleTraining(framework, model, shape, augment=augment)
        before = training.weights()
        evaluate(training)
        sums = training.trainable.take_sums()
        return sums[0], all(np.array_equal(before[name], value) for name, value in training.weights().items())

    changed, still = AugmentConfig(**everything), AugmentConfig(on=False)
    judged = [loss(augment, lambda one: one.trainable.evaluate(one.batch())) for augment in (changed, still)]
    assert judged[0] == pytest.approx(judged[1], rel=1e-5)
    assert judged[0][1]  # nothing was learned, BatchNorm's statistics included
    learned = [loss(augment, lambda one: one.step()) for augment in (changed, still)]
    assert learned[0][0] != pytest.approx(judged[0][0], rel=1e-3)
    assert not learned[0][1]

"""Hands beside pictures, on their way into a network."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from feed_tables import LABELS, NONE_FOUND, SHAPE, feeds, job_on, rows_of, write_table_with_hands
from stacks import has_petastorm, needs_petastorm

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import AugmentConfig, NetworkConfig
from aslspark.features.landmarks import FEATURES, HAND_FOUND, HAND_NUMBERS, MOST_LOOKS, landmark_features
from aslspark.features.synthetic_hands import drawn_hands
from aslspark.training.batches import Batch
from aslspark.training.feed import RowReader, SampleFeed
from aslspark.training.flat_copy import flat_copies
from aslspark.training.hands import HandInput, require_hands
from aslspark.training.worker import in_place_feed

HANDS = HandInput(upright=False)


@pytest.mark.parametrize("budget", [1 << 20, 3 * 40 * (6 + 512), 1], ids=["kept", "streamed", "one group at a time"])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("sizes", [[300], [101, 1, 57]])
def test_every_row_is_seen_once_with_its_own_hand(tmp_path, sizes, size, budget):
    folder = write_table_with_hands(tmp_path / "t", sizes)
    for epoch in range(2):
        seen = []
        for feed in feeds(folder, size, budget=budget, hands=HANDS):
            for batch in feed.epoch(epoch):
                rows = rows_of(batch)
                seen += rows
                expected = [0 if row % NONE_FOUND == 0 else row for row in rows]
                assert batch.hands[:, 0].tolist() == expected
                assert batch.hands[:, HAND_FOUND].tolist() == [row % NONE_FOUND != 0 for row in rows]
                assert batch.labels.tolist() == [row % 3 for row in rows]
                assert batch.landmarks.shape == (len(rows), FEATURES)
                assert batch.landmarks.dtype == np.float32
                assert np.array_equal(batch.landmarks, landmark_features(batch.hands, False))
        assert sorted(seen) == list(range(sum(sizes)))


def test_the_features_are_those_that_the_setting_names(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [40])
    (batch,) = feeds(folder, 1, batch_size=40, hands=HandInput(upright=True))[0].epoch(0)
    assert np.array_equal(batch.landmarks, landmark_features(batch.hands, True))
    assert not np.array_equal(batch.landmarks, landmark_features(batch.hands, False))


def test_the_order_of_the_rows_is_the_same_with_and_without_hands(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [101, 40])
    training = HandInput(False, AugmentConfig(), branch_dropout=0.2)
    given = [feeds(folder, 2, hands=hands)[1].epoch(3) for hands in (None, HANDS, training)]
    for without, plain, changed in zip(*given, strict=True):
        assert without.labels.tolist() == plain.labels.tolist() == changed.labels.tolist()
        assert rows_of(without) == rows_of(plain)
        assert without.hands is without.landmarks is None


def test_without_pictures_none_are_read(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [101], pictures=False)
    seen = []
    for feed in feeds(folder, 2, shape=None, hands=HANDS):
        for batch in feed.epoch(0):
            assert batch.pictures is None
            seen += batch.landmarks[:, :3].round(6).tolist()
    assert len(seen) == 101


def test_hands_count_as_memory(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [100])
    both, alone = 6 + 4 * HAND_NUMBERS, 4 * HAND_NUMBERS
    for row_bytes, shape in ((both, SHAPE), (alone, None)):
        assert not feeds(folder, 1, budget=100 * row_bytes, shape=shape, hands=HANDS)[0].streamed
        assert feeds(folder, 1, budget=100 * row_bytes - 1, shape=shape, hands=HANDS)[0].streamed


def test_of_the_share_that_was_asked_for_one_of_the_two_is_left_out_and_never_both(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [4000], group_rows=1000)
    (batch,) = feeds(folder, 1, batch_size=4000, hands=HandInput(False, None, branch_dropout=0.4))[0].epoch(0)
    no_picture = ~batch.pictures.reshape(len(batch.labels), -1).any(axis=1)
    (whole,) = feeds(folder, 1, batch_size=4000, hands=HANDS)[0].epoch(0)
    found = whole.hands[:, HAND_FOUND] > 0
    no_hand = found & (batch.hands[:, HAND_FOUND] == 0)
    assert not (no_picture & (no_hand | ~found)).any()
    assert np.mean(no_picture[found]) == pytest.approx(0.2, abs=0.03)
    assert np.mean(no_hand[found]) == pytest.approx(0.2, abs=0.03)
    assert not batch.hands[no_hand].any()
    kept = ~no_picture
    assert np.array_equal(batch.pictures[kept], whole.pictures[kept])
    assert np.array_equal(batch.landmarks[no_hand], landmark_features(np.zeros_like(batch.hands[no_hand]), False))


STILL = {"landmark_noise": 0.0, "landmark_turn_degrees": 0.0, "landmark_tilt_degrees": 0.0, "landmark_bone": 0.0}


@pytest.mark.parametrize("dropout", [0.0, 0.8])
def test_drawn_hands_of_the_same_letter_stand_in_for_the_share_that_was_asked_for(tmp_path, dropout):
    folder = write_table_with_hands(tmp_path / "t", [3000], group_rows=1000)
    drawn = drawn_hands(["A", "B", "space"], 5, seed=3)
    augment = AugmentConfig(landmark_drawn_probability=0.4, **STILL)
    input_ = HandInput(False, augment, drawn, dropout)
    (batch,) = feeds(folder, 1, batch_size=3000, hands=input_)[0].epoch(0)
    knuckles = [set(hands[hands[:, HAND_FOUND] > 0, 27].round(4)) for hands in drawn]  # the middle one's x
    stood_in = [hand[27].round(4) in knuckles[label] for hand, label in zip(batch.hands, batch.labels, strict=True)]
    shares = [np.mean(np.array(stood_in)[batch.labels == label]) for label in range(3)]
    assert shares[:2] == pytest.approx([0.4, 0.4], abs=0.05)  # also of rows without a hand
    assert shares[2] == 0  # none is drawn of it
    assert not batch.pictures[stood_in].any()
    without = ~batch.pictures.reshape(3000, -1).any(axis=1)
    assert (batch.hands[without][:, HAND_FOUND] == 1).all()
    if not dropout:
        assert without.tolist() == stood_in


def test_a_share_of_the_hands_is_mixed_with_others_of_their_letter_and_never_beside_a_picture():
    hands = drawn_hands(["A", "B"], 100, seed=5).reshape(-1, HAND_NUMBERS)
    labels = np.repeat([0, 1], 100)
    labels[-1], hands[0] = 2, 0  # the only one of its letter, and one that was not found
    looked = looked_of(hands)
    batch = Batch(None, labels, np.ones(200, np.float32), 1.0, looked)
    mixing = HandInput(False, AugmentConfig(landmark_mix_probability=0.5, **STILL))
    mixed = mixing.ready(batch, np.random.default_rng(2)).landmarks
    plain = HandInput(False, AugmentConfig(**STILL)).ready(batch, np.random.default_rng(2)).landmarks
    changed = np.abs(mixed - plain).max(axis=1) > 1e-3
    assert changed.mean() == pytest.approx(0.5, abs=0.1)
    assert not changed[[0, -1]].any()
    own = [
        np.linalg.norm(mixed[changed & (labels == label)] - plain[labels == label].mean(axis=0), axis=1).mean()
        for label in (0, 1)
    ]
    other = [
        np.linalg.norm(mixed[changed & (labels == label)] - plain[labels == 1 - label].mean(axis=0), axis=1).mean()
        for label in (0, 1)
    ]
    assert max(own) < min(other)
    pictures = np.ones((200, 2, 2, 1), np.uint8)
    beside = mixing.ready(batch._replace(pictures=pictures), np.random.default_rng(2)).landmarks
    assert np.abs(beside - plain).max() < 1e-3


def looked_of(hands):
    return np.concatenate([hands, np.tile(hands[:, :126], (1, MOST_LOOKS))], axis=1)


def test_a_worker_draws_hands_for_learning_alone_and_only_where_the_settings_ask_for_them(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [30])

    def drawn(augment, learning):
        job = replace(job_on(folder), inputs=("picture", "landmarks"), augment=augment)
        return in_place_feed(job, folder, 8, 0, 1, 1 << 20, learning)._reader.hands.drawn

    some = AugmentConfig(landmark_drawn_probability=0.1)
    assert drawn(some, True).shape[0] == len(LABELS)
    assert drawn(some, False) is drawn(AugmentConfig(), True) is drawn(replace(some, on=False), True) is None


def test_what_is_left_out_in_an_epoch_is_back_in_the_next(tmp_path):
    feed = feeds(
        write_table_with_hands(tmp_path / "t", [200]),
        1,
        batch_size=200,
        hands=HandInput(False, None, branch_dropout=0.9),
    )[0]
    for number in range(4):
        list(feed.epoch(number))
    rows = {row for number in range(60) for batch in feed.epoch(number) for row in rows_of(batch)}
    assert rows == set(range(200))  # a picture that is left out reads as row 0


def training_feed(folder, learning, **more):
    job = job_on(folder, inputs=("picture", "landmarks"), network=NetworkConfig(branch_dropout=0.5), **more)
    return in_place_feed(job, folder, 200, 0, 1, 1 << 20, learning)


def test_hands_are_changed_anew_in_each_epoch_of_training_and_not_in_validation(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [200])

    def landmarks(feed, number):
        (batch,) = feed.epoch(number, shuffle=False)
        return batch.landmarks

    validation = training_feed(folder, False, augment=AugmentConfig())
    (plain,) = validation.epoch(0, shuffle=False)
    assert np.array_equal(landmarks(validation, 1), plain.landmarks)
    assert plain.pictures.any(axis=(1, 2, 3)).all()
    training = training_feed(folder, True, augment=AugmentConfig())
    assert np.array_equal(landmarks(training, 1), landmarks(training, 1))
    assert not np.array_equal(landmarks(training, 1), landmarks(training, 2))
    seen = plain.hands[:, HAND_FOUND] > 0
    assert (landmarks(training, 1)[seen] != plain.landmarks[seen]).any(axis=1).all()
    assert np.array_equal(landmarks(training, 1)[~seen], plain.landmarks[~seen])
    # Branches are left out even where nothing is changed.
    unchanged = landmarks(training_feed(folder, True, augment=AugmentConfig(on=False)), 1)
    same = (unchanged == plain.landmarks).all(axis=1)
    assert 0.6 < same.mean() < 0.9


def test_a_network_of_landmarks_alone_is_never_left_with_nothing(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [200], pictures=False)
    job = job_on(folder, inputs=("landmarks",), shape=None, network=NetworkConfig(branch_dropout=0.9))
    (batch,) = in_place_feed(job, folder, 200, 0, 1, 1 << 20, True).epoch(0)
    assert (batch.hands[:, HAND_FOUND] > 0).sum() == 160


def test_a_table_without_hands_is_refused_and_the_setting_is_named(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [20])
    path = f"{folder}/part-0.parquet"
    require_hands(folder, pq.ParquetFile(path), "hand")
    with pytest.raises(AslsparkError, match=r"no column fingers, and the network takes landmarks; .*hands\.on=true"):
        require_hands(folder, pq.ParquetFile(path), "fingers")


@needs_petastorm
def test_pictures_alone_are_copied_for_petastorm_from_a_table_with_hands(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [40])
    with flat_copies(job_on(folder), 1, str(tmp_path)) as job:
        schema = pq.read_schema(f"{job.folders.train}/rows.parquet")
    assert schema.names == ["picture", "label", "weight"]
    assert SampleFeed(folder, RowReader(LABELS, SHAPE), batch_size=8).rows == 40


@pytest.mark.skipif(has_petastorm, reason="petastorm is here")
def test_where_petastorm_is_not_it_is_said_where_it_is_to_be_had(tmp_path):
    folder = write_table_with_hands(tmp_path / "t", [40])
    with (
        pytest.raises(AslsparkError, match=r"feed=petastorm: petastorm cannot be imported here .*STACK=spark35"),
        flat_copies(job_on(folder), 1, str(tmp_path)),
    ):
        pass

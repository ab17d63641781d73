"""Landmark features: what they do not depend on, and what they do."""

import numpy as np
import pyarrow as pa
import pytest

from aslspark.features.landmarks import (
    FEATURES,
    HAND_FOUND,
    HAND_NUMBERS,
    LEARNED_NUMBERS,
    LOOKED_NUMBERS,
    PICTURE_POINTS,
    RIGHT_HAND,
    WORLD_POINTS,
    augmented_hands,
    half_turned,
    hand_vectors,
    hangs_down,
    landmark_features,
    looked_vectors,
    mixed_hands,
    one_look,
)
from aslspark.images.hands.hand import HAND_STRUCT, Hand
from aslspark.scoring.reader import hand_vector

CHANGES = {"noise": 0.02, "turn_degrees": 15.0, "tilt_degrees": 10.0, "bone": 0.1, "probability": 1.0}


@pytest.fixture
def hands():
    random = np.random.default_rng(3)
    vectors = random.normal(0.5, 0.2, (6, HAND_NUMBERS)).astype(np.float32)
    vectors[:, RIGHT_HAND] = [1, 0, 1, 1, 0, 1]
    vectors[:, HAND_FOUND] = 1
    return vectors


def moved(hands, change):
    """Change both sets of points, each (n, 21, 3)."""
    result = hands.copy()
    for place in (PICTURE_POINTS, WORLD_POINTS):
        result[:, place] = change(hands[:, place].reshape(-1, 21, 3).copy()).reshape(len(hands), -1)
    return result


def turned(points, degrees):
    angle = np.radians(degrees)
    x, y = points[:, :, 0].copy(), points[:, :, 1].copy()
    points[:, :, 0], points[:, :, 1] = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return points


@pytest.mark.parametrize("upright", [False, True])
def test_where_a_hand_is_how_large_and_which_one_does_not_matter(hands, upright):
    features = landmark_features(hands, upright)
    assert features.shape == (6, FEATURES)
    assert features.dtype == np.float32
    elsewhere = landmark_features(moved(hands, lambda points: 3 * points + [0.3, -0.2, 0.1]), upright)
    np.testing.assert_allclose(elsewhere, features, atol=2e-4)
    mirrored = moved(hands, lambda points: points * [-1, 1, 1] + [1, 0, 0])
    mirrored[:, RIGHT_HAND] = 1 - hands[:, RIGHT_HAND]
    np.testing.assert_allclose(landmark_features(mirrored, upright), features, atol=2e-4)


def test_a_mixed_hand_lies_between_both_whichever_side_they_are(hands):
    one, other = hands[:1], hands[1:2]
    share = np.array([0.3])
    half = mixed_hands(one, other, share)
    coordinates = [landmark_features(each, False)[:, :40] for each in (one, half, other)]
    between = 0.7 * coordinates[0] + 0.3 * coordinates[2]
    size = np.linalg.norm(between.reshape(20, 2), axis=1).max()
    np.testing.assert_allclose(coordinates[1], between / size, atol=1e-4)
    np.testing.assert_allclose(mixed_hands(one, other, np.array([0.0]))[0, RIGHT_HAND], 1)


def test_a_turn_in_the_pictures_plane_counts_unless_hands_are_put_upright(hands):
    right = hands[hands[:, RIGHT_HAND] == 1]
    other = moved(right, lambda points: turned(points, 40))
    np.testing.assert_allclose(landmark_features(other, True), landmark_features(right, True), atol=2e-4)
    assert np.abs(landmark_features(other, False) - landmark_features(right, False)).max() > 0.3


def test_a_finger_that_bends_is_seen(hands):
    def bent(points):
        points[:, 8] = points[:, 5]
        return points

    difference = np.abs(landmark_features(moved(hands, bent), False) - landmark_features(hands, False))
    assert difference.max(axis=1).min() > 0.2


def test_no_hand_is_all_zero_and_stays_so_when_hands_are_changed(hands):
    hands[[1, 4]] = 0
    features = landmark_features(hands, False)
    assert not features[[1, 4]].any()
    assert features[[0, 2, 3, 5]].any(axis=1).all()
    assert not augmented_hands(hands, np.random.default_rng(0), **CHANGES)[[1, 4]].any()
    assert not landmark_features(np.zeros((3, HAND_NUMBERS), np.float32), True).any()


def test_changed_hands_stay_hands_and_the_same_seed_changes_them_alike(hands):
    changed = augmented_hands(hands, np.random.default_rng(5), **CHANGES)
    np.testing.assert_array_equal(changed, augmented_hands(hands, np.random.default_rng(5), **CHANGES))
    np.testing.assert_array_equal(changed[:, [RIGHT_HAND, HAND_FOUND]], hands[:, [RIGHT_HAND, HAND_FOUND]])
    assert np.all(np.abs(changed[:, :126] - hands[:, :126]).max(axis=1) > 1e-3)
    same = augmented_hands(hands, np.random.default_rng(5), **{**CHANGES, "probability": 0.0})
    np.testing.assert_array_equal(same, hands)


def test_turns_alone_keep_every_bones_length(hands):
    turns = {"noise": 0.0, "turn_degrees": 30.0, "tilt_degrees": 30.0, "bone": 0.0, "probability": 1.0}
    changed = augmented_hands(hands, np.random.default_rng(5), **turns)

    def lengths(vectors):
        points = vectors[:, WORLD_POINTS].reshape(-1, 21, 3)
        return np.linalg.norm(points[:, 5:9] - points[:, [0, 5, 6, 7]], axis=2)

    np.testing.assert_allclose(lengths(changed), lengths(hands), rtol=1e-4)
    assert np.abs(changed[:, WORLD_POINTS] - hands[:, WORLD_POINTS]).max() > 0.05


def test_each_look_at_a_hand_can_be_learned_from_and_missing_ones_are_what_all_agreed_on():
    agreed, looks = np.arange(126.0), [np.arange(126.0) + n for n in (1, 2)]
    hand = {"found": "plain", "landmarks": agreed[:63], "world": agreed[63:], "side": "right", "score": 1.0}
    rows = [{**hand, "looks": np.concatenate(looks)}, None, {**hand, "looks": None}]
    looked = looked_vectors(pa.array(rows, HAND_STRUCT))
    assert looked.shape == (3, LOOKED_NUMBERS)
    np.testing.assert_array_equal(looked[:, :HAND_NUMBERS], hand_vectors(pa.array(rows, HAND_STRUCT)))
    random = np.random.default_rng(0)
    taken = np.stack([one_look(looked, random) for _ in range(60)])
    assert set(taken[:, 0, 5]) == {5.0, 6.0, 7.0}
    assert set(taken[:, 2, 5]) == {5.0}
    assert not taken[:, 1].any()
    for one in taken[:, 0]:
        np.testing.assert_array_equal(one[:126], agreed + one[0])
        np.testing.assert_array_equal(one[[RIGHT_HAND, HAND_FOUND]], [1, 1])


def test_a_hand_seen_in_a_small_copy_is_learned_from_every_other_time_and_never_read():
    agreed = np.arange(126.0)
    hand = {"found": "plain", "landmarks": agreed[:63], "world": agreed[63:], "side": "right", "score": 1.0}
    views = [agreed + n for n in (1, 2, 3, 0)]
    small = [agreed + n for n in (100, 200, 300, 400)]
    rows = [{**hand, "looks": np.concatenate(views + small)}, {**hand, "looks": np.concatenate(views[:3])}, None]
    column = pa.array(rows, HAND_STRUCT)
    read = looked_vectors(column)
    np.testing.assert_array_equal(read[0], read[1])
    learned = looked_vectors(column, LEARNED_NUMBERS)
    assert learned.shape == (3, LEARNED_NUMBERS)
    np.testing.assert_array_equal(learned[:, :LOOKED_NUMBERS], read)
    random = np.random.default_rng(0)
    taken = np.stack([one_look(learned, random) for _ in range(200)])
    from_small = taken[:, 0, 5] >= 100
    assert from_small.mean() == pytest.approx(0.5, abs=0.1)
    assert set(taken[from_small, 0, 5] - 5) == {100.0, 200.0, 300.0, 400.0}
    assert set(taken[~from_small, 0, 5] - 5) == set(taken[:, 1, 5] - 5) == {0.0, 1.0, 2.0, 3.0}
    assert not taken[:, 2].any()
    # Where no hand has a copy, the same numbers are drawn as without room for one.
    without = (one_look(vectors[1:], np.random.default_rng(1)) for vectors in (read, learned))
    np.testing.assert_array_equal(*without)


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_hand_has_the_vector_of_its_row_in_a_table(side):
    points, world = (np.random.default_rng(seed).random((21, 3)).astype(np.float32) for seed in (1, 2))
    row = {"found": "plain", "landmarks": points.ravel(), "world": world.ravel(), "side": side}
    of_table = looked_vectors(pa.array([row, {"found": None}], HAND_STRUCT))
    np.testing.assert_array_equal(hand_vector(Hand("plain", points, world, side)), of_table[0])
    assert of_table[0, RIGHT_HAND] == (side == "right")
    np.testing.assert_array_equal(hand_vector(None), of_table[1])


def test_the_column_of_a_table_becomes_vectors_with_zeros_where_no_hand_was_found():
    points = [float(n) for n in range(63)]
    rows = [
        {"found": "plain", "landmarks": points, "world": points[::-1], "side": "right", "score": 0.9, "trouble": None},
        {"found": None, "landmarks": None, "world": None, "side": None, "score": None, "trouble": "time limit"},
        None,
        {"found": "padded", "landmarks": points, "world": points, "side": "left", "score": 0.8, "trouble": None},
    ]
    kind = pa.struct(
        [
            ("found", pa.string()),
            ("landmarks", pa.list_(pa.float32())),
            ("world", pa.list_(pa.float32())),
            ("side", pa.string()),
            ("score", pa.float32()),
            ("trouble", pa.string()),
        ]
    )
    vectors = hand_vectors(pa.chunked_array([pa.array(rows[:1], kind), pa.array(rows[1:], kind)]))
    assert vectors.shape == (4, HAND_NUMBERS)
    np.testing.assert_array_equal(vectors[:, HAND_FOUND], [1, 0, 0, 1])
    np.testing.assert_array_equal(vectors[:, RIGHT_HAND], [1, 0, 0, 0])
    np.testing.assert_array_equal(vectors[0, PICTURE_POINTS], points)
    np.testing.assert_array_equal(vectors[0, WORLD_POINTS], points[::-1])
    assert not vectors[1:3].any()


def leaning(degrees):
    """A hand whose knuckles lie so far clockwise from above the wrist, with all points on that line."""
    angle = np.radians(degrees)
    points = np.zeros((21, 3), np.float32)
    points[:, :2] = 0.5 + np.outer(np.linspace(0, 0.2, 21), [np.sin(angle), -np.cos(angle)])
    hand = np.concatenate([points.ravel(), points.ravel(), [1, 1]]).astype(np.float32)
    return hand[None]


@pytest.mark.parametrize(
    ("degrees", "hangs"), [(0, False), (119, False), (121, True), (180, True), (-121, True), (-119, False)]
)
def test_a_hand_hangs_down_where_it_leans_by_more_than_a_third_of_a_turn(degrees, hangs):
    assert hangs_down(leaning(degrees)).tolist() == [hangs]
    assert not hangs_down(np.zeros((1, HAND_NUMBERS), np.float32))[0]  # no hand was found


def test_a_hand_that_is_turned_by_half_has_its_points_where_a_turned_picture_shows_them():
    hand = leaning(30)
    turned = half_turned(hand)
    np.testing.assert_allclose(landmark_features(turned, False), landmark_features(leaning(210), False), atol=1e-5)
    np.testing.assert_array_equal(half_turned(turned), hand)
    np.testing.assert_array_equal(turned[:, RIGHT_HAND:], hand[:, RIGHT_HAND:])

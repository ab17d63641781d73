from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.samples import SAMPLE_SCHEMA
from aslspark.data.synthetic import draw_hand, draw_landmarks, drawn_samples
from aslspark.data.synthetic.letters import HANDSHAPES, varied_handshapes_of
from aslspark.data.synthetic.skeleton import AVERAGE_HAND, BONES, JOINT_LIMITS, WRIST, joint_positions, within_limits
from aslspark.data.synthetic.variation import signer_of


@pytest.fixture(scope="module")
def sixty(spark):
    return drawn_samples(spark, count=60, seed=5, signers=2).collect()


def test_the_same_seed_draws_the_same_bytes_however_the_rows_are_partitioned(spark, sixty):
    in_seven = drawn_samples(spark, count=60, seed=5, signers=2, tasks=7)
    assert in_seven.rdd.getNumPartitions() == 7
    assert sorted(in_seven.collect()) == sorted(sixty)


def test_a_row_of_the_table_is_what_draw_hand_draws(sixty):
    row = next(row for row in sixty if row["id"] == "drawn:000030")
    hand = draw_hand(row["label"], seed=5, index=30, signer=1)
    assert row["signer"] == "drawn-01"
    assert bytes(row["picture"]["data"]) == hand.tobytes()


def test_another_seed_draws_other_bytes():
    one, other = (draw_hand("A", seed=seed, index=0, signer=0) for seed in (1, 2))
    assert (one != other).mean() > 0.5


def test_another_index_draws_another_picture_of_the_same_hand():
    one, other = (draw_hand("A", seed=1, index=index, signer=0) for index in (0, 24))
    assert (one != other).mean() > 0.5


def test_the_table_has_the_sample_columns_without_the_split(spark):
    fields = {field.name: field.dataType for field in drawn_samples(spark, count=1, seed=0).schema}
    assert fields == {field.name: field.dataType for field in SAMPLE_SCHEMA if field.name != "split"}


def test_letters_and_signers_come_in_equal_shares(spark):
    table = drawn_samples(spark, count=24 * 3 * 2, seed=5, size=4, signers=3)
    counted = table.groupBy("label", "signer").count().collect()
    shares = {(row["label"], row["signer"]): row["count"] for row in counted}
    signers = ("drawn-00", "drawn-01", "drawn-02")
    assert shares == {(letter, signer): 2 for letter in STATIC_LETTERS for signer in signers}


def test_ids_are_unique_and_say_where_the_rows_came_from(sixty):
    assert {row["id"] for row in sixty} == {f"drawn:{number:06d}" for number in range(60)}
    assert {row["source"] for row in sixty} == {"drawn"}


def test_big_colour_pictures_of_the_table_have_the_asked_shape(spark):
    # More than fits in one Arrow batch, so the rows must survive the cut between batches.
    rows = drawn_samples(spark, count=8, seed=3, size=300, channels=3).select("id", "picture").collect()
    assert len({row["id"] for row in rows}) == 8
    for row in rows:
        picture = row["picture"]
        assert (picture["height"], picture["width"], picture["channels"]) == (300, 300, 3)
        assert len(picture["data"]) == 300 * 300 * 3


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (64, 3), (33, 1), (1, 3)])
def test_a_picture_has_the_asked_size_and_channels(size, channels):
    hand = draw_hand("B", seed=0, index=0, signer=0, size=size, channels=channels)
    assert hand.shape == (size, size, channels)
    assert hand.dtype == np.uint8


def test_a_grey_picture_is_the_colour_picture_without_its_colours():
    grey, colour = (draw_hand("W", seed=0, index=3, signer=0, size=64, channels=c).astype(float) for c in (1, 3))
    weighted = colour @ [0.2126, 0.7152, 0.0722]
    assert np.abs(grey[..., 0] - weighted).mean() < 8


def test_every_letter_shows_a_hand_that_differs_from_every_other_letter():
    hands = [draw_hand(letter, seed=9, index=4, signer=2).astype(int) for letter in STATIC_LETTERS]
    for one, other in combinations(range(24), 2):
        # The same light, wall and skin: what differs is the hand.
        difference = np.abs(hands[one] - hands[other]).mean()
        assert difference > 1.5, (STATIC_LETTERS[one], STATIC_LETTERS[other])


@pytest.mark.parametrize("letter", STATIC_LETTERS)
def test_every_joint_is_inside_or_near_the_frame(letter):
    for index in range(20):
        landmarks = draw_landmarks(letter, seed=4, index=index, signer=index)
        assert landmarks.shape == (21, 3)
        assert landmarks.dtype == np.float32
        assert landmarks[:, :2].min() > -0.1
        assert landmarks[:, :2].max() < 1.1
        assert np.ptp(landmarks[:, :2], axis=0).max() > 0.5  # and the hand fills most of it
        assert landmarks[WRIST, 2] == 0


def test_the_landmarks_lie_on_the_drawn_hand():
    # The index fingertip of the pointing D is the highest joint; above it there is only background.
    for index in range(8):
        landmarks = draw_landmarks("D", seed=6, index=index, signer=0)
        assert landmarks[:, 1].argmin() == 8
    x, y, _ = draw_landmarks("D", seed=6, index=0, signer=0)[8]
    picture = draw_hand("D", seed=6, index=0, signer=0, size=200)[..., 0].astype(int)
    column, row = int(x * 200), int(y * 200)
    on_finger = picture[row - 2 : row + 3, column - 2 : column + 3].mean()
    beside_it = picture[row - 2 : row + 3, [max(column - 40, 0), min(column + 40, 199)]].mean(axis=0)
    assert np.abs(beside_it - on_finger).min() > 15


def test_two_signers_differ_in_proportions_and_skin():
    one, other = signer_of(1, 0), signer_of(1, 1)
    assert np.abs(one.proportions.bones - other.proportions.bones).max() > 0.05
    assert np.abs(one.proportions.radii - other.proportions.radii).max() > 0.02
    assert not np.allclose(one.skin, other.skin)


def test_signers_range_from_light_to_dark_skin():
    brightness = [signer_of(1, signer).skin.mean() for signer in range(40)]
    assert min(brightness) < 0.08
    assert max(brightness) > 0.6


def test_a_signer_keeps_the_same_hand_in_every_picture():
    assert signer_of(3, 7) is signer_of(3, 7)
    signer_before = signer_of(3, 7)
    signer_of.cache_clear()
    np.testing.assert_array_equal(signer_of(3, 7).proportions.bones, signer_before.proportions.bones)


@pytest.mark.parametrize("letter", STATIC_LETTERS)
def test_bones_keep_their_length_at_every_angle(letter):
    upright = joint_positions(AVERAGE_HAND, np.zeros(JOINT_LIMITS.shape[:2]))
    for form in HANDSHAPES[letter]:
        bent = joint_positions(AVERAGE_HAND, form.angles())
        for near, far in BONES:
            length = np.linalg.norm(upright[far] - upright[near])
            assert np.linalg.norm(bent[far] - bent[near]) == pytest.approx(length)
    fingers = upright.reshape(-1, 3)[1:].reshape(5, 4, 3)
    np.testing.assert_allclose(np.linalg.norm(np.diff(fingers, axis=1), axis=2), AVERAGE_HAND.bones)


def test_the_letters_keep_within_the_limits_of_the_joints():
    for letter in HANDSHAPES:
        for form in varied_handshapes_of(letter):
            np.testing.assert_array_equal(within_limits(form.angles()), form.angles(), err_msg=letter)


def test_a_joint_does_not_bend_beyond_its_limit():
    lowest, highest = JOINT_LIMITS[..., 0], JOINT_LIMITS[..., 1]
    np.testing.assert_array_equal(joint_positions(AVERAGE_HAND, highest + 50), joint_positions(AVERAGE_HAND, highest))
    assert not np.allclose(joint_positions(AVERAGE_HAND, lowest), joint_positions(AVERAGE_HAND, highest))


@pytest.mark.parametrize("letter", ["J", "Z", "a?", "a", ""])
def test_a_letter_that_no_still_hand_shows_is_refused_by_name(letter):
    with pytest.raises(AslsparkError) as refusal:
        draw_hand(letter, seed=0, index=0, signer=0)
    assert repr(letter) in str(refusal.value)
    assert "ABCDEFGHIKLMNOPQRSTUVWXY" in str(refusal.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"size": 0}, "size 0"),
        ({"channels": 2}, "channels 2"),
        ({"count": -1}, "count -1"),
        ({"signers": 0}, "signers 0"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused_by_the_setting(spark, wrong, named):
    with pytest.raises(AslsparkError, match=named):
        drawn_samples(spark, **{"count": 1, "seed": 0, **wrong})


def test_drawing_needs_no_deep_learning_library():
    code = "import sys, aslspark.data.synthetic; print({'torch', 'tensorflow', 'horovod'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_drawn_landmarks_are_those_of_the_pictures_and_of_a_hands_size():
    from aslspark.features.landmarks import HAND_FOUND, PICTURE_POINTS, WORLD_POINTS
    from aslspark.features.synthetic_hands import drawn_hands

    hands = drawn_hands(["B", "space", "L"], 4, seed=2)
    assert hands[:, :, HAND_FOUND].all(axis=1).tolist() == [True, False, True]
    assert not hands[1].any()
    shown = draw_landmarks("L", seed=2, index=3, signer=3)
    assert np.array_equal(hands[2, 3, PICTURE_POINTS].reshape(21, 3), shown)
    space = hands[[0, 2], :, WORLD_POINTS].reshape(-1, 21, 3)
    palms = np.linalg.norm(space[:, 9] - space[:, 0], axis=1)
    assert ((palms > 0.06) & (palms < 0.13)).all()  # metres
    # Down is down, and what is nearer has the smaller z, as in the picture.
    flat = hands[[0, 2], :, PICTURE_POINTS].reshape(-1, 21, 3)
    for axis in range(3):
        assert all(np.corrcoef(a[:, axis], b[:, axis])[0, 1] > 0.95 for a, b in zip(flat, space, strict=True))

"""Drawn hands hold letters in the ways that people do."""

import numpy as np

from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.settings import HandConfig
from aslspark.data.synthetic.letters import HANDSHAPES, handshapes_of, varied_handshapes_of
from aslspark.features.landmarks import HAND_FOUND, HAND_NUMBERS, PICTURE_POINTS, hangs_down, mixed_hands
from aslspark.features.synthetic_hands import (
    DRAWN_OF_EACH,
    FOUND_OF_EACH,
    FOUND_SEED,
    STEPS,
    _found,
    drawn_hands,
    exact_hand,
    half_found_hands,
    hands_to_learn_from,
    varied_scene,
)
from aslspark.images.hands.detector import hand_detector
from benchmarks.studies.found_hands import found_hands, is_found_well


def test_some_m_and_n_hang_down_and_no_b_does():
    hands = drawn_hands(["B", "M", "N"], 60, seed=1)
    assert (hands[:, :, HAND_FOUND] == 1).all()
    shares = [float(np.mean(hangs_down(of_letter))) for of_letter in hands]
    assert shares[0] == 0
    assert all(0.1 < share < 0.6 for share in shares[1:])


def test_some_p_and_q_show_the_back_of_the_hand_and_no_b_does():
    hands = drawn_hands(["B", "P", "Q"], 60, seed=1)
    points = hands[..., PICTURE_POINTS].reshape(3, 60, 21, 3)[..., :2]
    index, little = (points[:, :, knuckle] - points[:, :, 0] for knuckle in (5, 17))
    # Of a right hand whose palm is seen, the index finger's knuckle lies clockwise of the little finger's.
    backs = index[..., 0] * little[..., 1] - index[..., 1] * little[..., 0] > 0
    shares = backs.mean(axis=1)
    assert shares[0] == 0
    assert all(0.2 < share < 0.8 for share in shares[1:])


def test_the_ways_of_charts_stay_the_commoner_ones():
    for letter in STATIC_LETTERS:
        varied, plain = varied_handshapes_of(letter), handshapes_of(letter)
        assert plain == HANDSHAPES[letter]
        of_charts = [form for form in varied if any(form.thumb == one.thumb for one in plain)]
        assert len(of_charts) > len(varied) / 2


def test_hands_to_learn_from_are_drawn_ones_and_half_found_ones_and_none_of_a_label_that_is_no_letter():
    hands = hands_to_learn_from(["M", "space"], seed=3)
    assert hands.shape == (2, DRAWN_OF_EACH + FOUND_OF_EACH, HAND_NUMBERS)
    assert np.array_equal(hands[:1, :DRAWN_OF_EACH], drawn_hands(["M"], DRAWN_OF_EACH, 3))
    assert (hands[0, :, HAND_FOUND] == 1).all()
    assert not hands[1].any()
    again, other = hands_to_learn_from(["M"], seed=3), hands_to_learn_from(["M"], seed=4)
    assert np.array_equal(hands[0], again[0])
    assert not np.array_equal(hands[0, DRAWN_OF_EACH:], other[0, DRAWN_OF_EACH:])


def test_half_found_hands_lie_between_the_drawn_joints_and_what_was_found_and_hidden_thumbs_are_farther_off():
    shares = []
    for letter in ("M", "V"):
        kept = _found()[STATIC_LETTERS.index(letter)]
        exact = np.stack([exact_hand(varied_scene(letter, FOUND_SEED, int(index), size=1)) for index in kept[:, 0]])
        found = exact.copy()
        found[:, :126] = kept[:, 1:] * STEPS
        assert is_found_well(exact, found).all()
        ends = [mixed_hands(exact, found, np.full(len(exact), share)) for share in (0.0, 1.0)]
        between = half_found_hands([letter], FOUND_OF_EACH, 7)[0]
        whole = np.linalg.norm(ends[1] - ends[0], axis=1)
        ways = [np.linalg.norm(between - end, axis=1) / whole for end in ends]
        np.testing.assert_allclose(ways[0] + ways[1], 1, atol=1e-4)
        assert ways[0].min() < 0.1
        assert ways[0].max() > 0.9
        tips = [end[:, 12:14] for end in ends]  # of the thumb
        shares.append(np.median(np.linalg.norm(tips[1] - tips[0], axis=1)))
    assert shares[0] > 2 * shares[1]


def test_the_file_of_found_hands_holds_what_the_detector_finds():
    again = found_hands("V", hand_detector(HandConfig(on=True)), 8)
    kept = _found()[STATIC_LETTERS.index("V"), :8]
    assert again[:, 0].tolist() == kept[:, 0].tolist()
    assert np.abs(again[:, 1:] - kept[:, 1:]).max() <= 40  # half a percent: other processors round otherwise

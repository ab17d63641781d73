"""Drawn hands hold letters in the ways that people do."""

import numpy as np

from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.synthetic.letters import HANDSHAPES, handshapes_of, varied_handshapes_of
from aslspark.features.landmarks import HAND_FOUND, hangs_down
from aslspark.features.synthetic_hands import drawn_hands


def test_some_m_and_n_hang_down_and_no_b_does():
    hands = drawn_hands(["B", "M", "N"], 60, seed=1)
    assert (hands[:, :, HAND_FOUND] == 1).all()
    shares = [float(np.mean(hangs_down(of_letter))) for of_letter in hands]
    assert shares[0] == 0
    assert all(0.1 < share < 0.6 for share in shares[1:])


def test_the_ways_of_charts_stay_the_commoner_ones():
    for letter in STATIC_LETTERS:
        varied, plain = varied_handshapes_of(letter), handshapes_of(letter)
        assert plain == HANDSHAPES[letter]
        of_charts = [form for form in varied if any(form.thumb == one.thumb for one in plain)]
        assert len(of_charts) > len(varied) / 2

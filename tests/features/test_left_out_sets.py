"""The study of sets that were left out: what it counts, and that no fold learns of the set that it leaves out."""

import numpy as np
import pyarrow as pa
import pytest

from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.settings import load_config
from aslspark.features.landmarks import PICTURE_POINTS, WORLD_POINTS
from aslspark.features.synthetic_hands import drawn_hands
from aslspark.images.hands.hand import NO_HAND, Hand, hand_column
from benchmarks.studies.sets import fit_folds, judge, left_out_in_turn, probabilities

LETTERS = STATIC_LETTERS[:4]


def rows(found, sources, signers=None):
    labels = [LETTERS[n % 4] for n in range(len(found))]
    return pa.table(
        {"label": labels, "source": sources, "signer": signers or sources, "hand": hand_column(found)}
    ).combine_chunks()


def hands(count, seed):
    of_letters = drawn_hands(LETTERS, count, seed)
    return [
        Hand("plain", hand[PICTURE_POINTS].reshape(21, 3), hand[WORLD_POINTS].reshape(21, 3), "right", 1.0)
        for hand in of_letters.transpose(1, 0, 2).reshape(-1, of_letters.shape[2])
    ]


def test_sets_count_alike_and_what_is_not_found_is_wrong():
    table = rows([*hands(2, 1)[:7], NO_HAND, *hands(1, 2)], ["large"] * 8 + ["small"] * 4)
    sure = np.full((8, 4), 0.1, np.float32)
    sure[np.arange(8), np.arange(8) % 4] = 0.7
    sure[7] = 0
    unsure = np.full((4, 4), 0.2, np.float32)
    unsure[:, 0] = 0.4, 0.5, 0.5, 0.5  # surest where it is wrong
    figures = judge({"source large": sure, "source small": unsure}, table, LETTERS)
    assert figures.sets == pytest.approx({"large": 7 / 8, "small": 1 / 4})
    assert figures.mean == pytest.approx(9 / 16)
    assert figures.letters == pytest.approx(dict(zip(LETTERS, [1, 0.5, 0.5, 0.25], strict=True)))
    assert figures.coverage == pytest.approx(7 / 16)


def test_what_is_not_right_is_not_found_or_read_as_another_letter():
    table = rows([*hands(4, 1)[:15], NO_HAND], ["set"] * 16)
    sure = np.full((16, 4), 0.1, np.float32)
    sure[np.arange(16), np.arange(16) % 4] = 0.7
    sure[[1, 5, 9], 2] = 0.8  # three of four B are read as C, and B is the second choice of these
    sure[4, 3], sure[4, 1], sure[4, 0] = 0.7, 0.5, 0.0  # one of four A is read as D
    sure[15] = 0
    loss = judge({"source set": sure}, table, LETTERS).losses["set"]
    assert loss.not_found == 1 / 16
    assert loss.first_two == 14 / 16
    assert loss.misread == {"B": {"C": 0.75}, "A": {"D": 0.25}}
    assert loss.wholly == {"B": "C"}
    assert loss.letters == dict.fromkeys(LETTERS, 0.25)


def test_each_source_is_left_out_and_each_signer_of_those_that_are_named():
    table = rows(hands(1, 1), ["a", "a", "b", "b"], ["ann", "bob", "cyd", None])
    assert left_out_in_turn(table, ["a"]) == [("source", "a"), ("source", "b"), ("signer", "ann"), ("signer", "bob")]


def test_a_fold_does_not_depend_on_the_set_that_it_leaves_out():
    config = load_config("conf/hands.yaml", ["training.epochs=30"])
    learned, left_out = hands(6, 1), hands(6, 2)
    answers = []
    for others in (left_out, left_out[::-1]):
        table = rows([*learned, *others], ["a"] * 24 + ["b"] * 24)
        (classifier,) = fit_folds(table, [np.arange(48) < 24], config)
        answers.append(probabilities(classifier, rows(hands(2, 3), ["c"] * 8)))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)
    assert (answers[0].argmax(axis=1) == np.arange(8) % 4).mean() > 0.5

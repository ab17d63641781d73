"""The arithmetic of the monitor, on made-up rows; no Spark."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aslspark.monitoring.drift import Comparison, Statistic, gap, histogram, kolmogorov_smirnov, psi
from aslspark.monitoring.measures import ANSWER, FLAGS, hand_measures, picture_measures
from aslspark.monitoring.plots import plot_drift, plot_shares
from aslspark.monitoring.profile import NONE, PIECES, Profile, make_profile

LABELS = tuple("ABCDEFGH")
EVEN = np.full(8, 1 / 8)


def rows(n, seed, split=None, light=0.5, sure=0.0, shares=EVEN, unread=0.0, not_sure=0.0):
    """Pictures whose confidence falls as they get darker: statistics that move together."""
    random = np.random.default_rng(seed)
    brightness = random.normal(light, 0.1, n)
    damaged = random.random(n) < unread
    labels = random.choice(LABELS, n, p=shares)
    return pd.DataFrame(
        {
            "split": split
            if split is not None
            else random.choice(["train", "validation", "test"], n, p=[0.6, 0.2, 0.2]),
            "id": [f"film:{number}" for number in range(n)],
            "source": "film",
            "label": labels,
            "signer": None,
            "brightness": np.where(damaged, np.nan, brightness),
            "contrast": np.where(damaged, np.nan, 0.3 * brightness + random.normal(0, 0.02, n)),
            "confidence": np.where(damaged, np.nan, 1 / (1 + np.exp(-5 * brightness - random.normal(sure, 1, n)))),
            "answer": np.where(damaged, None, labels),
            "unread": damaged,
            "no_hand": False,
            "not_sure": random.random(n) < not_sure,
        }
    )


@pytest.fixture(scope="module")
def profile():
    return make_profile(rows(4000, 1), LABELS)


def counts(profile: Profile, found):
    sizes = profile.sizes()
    return {name: histogram(bins, sizes[name]) for name, bins in profile.bins_of(found).items()}


def alarms(comparison, found):
    seen = comparison.statistics(counts(comparison.profile, found), len(found))
    return {name for name, one in seen.items() if one.alarm}


@pytest.mark.slow
@pytest.mark.parametrize(("size", "least"), [(100, 8), (700, 1)])
def test_clean_batches_raise_alarms_at_the_stated_rate_and_no_oftener(profile, size, least):
    comparison = Comparison(profile, 0.05)
    raised = [bool(alarms(comparison, rows(size, seed))) for seed in range(100, 700)]
    # Of 600 at a rate of 0.05: 30, give or take 5 by chance, and a few for limits made from finitely many rows. Of
    # batches nearly as large as a part of the reference fewer: the parts' own scatter counts as a difference of parts.
    assert least <= sum(raised) <= 48


def test_a_lower_alarm_rate_has_wider_limits(profile):
    usual, strict = (Comparison(profile, rate).limits(200, tuple(profile.sizes())) for rate in (0.05, 0.002))
    assert all(strict[name] > usual[name] for name in usual)
    large = Comparison(profile, 0.05).limits(2000, tuple(profile.sizes()))
    assert all(large[name] < usual[name] for name in ("brightness ks", "answer psi"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"light": 0.35}, {"brightness ks", "brightness psi", "confidence ks"}),
        ({"sure": -1.5}, {"confidence ks"}),
        ({"shares": np.array([0, *[1 / 7] * 7])}, {"answer gap"}),
        ({"shares": np.array([0.3, *[0.1] * 7])}, {"answer gap", "answer psi"}),
        ({"unread": 0.1}, {"unread gap"}),
        ({"not_sure": 0.2}, {"not_sure gap"}),
    ],
)
def test_each_change_is_seen_by_the_statistic_that_is_for_it(profile, change, expected):
    found = alarms(Comparison(profile, 0.01), rows(400, 5, **change))
    assert expected <= found
    assert "contrast ks" in found or change.get("light") is None


def test_one_damaged_picture_is_no_drift(profile):
    found = rows(400, 6)
    assert not alarms(Comparison(profile, 0.01), found)
    found.loc[0, ["brightness", "contrast", "confidence"]] = np.nan
    found.loc[0, "answer"], found.loc[0, "unread"] = None, True
    assert not alarms(Comparison(profile, 0.01), found)


def test_what_differs_between_parts_of_the_same_world_is_no_drift():
    """Two held-out signers, one of them darker: a darker batch is as usual, in another profile it is not."""
    signers = pd.concat([rows(600, 1, "train"), rows(600, 2, "validation"), rows(600, 3, "test", light=0.35)])
    alike = pd.concat([rows(600, 1, "train"), rows(600, 2, "validation"), rows(600, 3, "test")])
    darker = rows(300, 4, light=0.36)
    assert not alarms(Comparison(make_profile(signers, LABELS), 0.01), darker)
    assert alarms(Comparison(make_profile(alike, LABELS), 0.01), darker)


def test_parts_are_signers_where_whole_signers_were_held_out_and_else_runs_of_neighbours():
    found = rows(300, 1, np.repeat(["train", "validation", "test"], 100))
    found["signer"] = np.repeat(["ann", "bob", "cyd"], 100)
    of_signers = make_profile(found, LABELS)
    assert (of_signers.parts, of_signers.held_out) == (("ann", "bob", "cyd"), ("bob", "cyd"))
    found["signer"] = "ann"
    profile = make_profile(found.sample(frac=1, random_state=1), LABELS)
    pieces = {split: tuple(f"{split} {n + 1}" for n in range(count)) for split, count in PIECES.items()}
    assert profile.parts == (*pieces["test"], *pieces["train"], *pieces["validation"])
    assert profile.held_out == (*pieces["test"], *pieces["validation"])
    # In the order of the films' frames, 9 before 10, each part is a run; and all have the same letters.
    of_letter = profile.part_of[(found["label"] == "A").to_numpy()]
    of_train = [int(part) for part in of_letter if profile.parts[part].startswith("train")]
    assert of_train == sorted(of_train)
    shares = pd.crosstab(found["label"], profile.part_of, normalize="columns")
    assert (shares.max(axis=1) - shares.min(axis=1)).max() < 0.15


def test_what_was_learned_has_no_say_in_how_sure_answers_are(profile):
    learned = np.array([profile.parts[part].startswith("train") for part in profile.part_of])
    for name in ("confidence", ANSWER, *FLAGS):
        assert (profile.bins[name][learned] == NONE).all()
        assert (profile.bins[name][~learned] != NONE).any()
    assert (profile.bins["brightness"][learned] != NONE).all()


def test_the_statistics_are_their_formulas():
    batch, reference = np.array([10.0, 30.0, 0.0]), np.array([20.0, 20.0, 60.0])
    p, q = (batch + 0.5) / 41.5, (reference + 0.5) / 101.5
    assert psi(batch, reference) == pytest.approx(sum((a - b) * np.log(a / b) for a, b in zip(p, q, strict=True)))
    assert kolmogorov_smirnov(batch, reference) == pytest.approx(0.6)
    from scipy.stats import chi2_contingency

    tables = [[[count, 40 - count], [other, 100 - other]] for count, other in zip(batch, reference, strict=True)]
    by_scipy = [chi2_contingency(table, correction=False, lambda_="log-likelihood")[0] for table in tables]
    assert gap(batch, reference) == pytest.approx(np.sqrt(max(by_scipy)))
    assert gap(np.zeros(3), reference) == kolmogorov_smirnov(np.zeros(3), reference) == 0


def test_light_contrast_and_sharpness_do_what_their_names_say():
    random = np.random.default_rng(0)
    picture = random.integers(60, 200, (4, 28, 28, 1), np.uint8)
    dark, flat = (picture * 0.5).astype(np.uint8), np.full((1, 28, 28, 1), 90, np.uint8)
    blurred = np.mean([np.roll(picture, (a, b), (1, 2)) for a in (-1, 0, 1) for b in (-1, 0, 1)], axis=0)
    usual, darker, softer = (picture_measures(found.astype(np.uint8)) for found in (picture, dark, blurred))
    assert darker[:, :2] == pytest.approx(usual[:, :2] / 2, rel=0.03)
    assert darker[:, 2] == pytest.approx(usual[:, 2], rel=0.03)
    assert (softer[:, 2] < 0.6 * usual[:, 2]).all()
    assert np.isnan(picture_measures(flat)[0, 2])
    colour = np.repeat(picture, 3, axis=3)
    assert picture_measures(colour) == pytest.approx(usual, rel=1e-4)


def test_a_hand_is_measured_by_its_landmarks():
    from aslspark.features.landmarks import HAND_FOUND, HAND_NUMBERS

    random = np.random.default_rng(1)
    points = random.random((21, 3))
    points = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    vectors = np.zeros((3, HAND_NUMBERS), np.float32)
    for n, (size, spread) in enumerate([(0.5, 1.0), (0.25, 2.0)]):
        shape = (points - points.mean(axis=0)) * [spread, spread, spread]
        shape[[0, 9]] = [[0, 0, 0], [0, 1, 0]]  # the palm stays
        vectors[n, :63] = (points * size + [0.2, 0.1, 0]).ravel()
        vectors[n, 63:126] = shape.ravel()
        vectors[n, HAND_FOUND] = 1
    found = hand_measures(vectors)
    assert found[:2, 0] == pytest.approx([0.5, 0.25])
    assert found[:2, 1] == pytest.approx([0.45, 0.325])
    assert found[:2, 2] == pytest.approx([0.35, 0.225])
    assert found[1, 3] > 1.5 * found[0, 3]
    assert np.isnan(found[2]).all()


def test_limits_of_answers_are_drawn_from_rows_that_were_not_learned_and_those_of_pictures_from_all():
    """What was learned is light here, what was held out is dark: of pictures both are usual."""
    learned, held_out = rows(900, 1, "train", light=0.8), rows(900, 2, "test", light=0.4)
    both = Comparison(make_profile(pd.concat([learned, held_out]), LABELS), 0.01)
    # Without the learned rows, the same answers are left.
    alone = Comparison(make_profile(held_out, LABELS), 0.01)
    for name in (("confidence", "psi"), ("confidence", "ks"), ("answer", "psi"), ("answer", "gap"), ("unread", "gap")):
        measure, statistic = name
        limits = [comparison.limits(300, (measure,))[f"{measure} {statistic}"] for comparison in (both, alone)]
        assert limits[0] == pytest.approx(limits[1], rel=0.15), name
    limits = [comparison.limits(300, ("brightness",))["brightness ks"] for comparison in (both, alone)]
    assert limits[0] > 3 * limits[1]
    assert not alarms(both, rows(300, 3, light=0.4))
    assert {"confidence ks", "confidence psi"} <= alarms(both, rows(300, 3, light=0.8))


def test_a_statistic_at_its_limit_is_no_alarm_and_one_beyond_it_is():
    assert [Statistic(value, 0.5).alarm for value in (0.4999, 0.5, 0.5001)] == [False, False, True]


def test_a_value_on_an_edge_lies_in_the_bin_above_it_and_what_is_missing_in_none():
    found = rows(200, 1, "test")
    found["brightness"] = np.arange(200) / 200
    profile = make_profile(found, LABELS)
    edges = profile.edges["brightness"]
    given = found.iloc[:4].assign(brightness=[edges[3], np.nextafter(edges[3], 0), np.nan, 9.0])
    bins = profile.bins_of(given)
    assert bins["brightness"].tolist() == [4, 3, NONE, len(edges)]
    given["answer"] = ["A", "H", "no letter of the model", None]
    assert profile.bins_of(given)[ANSWER].tolist() == [0, 7, NONE, NONE]
    assert histogram(profile.bins_of(given)[ANSWER], 8).tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


def test_a_batch_that_the_reference_has_no_answers_for_is_judged_by_its_pictures_alone():
    comparison = Comparison(make_profile(rows(600, 1, "train"), LABELS), 0.05)
    found = rows(300, 2)
    judged = comparison.statistics(counts(comparison.profile, found), len(found))
    assert {name.split()[0] for name in judged} == {"brightness", "contrast"}


@pytest.mark.parametrize(
    ("rows_of_batch", "as_rows"), [(99, 99), (100, 100), (1099, 1000), (1100, 1100), (12_345, 12_000)]
)
def test_limits_are_those_of_batches_of_no_more_rows_in_two_leading_digits(profile, rows_of_batch, as_rows):
    names = ("brightness",)
    assert Comparison(profile, 0.05).limits(rows_of_batch, names) == Comparison(profile, 0.05).limits(as_rows, names)


def said_by(path):
    with Image.open(path) as image:
        return [spot["says"] for spot in json.loads(image.info["spots"])]


def test_the_plots_of_a_batch_say_what_each_of_their_parts_shows(profile, tmp_path):
    found = counts(profile, rows(200, 9, light=0.7))
    statistics = {"ks brightness": {"value": 0.3, "limit": 0.1}, "psi answer": {"value": 0.01, "limit": 0.02}}
    batch = {"batch": "today", "rows": 200, "drift": True, "alarms": ["brightness ks"], "statistics": statistics}
    plot_drift([batch], 0.01, tmp_path / "one.png")
    assert said_by(tmp_path / "one.png") == [
        "ks brightness, today: 0.3, 3.00 times its limit",
        "psi answer, today: 0.01, 0.50 times its limit",
    ]
    later = {**batch, "batch": "later", "statistics": {"psi answer": {"value": 0.03, "limit": 0.02}}}
    plot_drift([batch, later], 0.01, tmp_path / "two.png")
    assert said_by(tmp_path / "two.png")[1:] == [
        "psi answer, today: 0.01, 0.50 times its limit",
        "psi answer, later: 0.03, 1.50 times its limit",
    ]
    plot_shares(profile, found, batch, tmp_path / "shares.png")
    says = said_by(tmp_path / "shares.png")
    edges = profile.edges["brightness"]
    of_brightness = [words for words in says if words.startswith("brightness below ")]
    assert len(of_brightness) == len(edges)
    middle = len(edges) // 2
    below = [n[: middle + 1].sum() / n.sum() for n in (profile_counts(profile)["brightness"], found["brightness"])]
    assert of_brightness[middle] == (
        f"brightness below {edges[middle]:.4g}: {below[0]:.1%} of the reference, {below[1]:.1%} of the batch"
    )
    assert sum(words.startswith(("A: ", "no hand: ")) for words in says) == 2


def profile_counts(profile):
    return {name: histogram(bins, profile.sizes()[name]) for name, bins in profile.bins.items()}

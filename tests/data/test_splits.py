import random

import pytest
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.data.ingest_report import missing_labels
from aslspark.data.samples import TEST, TRAIN, VALIDATION
from aslspark.data.splits import SplitOptions, describe, random_split, splits_of_blocks, splits_of_groups


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "rows"}, "'rows'.*block, signer, source, random"),
        ({"validation": -0.1}, "validation fraction -0.1"),
        ({"test": 1.0}, "test fraction 1.0"),
        ({"validation": 0.5, "test": 0.5}, "nothing for training"),
        ({"blocks": 0}, "blocks 0"),
        ({"blocks": 2}, "2 blocks are too few.*3 or more"),
    ],
)
def test_options_that_cannot_work_are_refused(wrong, words):
    with pytest.raises(AslsparkError, match=words):
        SplitOptions(**wrong)


@pytest.mark.parametrize(("blocks", "fraction", "expected"), [(10, 0.1, 1), (10, 0.25, 2), (20, 0.2, 4), (5, 0.01, 1)])
def test_fractions_become_whole_blocks_and_at_least_one(blocks, fraction, expected):
    splits = splits_of_blocks(SplitOptions(blocks=blocks, validation=fraction, test=fraction), "a.csv")
    assert (len(splits), splits.count(TEST), splits.count(VALIDATION)) == (blocks, expected, expected)


def test_a_fraction_of_0_sets_nothing_aside():
    assert set(splits_of_blocks(SplitOptions(validation=0, test=0), "a.csv")) == {TRAIN}


def test_the_seed_and_the_source_choose_the_blocks():
    chosen = {
        (seed, source): splits_of_blocks(SplitOptions(seed=seed, blocks=30), source)
        for seed in (1, 2)
        for source in ("a.csv", "b.csv")
    }
    assert len(set(chosen.values())) == 4
    assert chosen[1, "a.csv"] == splits_of_blocks(SplitOptions(seed=1, blocks=30), "a.csv")


def test_groups_stay_whole_and_their_order_does_not_matter():
    names = [f"signer {number}" for number in range(20)]
    options = SplitOptions(kind="signer", validation=0.2, test=0.1)
    splits = splits_of_groups(options, names)
    assert sorted(splits) == sorted(names)
    assert [list(splits.values()).count(name) for name in (TRAIN, VALIDATION, TEST)] == [14, 4, 2]
    shuffled = names * 2
    random.Random(5).shuffle(shuffled)
    assert splits_of_groups(options, shuffled) == splits


def test_too_few_groups_are_an_error_that_counts_them():
    with pytest.raises(AslsparkError, match=r"has 2 signer.*needs 3 or more"):
        splits_of_groups(SplitOptions(kind="signer"), ["a", "b"])
    assert sorted(splits_of_groups(SplitOptions(kind="signer"), "abc").values()) == [TEST, TRAIN, VALIDATION]


def test_rows_without_a_signer_are_an_error():
    with pytest.raises(AslsparkError, match="rows that name no signer"):
        splits_of_groups(SplitOptions(kind="signer"), ["a", "b", "c", None])


def test_the_random_split_hits_its_fractions_and_does_not_change_with_partitions(spark):
    options = SplitOptions(kind="random", validation=0.2, test=0.1)
    ids = spark.range(0, 4000, 1, 4).select(F.concat(F.lit("a.csv:"), F.col("id")).alias("id"))

    def divided(table, options):
        return {
            row["id"]: row["split"]
            for row in table.select("id", random_split(options, F.col("id")).alias("split")).collect()
        }

    once = divided(ids, options)
    shares = [list(once.values()).count(name) / 4000 for name in (TRAIN, VALIDATION, TEST)]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    assert divided(ids.repartition(3), options) == once
    assert divided(ids, SplitOptions(kind="random", validation=0.2, test=0.1, seed=1)) != once


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SplitOptions(), ["10 contiguous blocks", "10% for validation", "10% for test", "seed 42"]),
        (SplitOptions(kind="signer"), ["signer stay together"]),
        (SplitOptions(kind="source", test=0), ["whole sources", "10% for validation"]),
        (SplitOptions(kind="random"), ["at random", "near duplicates"]),
    ],
)
def test_the_description_says_how_the_split_was_made(options, words):
    sentence = describe(options)
    assert all(word in sentence for word in words)
    assert "test rows come from separate sources (x.csv)" in describe(options, ["x.csv"])


def test_labels_that_only_one_side_has_are_warned_of():
    labels = {"A": {TRAIN: 5, TEST: 1, VALIDATION: 1}, "B": {TRAIN: 5, VALIDATION: 1}, "C": {TEST: 1}}
    splits = {TRAIN: 10, VALIDATION: 2, TEST: 2}
    assert missing_labels(labels, splits) == [
        "test has no row of B, which train has",
        "train has no row of C, which test has",
    ]
    assert missing_labels(labels, {TRAIN: 10, VALIDATION: 2}) == []


def test_where_all_rows_are_judged_on_no_label_is_missing_from_train():
    assert missing_labels({"A": {TEST: 5}, "B": {TEST: 1}}, {TEST: 6}) == []

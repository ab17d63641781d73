"""Folds, and models judged on each of them."""

import json
import logging
import re

import pandas as pd
import pytest
from browser import faults_of
from pyspark.sql import functions as F
from tables_with_hands import rows_with_hands, write_ingested

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.sample_frames import with_block
from aslspark.data.samples import TEST, TRAIN, VALIDATION, read_samples
from aslspark.evaluation.calibration import TEMPERATURES
from aslspark.evaluation.cross_validation_page import write_cross_validation_page
from aslspark.evaluation.fold_options import KINDS, LEAKING, LEAVE_ONE, FoldOptions
from aslspark.evaluation.folds import assign_fold, plan_folds
from aslspark.workflows.cross_validate import RESULT_FILE, cross_validate
from jobs import cross_validate as job

FOREST = ["mllib.classifier=forest", "mllib.trees=3", "mllib.depth=4"]
BLOCKS = 10


@pytest.fixture(scope="module")
def samples(spark, ingested):
    narrow = read_samples(spark, ingested).cache()
    yield narrow
    narrow.unpersist()


def folds_of(spark, samples, options):
    """A row a sample and fold: id, source, label, signer, split, fold."""
    parts = [
        assign_fold(spark, samples, fold, options).drop("picture").toPandas().assign(fold=fold.number)
        for fold in plan_folds(samples, options)
    ]
    return pd.concat(parts)


@pytest.fixture(scope="module")
def rows(spark, samples):
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = folds_of(spark, samples, FoldOptions(kind, folds=3, blocks=BLOCKS))
        return made[kind]

    return of


@pytest.mark.parametrize("kind", [*KINDS, pytest.param(LEAVE_ONE["signer"], marks=pytest.mark.long)])
def test_every_sample_is_tested_once_and_is_in_every_fold(rows, kind):
    found = rows(kind)
    assert found["fold"].nunique() == (6 if kind == LEAVE_ONE["signer"] else 3)
    for _, fold in found.groupby("fold"):
        assert fold["id"].nunique() == len(fold) == 720
        assert set(fold["split"]) == {TRAIN, VALIDATION, TEST}
    tested = found[found["split"] == TEST]["id"]
    assert len(tested) == 720
    assert tested.is_unique


@pytest.mark.parametrize("kind", ["signer", LEAVE_ONE["signer"]])
def test_a_signer_is_on_one_side_of_each_fold(rows, kind):
    for _, fold in rows(kind).groupby("fold"):
        assert fold.groupby("signer")["split"].nunique().max() == 1


def test_a_block_is_on_one_side_of_each_fold_and_each_fold_tests_all_labels_alike(rows):
    found = rows("block").sort_values(["fold", "source", "label", "id"])  # drawn ids sort as their numbers do
    group = found.groupby(["fold", "source", "label"])
    found["block"] = group.cumcount() * BLOCKS // group["id"].transform("size")
    assert found.groupby(["fold", "source", "label", "block"])["split"].nunique().max() == 1
    shares = found[found["split"] == TEST].groupby(["fold", "label"]).size().unstack()
    assert shares.shape == (3, 24)
    assert (shares.nunique(axis=1) == 1).all()


def test_stratified_folds_hold_each_label_in_its_share(rows):
    found = rows("stratified")
    sizes = found[found["split"] == TEST].groupby(["fold", "label"]).size()
    assert set(sizes) == {10}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["signer", "block", "stratified"])
def test_the_same_seed_makes_the_same_folds_and_another_seed_others(spark, samples, rows, kind):
    def split_of(found):
        return found.set_index(["fold", "id"])["split"].sort_index()

    before = split_of(rows(kind))
    assert before.equals(split_of(folds_of(spark, samples.repartition(5), FoldOptions(kind, 3, blocks=BLOCKS))))
    assert not before.equals(split_of(folds_of(spark, samples, FoldOptions(kind, 3, blocks=BLOCKS, seed=43))))


def test_rows_of_a_table_are_cut_in_their_order_not_in_that_of_their_digits(spark):
    table = spark.createDataFrame(
        [(f"a.csv:{n}", "a.csv", "A") for n in range(1, 201)], "id string, source string, label string"
    )
    placed = with_block(table, 10).toPandas()
    number = placed["id"].str.split(":").str[1].astype(int)
    assert (placed["block"] == (number - 1) // 20).all()


def test_with_one_signer_left_to_train_on_the_best_epoch_is_chosen_by_blocks_of_it(spark, samples):
    two = samples.where("signer in ('drawn-00', 'drawn-01')")
    found = folds_of(spark, two, FoldOptions(LEAVE_ONE["signer"], blocks=5))
    for _, fold in found.groupby("fold"):
        parts = fold.groupby("split")
        assert set(parts.groups) == {TRAIN, VALIDATION, TEST}
        assert parts["signer"].nunique().max() == 1
        assert fold[fold["split"] == VALIDATION]["label"].nunique() == 24


def test_leaving_one_source_out_tests_each_alone_and_validates_on_signers_where_they_are_known(spark, samples):
    # The first signer's pictures are one source, the next two signers' another, and the rest names no signer.
    sources = samples.where("signer < 'drawn-05'").selectExpr(
        "*", "case when signer = 'drawn-00' then 'a' when signer < 'drawn-03' then 'b' else 'c' end new"
    )
    three = sources.selectExpr("id", "picture", "label", "new source", "if(new = 'c', null, signer) signer", "split")
    found = folds_of(spark, three, FoldOptions(LEAVE_ONE["source"], blocks=5))
    assert found["fold"].nunique() == 3
    for number, left_out in enumerate("abc", start=1):
        fold = found[found["fold"] == number]
        assert set(fold[fold["split"] == TEST]["source"]) == {left_out}
        assert set(fold[fold["source"] == left_out]["split"]) == {TEST}
        validation, train = (fold[fold["split"] == split] for split in (VALIDATION, TRAIN))
        if left_out == "b":  # one signer is left and some who are not named: blocks of each
            assert set(validation["source"]) == {"a", "c"}
            assert validation["label"].nunique() == 24
        else:
            assert validation["signer"].nunique() == 1
            assert not set(validation["signer"]) & set(train["signer"])


def test_the_hands_of_a_table_travel_with_its_folds(spark, tmp_path):
    table = read_samples(spark, write_ingested(spark, rows_with_hands(60), tmp_path))
    options = FoldOptions(LEAVE_ONE["source"])
    for fold in plan_folds(table, options):
        made = assign_fold(spark, table, fold, options)
        hands = {row["id"]: row["hand"] for row in made.collect()}
        assert hands == {row["id"]: row["hand"] for row in table.collect()}


def test_where_one_signer_is_left_out_rows_that_name_none_are_trained_on(spark, samples):
    hidden = samples.select("signer").distinct().orderBy("signer").first()["signer"]
    partly = samples.withColumn("signer", F.when(F.col("signer") != hidden, F.col("signer")))
    options = FoldOptions(LEAVE_ONE["signer"], validation=0.0)
    folds = plan_folds(partly, options)
    assert len(folds) == 5
    for fold in folds:
        made = assign_fold(spark, partly, fold, options).toPandas()
        assert len(made) == samples.count()
        assert set(made.loc[made["signer"].isna(), "split"]) == {"train"}
        assert set(made.loc[made["split"] == "test", "signer"]) == {fold.tested_on.removeprefix("signer ")}


def test_folds_that_cannot_be_made_are_refused_with_what_would_work(samples):
    with pytest.raises(AslsparkError, match=r"6 signers for 7 folds; set --folds 6 or less"):
        plan_folds(samples, FoldOptions("signer", folds=7))
    unnamed = samples.selectExpr("source", "cast(null as string) signer")
    with pytest.raises(AslsparkError, match="--by signer: 720 of 720 samples name no signer; choose --by block, or"):
        plan_folds(unnamed, FoldOptions("signer"))
    with pytest.raises(AslsparkError, match="--leave-one signer: the samples name none; choose --by block"):
        plan_folds(unnamed, FoldOptions(LEAVE_ONE["signer"]))
    with pytest.raises(AslsparkError, match="--leave-one source: there is one alone, drawn; choose --by block"):
        plan_folds(samples, FoldOptions(LEAVE_ONE["source"]))
    with pytest.raises(AslsparkError, match=r"split.blocks=4: too few for 5 folds.* set split.blocks=5 or more"):
        FoldOptions("block", folds=5, blocks=4)
    with pytest.raises(AslsparkError, match="--folds 1: give 2 or more"):
        FoldOptions(folds=1)


class StopAtTheSecondFold(logging.Handler):
    """As Ctrl-C would, when the second fold begins."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())
        if self.said[-1].startswith("fold 2 of 2: tested on"):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def judged(spark, ingested, tmp_path_factory):
    """A cross-validation of a forest that was stopped and went on: its folder, result, how to call it, what it said."""
    out = tmp_path_factory.mktemp("cross") / "validation"

    def call(seed=42):
        config = load_config(None, [*FOREST, "split.validation=0.1", "split.blocks=4", f"split.seed={seed}"])
        return cross_validate(spark, ingested, str(out), config, by="block", folds=2)

    log = logging.getLogger("aslspark")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(stop := StopAtTheSecondFold())
    with pytest.raises(KeyboardInterrupt):
        call()
    log.removeHandler(stop)
    left = {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    log.addHandler(listener := logging.Handler())
    said = []
    listener.emit = lambda record: said.append(record.getMessage())
    result = call()
    log.removeHandler(listener)
    log.setLevel(level)
    return out, result, call, left, said


def test_the_report_says_mean_and_spread_and_what_all_folds_read(judged):
    out, result, *_ = judged
    assert {path.name for path in out.iterdir()} == {
        *("settings.json", "folds", RESULT_FILE),
        *("report.html", "folds.png", "confusion.png"),
    }
    assert json.loads((out / RESULT_FILE).read_text()) == result
    accuracy = [fold["accuracy"] for fold in result["folds"]]
    assert result["scores"]["accuracy"]["mean"] == pytest.approx(sum(accuracy) / 2)
    assert result["scores"]["accuracy"]["std"] == pytest.approx(abs(accuracy[0] - accuracy[1]) / 2**0.5)
    assert result["scores"]["macro_f1"]["max"] == max(fold["macro_f1"] for fold in result["folds"])
    counts = result["confusion"]["counts"]
    assert sum(map(sum, counts)) == 720
    right = sum(fold["accuracy"] * fold["rows"]["test"] for fold in result["folds"])
    assert sum(row[n] for n, row in enumerate(counts)) == pytest.approx(right)
    assert [fold["held_out"] for fold in result["folds"]] == [
        [{"group": "drawn", "rows": fold["rows"]["test"], "accuracy": fold["accuracy"]}] for fold in result["folds"]
    ]
    page = (out / "report.html").read_text()
    assert f"answers.temperature={result['temperature']:g}" in page
    assert page.count('src="data:image/png;base64,') == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "LEAK" not in page


def test_the_page_of_the_folds_is_for_all_screens_and_people(judged):
    out, result, *_, said = judged
    page = (out / "report.html").read_text()
    for words in ("How it was made", result["settings"]["data"]["fingerprint"], "mllib.classifier", "pyspark"):
        assert words in page
    assert f"  look: {out}/report.html" in said
    assert faults_of(out / "report.html") == []


def test_a_fold_is_calibrated_by_what_the_others_held_out(judged):
    _, result, *_ = judged
    one, other = result["folds"]
    assert one["by_temperature"]["rows"] == one["rows"]["test"] - one["unscored"]
    for fold, beside in ((one, other), (other, one)):
        tried = beside["by_temperature"]
        best = TEMPERATURES[tried["log_loss"].index(min(tried["log_loss"]))]
        assert fold["temperature_of_others"] == best
        place = TEMPERATURES.index(best)
        assert fold["calibration_error_of_others"] == fold["by_temperature"]["calibration_error"][place]
    low, high = sorted(fold["temperature_of_others"] for fold in (one, other))
    assert low <= result["temperature"] <= high


@pytest.mark.parametrize("kind", LEAKING)
def test_the_title_says_that_folds_row_by_row_leak(judged, tmp_path, kind):
    result = json.loads(json.dumps(judged[1]))
    result["settings"]["folds"]["kind"] = kind
    write_cross_validation_page(result, tmp_path)
    page = (tmp_path / "report.html").read_text()
    for tag in ("title", "h1"):
        assert re.search(rf"<{tag}>[^<]*row by row[^<]*THESE SCORES LEAK</{tag}>", page)


def test_a_run_that_was_stopped_goes_on_behind_its_last_finished_fold(judged):
    out, _, _, left, said = judged
    assert set(left) == {"settings.json", "folds/fold-001.json"}
    assert (out / "folds" / "fold-001.json").stat().st_mtime_ns == left["folds/fold-001.json"]
    assert said.count("training MLlib's forest") == 1
    assert any(line.startswith("fold 1 of 2: done before") for line in said)
    assert any(line.startswith("fold 2 of 2: tested on") for line in said)


@pytest.mark.promise(
    "tested",
    "A cross-validation goes on with the folds, data and settings that it was begun with, or is refused in one line.",
    kind="a run goes on with other data or settings than it was given",
)
def test_a_second_call_with_other_settings_is_refused_and_changes_nothing(judged):
    out, _, call, *_ = judged
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(AslsparkError, match=r"begun with folds.seed=42, not 43"):
        call(seed=43)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_fold_that_fails_is_named_and_those_before_it_are_kept(spark, ingested, tmp_path):
    out = tmp_path / "out"
    config = load_config(None, [*FOREST, "mllib.reads=landmarks"])
    with pytest.raises(AslsparkError, match=r"fold 1 of 2 failed: .* 0 finished folds are kept in .*/out"):
        cross_validate(spark, ingested, str(out), config, by="random", folds=2)
    assert {path.name for path in out.iterdir()} == {"settings.json", "folds"}


@pytest.mark.long
def test_baselines_on_landmarks_are_judged_leaving_one_signer_out(spark, tmp_path):
    data = write_ingested(spark, [row for row in rows_with_hands(240) if row[4] != "bob"], tmp_path)
    words = ["--model", "forest", "--features", "landmarks", "--trees", "4", "--depth", "5"]
    job.main(["--data", data, "--out", str(tmp_path / "out"), "--leave-one", "signer", *words])
    result = json.loads((tmp_path / "out" / RESULT_FILE).read_text())
    assert result["settings"]["settings"]["mllib"]["reads"] == "landmarks"
    assert [fold["held_out"][0]["group"] for fold in result["folds"]] == ["ann", "cyd"]
    for fold in result["folds"]:
        assert fold["held_out"] == [{"group": fold["tested_on"][7:], "rows": 80, "accuracy": fold["accuracy"]}]
        assert fold["accuracy"] > 0.8
    page = (tmp_path / "out" / "report.html").read_text()
    assert "2 folds leaving one signer out" in page
    assert re.search(r"<td>2</td><td>cyd</td><td>80</td>", page)


@pytest.mark.long
def test_networks_are_judged_too(spark, ingested, tmp_path):
    words = ["--data", ingested, "--by", "signer", "--folds", "2", "--framework", "torch", "--epochs", "1"]
    with pytest.raises(AslsparkError, match=r"num_proc=99"):
        job.main([*words, "--out", str(tmp_path / "out"), "--num-proc", "99"])
    assert list(tmp_path.iterdir()) == []
    job.main([*words, "--out", str(tmp_path / "out"), "--set", "augment.on=false"])
    result = json.loads((tmp_path / "out" / RESULT_FILE).read_text())
    assert [fold["epochs"] for fold in result["folds"]] == [1, 1]
    assert [fold["rows"]["test"] for fold in result["folds"]] == [360, 360]
    tested = [set(re.findall(r"drawn-\d\d", fold["tested_on"])) for fold in result["folds"]]
    assert not tested[0] & tested[1]

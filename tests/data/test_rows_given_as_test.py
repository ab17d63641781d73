"""Rows that were given as test: no job learns from them, and no reference is made of them."""

import json
import random

import numpy as np
import pytest

from aslspark import train
from aslspark.bundle.files import read_manifest
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import TEST, TRAIN, VALIDATION, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.evaluation.fold_options import KINDS, LEAVE_ONE, FoldOptions
from aslspark.evaluation.folds import assign_fold, plan_folds
from aslspark.monitoring.profile import read_reference
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import look_at
from aslspark.workflows.automl import automl
from aslspark.workflows.cross_validate import RESULT_FILE, cross_validate
from aslspark.workflows.monitor import monitor

FOREST = ["mllib.classifier=forest", "mllib.trees=3", "mllib.depth=4"]
LETTERS = "ABC"
SCHEMA = (
    "id string, picture struct<height: int, width: int, channels: int, data: binary>, label string, source string, "
    "signer string"
)


def pictures(spark, source, count, light, letters=LETTERS, signers=("ann", "bob")):
    """Rows of 28x28: a bright bar whose place is the letter, under more or less light."""
    noise = np.random.default_rng(len(source) + count)
    rows = []
    for number in range(count):
        letter = letters[number % len(letters)]
        pixels = noise.integers(60, 90, (28, 28))
        at = 3 * "ABCDEFGHY".index(letter)
        pixels[:, at : at + 3] += 120
        data = bytearray((pixels * light).astype(np.uint8).tobytes())
        rows.append((f"{source}-{number}", (28, 28, 1, data), letter, source, signers[number // 3 % len(signers)]))
    random.Random(1).shuffle(rows)
    return spark.createDataFrame(rows, SCHEMA)


@pytest.fixture(scope="module")
def two_cameras(spark, tmp_path_factory):
    """Two sources to learn from; a third, much darker, with a letter of its own, was given as test."""
    out = str(tmp_path_factory.mktemp("cameras") / "ingested")
    own = [pictures(spark, name, 180, 1.0) for name in ("desk", "window")]
    other = pictures(spark, "cellar", 120, 0.3, letters="ABCY", signers=("cyd",))
    report = ingest_sources(spark, own, out, test_sources=[other], split=SplitOptions(validation=0.2, blocks=5))
    assert report.test_sources == ["dataframe-3"]
    return out


@pytest.mark.promise(
    "tested",
    "Rows given as test (a test source) are in no fold of a cross-validation, however the folds are made.",
    kind="a job divides anew what was divided already",
)
@pytest.mark.parametrize("kind", [*KINDS, *LEAVE_ONE.values()])
def test_no_fold_holds_rows_that_were_given_as_test(spark, two_cameras, kind):
    options = FoldOptions(kind, folds=2, blocks=4)
    own = look_at(spark, two_cameras).development_samples(spark)
    for fold in plan_folds(own, options):
        rows = assign_fold(spark, own, fold, options).groupBy("source").count().collect()
        assert {row["source"]: row["count"] for row in rows} == {"desk": 180, "window": 180}


@pytest.mark.promise(
    "tested",
    "A cross-validation trains and tests on no row given as test, and its page says which were left out.",
    kind="a job divides anew what was divided already",
)
@pytest.mark.long
def test_a_cross_validation_learns_from_no_row_given_as_test_and_says_so(spark, two_cameras, tmp_path):
    config = load_config(None, FOREST)
    result = cross_validate(spark, two_cameras, str(tmp_path / "folds"), config, by=LEAVE_ONE["source"])
    assert [fold["tested_on"] for fold in result["folds"]] == ["source desk", "source window"]
    assert [sum(fold["rows"].values()) for fold in result["folds"]] == [360, 360]
    assert sum(map(sum, result["confusion"]["counts"])) == 360
    assert "Y" not in result["confusion"]["labels"]  # that letter is in the test source alone
    assert json.loads((tmp_path / "folds" / RESULT_FILE).read_text())["settings"]["data"]["left_out"] == (
        "120 of dataframe-3"
    )
    assert "given as test are in no fold (120 of" in (tmp_path / "folds" / "report.html").read_text()


@pytest.mark.promise(
    "tested",
    "The winner of automl learns from the test split only where that is a share of its own sources, never from rows "
    "given as test.",
    kind="a job divides anew what was divided already",
)
@pytest.mark.long
def test_the_winner_of_automl_does_not_learn_from_rows_given_as_test(spark, two_cameras, tmp_path):
    found = automl(
        spark, [two_cameras], str(tmp_path / "out"), load_config(None, FOREST[1:]), trials=1, models=("forest",)
    )
    rows = read_manifest(str(tmp_path / "out" / "bundle"))["data"]["rows"]
    assert rows == {TRAIN: 288, VALIDATION: 72, TEST: 120}
    assert found["learned_from"] == "the train split, since the test rows were given as test"
    assert "Y" not in read_manifest(str(tmp_path / "out" / "bundle"))["labels"]
    assert "trained again on the train split" in (tmp_path / "out" / "report.html").read_text()


@pytest.fixture(scope="module")
def bundle(spark, two_cameras, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("trained") / "bundle")
    train(spark, [two_cameras], out, config=load_config(None, FOREST))
    return out


def drift_of(spark, model, samples, folder):
    data = str(folder / "pictures")
    samples.select("id", "picture").write.parquet(data)
    return monitor(spark, model, data, str(folder / "drift"))


@pytest.mark.long
@pytest.mark.promise(
    "tested",
    "A monitor's reference holds no rows of test sources: another camera is drift, though the model was tested on it.",
    kind="test rows taken for what the model is made for",
)
def test_another_camera_is_drift_though_the_model_was_tested_on_it(spark, two_cameras, bundle, tmp_path):
    assert set(read_reference(bundle).summary) == {TRAIN, VALIDATION}
    for folder in ("dark", "usual"):
        (tmp_path / folder).mkdir()
    dark = drift_of(spark, bundle, read_samples(spark, two_cameras, [TEST]), tmp_path / "dark")
    assert "brightness ks" in dark["batches"][0]["alarms"]
    assert dark["worst"] > 3  # times its limit
    usual = drift_of(spark, bundle, read_samples(spark, two_cameras, [VALIDATION]), tmp_path / "usual")
    assert not usual["drift"]


@pytest.mark.promise(
    "tested",
    "Where whole sources are held out, those that are tested on are not in the monitor's reference; test blocks of a "
    "source that was learned from are.",
    kind="test rows taken for what the model is made for",
)
@pytest.mark.parametrize(("kind", "splits"), [("source", {TRAIN, VALIDATION}), ("block", {TRAIN, VALIDATION, TEST})])
def test_of_test_rows_those_of_sources_that_were_learned_from_are_a_models_own(spark, tmp_path, kind, splits):
    out = str(tmp_path / "ingested")
    sources = [pictures(spark, name, 60, 1.0) for name in ("desk", "window", "garden")]
    samples = sources[0].unionByName(sources[1]).unionByName(sources[2])
    ingest_sources(spark, [samples], out, split=SplitOptions(kind=kind, validation=0.3, test=0.3, blocks=5))
    own = look_at(spark, out).own_samples(spark)
    assert {row["split"] for row in own.select("split").distinct().collect()} == splits


@pytest.mark.promise(
    "tested",
    "A model of which nothing but rows given as test was held out is watched by its pictures, and a scored table, of "
    "which there is nothing to compare, is refused in one line.",
    kind="test rows taken for what the model is made for",
)
@pytest.mark.long
def test_without_rows_held_out_the_monitor_compares_pictures_alone(spark, tmp_path):
    out, made = str(tmp_path / "ingested"), str(tmp_path / "bundle")
    other = pictures(spark, "cellar", 60, 0.3)
    split = SplitOptions(validation=0.0, test=0.0, blocks=5)
    ingest_sources(spark, [pictures(spark, "desk", 180, 1.0)], out, test_sources=[other], split=split)
    train(spark, [out], made, config=load_config(None, FOREST))
    found = drift_of(spark, made, other, tmp_path)
    assert found["drift"]
    assert {name.split()[0] for name in found["batches"][0]["statistics"]} == {"brightness", "contrast", "sharpness"}
    scored = SignClassifierModel.load(made).setInputCol("picture").transform(other.select("id", "picture"))
    scored.write.parquet(str(tmp_path / "scored"))
    with pytest.raises(AslsparkError, match=r"no rows of its own sources were held out") as error:
        monitor(spark, made, str(tmp_path / "scored"), str(tmp_path / "of-scored"))
    assert "\n" not in str(error.value)

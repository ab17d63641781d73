"""Choosing a kind of model within a budget: real trials on drawn hands."""

import json
import shutil

import pytest
from browser import faults_of
from markupsafe import escape

from aslspark.bundle.files import read_manifest
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.samples import TEST, VALIDATION, read_samples
from aslspark.data.splits import LEAK_WARNING
from aslspark.scoring.model import SignClassifierModel

pytest.importorskip("optuna")

from aslspark.workflows.automl import automl
from jobs import automl as job

QUICK = ["mllib.trees=5", "mllib.depth=5", "mllib.iterations=20", "training.epochs=1", "training.framework=torch"]


@pytest.fixture(scope="module")
def chosen(spark, few_letters, tmp_path_factory):
    out = tmp_path_factory.mktemp("automl") / "out"
    words = ["--trials", "2", "--models", "logistic", "forest", "--set", *QUICK]
    job.main(["--data", few_letters, "--out", str(out), *words])
    return out, json.loads((out / "leaderboard.json").read_text())


def test_the_best_kind_on_validation_wins_and_learns_from_all_other_samples(spark, few_letters, chosen):
    out, found = chosen
    scores = [row["score"] for row in found["models"]]
    assert scores == sorted(scores, reverse=True)
    assert found["winner"] == found["models"][0]["model"]
    about = read_manifest(str(out / "bundle"))
    kept = read_samples(spark, few_letters, [VALIDATION]).count()
    assert about["data"]["rows"] == {"train": read_samples(spark, few_letters).count() - kept, VALIDATION: kept}
    assert f"{found['models'][0]['test']:.2%} of its" in (out / "bundle" / "README.md").read_text()
    model = SignClassifierModel.load(str(out / "bundle"))
    assert model.transform(read_samples(spark, few_letters, [TEST])).where("letter is not null").count() > 0
    assert load_config(str(out / "best.yaml")).mllib.trees >= 5


def test_the_leaderboard_and_its_page_say_score_spread_size_and_speed(chosen):
    out, found = chosen
    assert [len(row["trials"]) for row in found["models"]] == [2, 2]
    for row in found["models"]:
        assert 0 < row["spread"] < 0.2
        assert row["bytes"] > 1000
        assert row["pictures_a_second"] > 0
        assert row["score"] == max(trial["score"] for trial in row["trials"])
    assert (out / "leaderboard.png").stat().st_size > 5000
    page = (out / "report.html").read_text()
    assert f"<h1>{found['winner']} wins: " in page
    assert page.count("<td>only in Spark</td>") == 2
    for trial in (trial for row in found["models"] for trial in row["trials"]):
        assert escape(" ".join(trial["settings"])) in page
    assert faults_of(out / "report.html") == []


@pytest.mark.long
def test_the_same_seed_and_trials_give_the_same_winner(spark, few_letters, chosen, tmp_path):
    limits = {"trials": 2, "models": ("logistic", "forest")}
    again = automl(spark, few_letters, str(tmp_path / "again"), load_config(None, QUICK), **limits)
    before = {row["model"]: [trial["settings"] for trial in row["trials"]] for row in chosen[1]["models"]}
    for row in again["models"]:
        same = min(len(row["trials"]), len(before[row["model"]]))
        assert [trial["settings"] for trial in row["trials"]][:same] == before[row["model"]][:same]
    first = {row["model"]: row["trials"][0]["score"] for row in chosen[1]["models"]}
    assert {row["model"]: row["trials"][0]["score"] for row in again["models"]} == {
        name: first[name] for name in ("logistic", "forest")
    }


@pytest.mark.long
def test_of_three_kinds_the_better_half_goes_on_and_networks_are_timed_alone(few_letters, tmp_path):
    words = ["--trials", "2", "--models", "logistic", "forest", "cnn", "--set", *QUICK]
    job.main(["--data", few_letters, "--out", str(tmp_path / "out"), *words])
    found = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert [len(row["trials"]) for row in found["models"]].count(2) == 2  # two at least
    for row in found["models"]:
        assert (row["ms_a_picture"] is not None) == (row["model"] == "cnn")


@pytest.mark.long
def test_with_onnx_only_networks_are_tried(few_letters, tmp_path):
    words = ["--trials", "1", "--models", "forest", "cnn", "--onnx", "--set", *QUICK]
    job.main(["--data", few_letters, "--out", str(tmp_path / "out"), *words])
    assert json.loads((tmp_path / "out" / "leaderboard.json").read_text())["winner"] == "cnn"
    assert (tmp_path / "out" / "bundle" / "network.onnx").is_file()


def test_a_trial_whose_time_is_over_is_named_and_nothing_is_left(spark, few_letters, tmp_path):
    with pytest.raises(AslsparkError, match=r"no trial came to its end \(logistic: not done in 0 s"):
        automl(spark, few_letters, str(tmp_path / "out"), load_config(None, QUICK), minutes=0.02, models=("logistic",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "two_branch"], "two_branch: it does not fit this data; choose from logistic"),
        (["--models", "forest", "--onnx"], "none of them leaves ONNX"),
        (["--minutes", "-1"], "give 0 or more"),
    ],
)
def test_what_cannot_be_tried_is_said_before_any_trial(words, message, few_letters, tmp_path):
    with pytest.raises(AslsparkError, match=message):
        job.main(["--data", few_letters, "--out", str(tmp_path / "out"), *words])
    assert list(tmp_path.iterdir()) == []


def test_a_split_that_leaks_is_refused(spark, few_letters, tmp_path):
    shutil.copytree(few_letters, tmp_path / "leaks")
    about = json.loads((tmp_path / "leaks" / "ingest.json").read_text())
    (tmp_path / "leaks" / "ingest.json").write_text(json.dumps({**about, "warnings": [LEAK_WARNING]}))
    with pytest.raises(AslsparkError, match="split at random: near-twins"):
        automl(spark, [str(tmp_path / "leaks")], str(tmp_path / "out"), load_config())
    with pytest.raises(AslsparkError, match="near-twins"):
        automl(spark, [], str(tmp_path / "out"), load_config(None, ["split.kind=random"]))

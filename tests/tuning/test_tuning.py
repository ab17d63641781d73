"""The search for settings: real trials, two processes each, on drawn hands."""

import json
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config

pytest.importorskip("optuna")

from aslspark.tuning.options import SearchOptions
from aslspark.tuning.space import Range, read_space
from aslspark.workflows import tune as searching
from aslspark.workflows.tune import search, tune

SPACE = "training.learning_rate: {low: 1.0e-6, high: 0.01, log: true}\nnetwork.dropout: [0.0, 0.15]\n"
QUICK = [
    "network.name=cnn",
    "training.framework=torch",
    "training.epochs=3",
    "training.batch_size=32",
    "training.learning_rate=0.005",
]


def space_of(tmp_path, text=SPACE):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.lr: [1]\n", r"training\.lr=1: unknown setting; did you mean"),
        ("training.learning_rate: {low: 0.1, high: 0.001}\n", "give low below high"),
        ("training.learning_rate: {low: 0.0, high: 0.1, log: true}\n", "above 0 with log"),
        ("training.learning_rate: {low: 0.1, high: 7.0}\n", r"training\.learning_rate=7\.0: out of range"),
        ("training.optimizer: [sgd]\n", r"training\.optimizer=sgd"),
        ("training.epochs: 5\n", "give a list of choices, or low and high"),
        ("- a\n", "no settings: write"),
        ("a: [", "not YAML"),
    ],
)
def test_a_space_that_cannot_be_searched_is_said_before_any_trial(text, message, tmp_path):
    with pytest.raises(AslsparkError, match=message):
        space_of(tmp_path, text)


def test_a_space_in_python_is_that_of_the_same_yaml_and_refused_alike(tmp_path):
    given = {"training.learning_rate": {"low": 1e-6, "high": 0.01, "log": True}, "network.dropout": (0.0, 0.15)}
    assert read_space(given) == space_of(tmp_path)
    with pytest.raises(AslsparkError, match=r"training\.lr=1: unknown setting"):
        read_space({"training.lr": [1]})
    with pytest.raises(AslsparkError, match=r"^space: no settings: write"):
        read_space({})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sampler": "bayes"}, "--sampler bayes: choose tpe, random, grid"),
        ({"pruner": "hard"}, "--pruner hard: choose median, hyperband, none"),
        ({"trials": 0}, "--trials 0, .* give 1 or more trials"),
        ({"minutes": -1}, "--minutes -1, .* 0 minutes or more"),
    ],
)
def test_options_that_are_none_are_refused_before_anything_starts(given, message, tmp_path):
    with pytest.raises(AslsparkError, match=message):
        tune(None, "ingested", str(tmp_path / "search"), {"network.dropout": [0.0]}, **given)
    assert list(tmp_path.iterdir()) == []


def test_the_spaces_of_the_repository_can_be_read():
    spaces = {path.stem: read_space(str(path)) for path in (REPOSITORY / "conf" / "spaces").iterdir()}
    assert spaces["network"].settings["training.learning_rate"] == Range(0.00001, 0.1, log=True)
    assert spaces["forest"].settings["mllib.depth"] == Range(4, 14)


def test_every_shape_in_the_space_of_the_plain_cnn_can_be_built():
    from aslspark.models.torch_network import build

    settings = read_space(str(REPOSITORY / "conf" / "spaces" / "cnn.yaml")).settings
    for channels in settings["network.channels"]:
        for kernels in settings["network.kernels"]:
            build("cnn", (28, 28, 1), 24, 0.1, channels=channels, kernels=kernels)


def test_a_grid_goes_through_factors_of_a_logarithmic_range():
    assert Range(0.001, 0.1, log=True, points=3).grid() == pytest.approx([0.001, 0.01, 0.1])
    assert Range(1, 4, points=4).grid() == [1, 2, 3, 4]


def test_a_search_stops_poor_trials_goes_on_later_and_leaves_the_best_settings(spark, ingested, tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "TRIALS_BEFORE_STOPPING", 1)
    out, space, config = tmp_path / "search", space_of(tmp_path), load_config(None, QUICK)
    study = search(spark, [ingested], str(out), config, space, SearchOptions(trials=1, seed=1))
    first = study.trials[0]
    assert first.params == {"training.learning_rate": 0.005, "network.dropout": 0.15}  # the settings as they are
    assert list(first.intermediate_values) == [1, 2, 3]
    # A rate that is far too low: it is below the median of the trials before.
    study.enqueue_trial({"training.learning_rate": 1e-6, "network.dropout": 0.0})
    study = search(spark, [ingested], str(out), config, space, SearchOptions(trials=2, seed=1))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert max(study.trials[1].intermediate_values) < 3
    best = load_config(str(out / "best.yaml"))
    assert best.training.learning_rate == 0.005
    # The trials' few epochs are not carried into the training: it has its own, or the default.
    assert best.training.epochs == load_config().training.epochs
    assert "Trials had 3 epochs" in (out / "best.yaml").read_text()
    assert load_config(str(out / "best.yaml"), ["training.epochs=7"]).training.epochs == 7
    page = (out / "report.html").read_text()
    for figure in ("<dt>done</dt><dd>1</dd>", "<dt>stopped early</dt><dd>1</dd>", "<dt>failed</dt><dd>0</dd>"):
        assert figure in page
    assert (out / "history.png").stat().st_size > 5000
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == []


@pytest.mark.long
def test_trials_run_side_by_side_each_in_a_spark_task(spark, few_letters, tmp_path):
    config = load_config(None, [*QUICK, "training.epochs=2"])
    options = SearchOptions(trials=3, seed=1, at_once=2, storage=f"sqlite:///{tmp_path}/study.db")
    space = space_of(tmp_path, SPACE + 'network.channels: ["", "8,16,24"]\n')
    waiting = searching.open_study(tmp_path / "study.db", space, options, 2)
    for channels in ("", "8,16,24"):  # what is drawn side by side depends on which is first
        waiting.enqueue_trial({"network.channels": channels})
    study = search(spark, [few_letters], str(tmp_path / "search"), config, space, options)
    assert {trial.params["network.channels"] for trial in study.trials} == {"", "8,16,24"}
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(done) == len(study.trials) >= 3
    assert any(a.datetime_start < b.datetime_start < a.datetime_complete for a in done for b in done)
    for trial in done:
        assert list(trial.intermediate_values) == [1, 2]
        assert trial.value in trial.intermediate_values.values()
        assert trial.user_attrs["worker_mb"] > 100


@pytest.mark.parametrize(
    ("at_once", "words", "message"),
    [(64, [], "more than 2 task slots"), (2, ["training.framework=keras"], "only torch networks are fitted in single")],
)
def test_more_at_once_than_can_be_is_said_before_any_trial(at_once, words, message, spark, few_letters, tmp_path):
    config = load_config(None, [*QUICK, *words])
    with pytest.raises(AslsparkError, match=message):
        search(spark, [few_letters], str(tmp_path), config, space_of(tmp_path), SearchOptions(at_once=at_once))


@pytest.mark.long
def test_a_forest_is_searched_too(spark, few_letters, tmp_path):
    out, space = tmp_path / "search", space_of(tmp_path, "mllib.trees: [2, 12]\nmllib.depth: {low: 1, high: 6}\n")
    config = load_config(None, ["mllib.classifier=forest", "mllib.trees=2", "mllib.depth=1"])
    study = search(spark, [few_letters], str(out), config, space, SearchOptions(trials=3, seed=1))
    assert study.trials[0].params == {"mllib.trees": 2, "mllib.depth": 1}
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert len({trial.value for trial in study.trials}) > 1  # what was chosen was used
    assert "jobs/train_baseline.py --model forest" in (out / "best.yaml").read_text()
    assert load_config(str(out / "best.yaml")).mllib.depth == study.best_params["mllib.depth"]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_goes_on_does_not_draw_its_first_trials_again(sampler, tmp_path):
    drawn = []
    for _ in range(2):
        study = searching.open_study(
            tmp_path / "study.db", space_of(tmp_path), SearchOptions(sampler=sampler, seed=3), 3
        )
        drawn.append(space_of(tmp_path).draw(trial := study.ask())["training.learning_rate"])
        study.tell(trial, 0.5)
    assert drawn[0] != drawn[1]


def test_a_trial_that_fails_is_a_failed_trial(spark, ingested, tmp_path):
    space = space_of(tmp_path, "training.num_proc: [64]\n")
    with pytest.raises(AslsparkError, match="no trial came to its end"):
        search(spark, [ingested], str(tmp_path / "search"), load_config(None, QUICK), space, SearchOptions(failures=2))


@pytest.mark.slow
@pytest.mark.promise(
    "registry",
    "A trial that waits in a study is taken once, however many processes ask for it at the same time.",
    kind="a state that is read and then set, in a database without locks of rows",
)
def test_two_processes_that_ask_at_once_never_get_the_same_trial(tmp_path):
    rounds = 20
    script = [sys.executable, str(REPOSITORY / "tests" / "study_askers.py"), str(tmp_path / "study.db"), str(rounds)]
    found = subprocess.run(script, capture_output=True, text=True, check=True)
    asked = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(asked) == rounds
    for one in asked:
        assert one["waiting"] in one["got"]
        assert len(set(one["got"])) == 2, asked

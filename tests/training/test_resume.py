"""Runs that were stopped, and what they came to: real Horovod, two processes."""

import csv
import json
import random
import shutil
import threading
from pathlib import Path

import pytest
from saboteur import after_epoch, held_after, interrupt, kill_one, on_events, training_processes

from aslspark import train
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network

WORDS = ["training.framework=torch", "training.epochs=5", "training.batch_size=32"]


def history(bundle):
    with (Path(bundle) / "history.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def fitted(spark, ingested, folder):
    """Fit as `train_cnn` does, without judging what comes of it; return the history."""
    return fit_network(look_at(spark, ingested), load_config(None, WORDS), folder).history


@pytest.fixture(scope="module")
def unbroken(spark, ingested, tmp_path_factory):
    """The history of the run that nothing befell."""
    return fitted(spark, ingested, tmp_path_factory.mktemp("unbroken"))


@pytest.fixture(scope="module")
def stopped(spark, ingested, tmp_path_factory):
    """The unfinished folder of the same run, stopped by Ctrl-C after its third epoch."""
    out = tmp_path_factory.mktemp("stopped") / "bundle"
    with held_after(3), on_events(after_epoch(3, interrupt)), pytest.raises(KeyboardInterrupt):
        train(spark, [ingested], str(out), config=load_config(None, WORDS))
    assert training_processes() == []
    assert not out.exists()
    return out.with_name("bundle.unfinished")


def again(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "bundle.unfinished")
    return tmp_path / "bundle"


@pytest.mark.long
def test_a_stopped_run_ends_where_an_unbroken_one_does(spark, ingested, unbroken, stopped, tmp_path):
    out = again(stopped, tmp_path)
    kept = sorted(path.name for path in (stopped / "checkpoints").iterdir())
    assert kept[-1] == "epoch-0003.npz"
    assert len(kept) <= 3
    train(spark, [ingested], str(out), config=load_config(None, WORDS), resume=True)
    for row, was in zip(history(out), unbroken, strict=True):
        for name in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert row[name] == pytest.approx(was[name], abs=2e-3), name
    assert not (tmp_path / "bundle.unfinished").exists()
    SignClassifierModel.load(str(out))


@pytest.mark.long
def test_a_run_goes_on_with_another_number_of_workers(spark, ingested, unbroken, stopped, tmp_path):
    out = again(stopped, tmp_path)
    train(spark, [ingested], str(out), config=load_config(None, [*WORDS, "training.num_proc=1"]), resume=True)
    rows, was = history(out), unbroken
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    # Of one process, not two; the last step of an epoch of twice as many is a little further down the cosine.
    assert rows[3]["learning_rate"] == pytest.approx(was[3]["learning_rate"] / 2, rel=0.2)
    assert rows[4]["loss"] < rows[2]["loss"] * 1.1


@pytest.mark.promise(
    "tested",
    "A training run is resumed with the data and settings that it was begun with, or refused in one line.",
    kind="a run goes on with other data or settings than it was given",
)
def test_what_a_run_was_begun_with_is_asked_for_again(spark, ingested, stopped, tmp_path):
    out = again(stopped, tmp_path)
    with pytest.raises(AslsparkError, match=r"begun with training\.learning_rate=0\.001, not 0\.01"):
        train(
            spark, [ingested], str(out), config=load_config(None, [*WORDS, "training.learning_rate=0.01"]), resume=True
        )
    with pytest.raises(AslsparkError, match=r"begun with pictures\.size=64, not 32; give the same, or begin a new one"):
        train(spark, [ingested], str(out), config=load_config(None, [*WORDS, "pictures.size=32"]), resume=True)
    with pytest.raises(AslsparkError, match=r"begun with --data \S+, not other\.csv"):
        train(spark, ["other.csv"], str(out), config=load_config(None, WORDS), resume=True)
    with pytest.raises(AslsparkError, match="holds a run that did not come to its end; go on with it by --resume"):
        train(spark, [ingested], str(out), config=load_config(None, WORDS))
    with pytest.raises(AslsparkError, match="holds no run to go on with; leave --resume out"):
        train(spark, [ingested], str(tmp_path / "other"), config=load_config(None, WORDS), resume=True)
    assert (tmp_path / "bundle.unfinished" / "checkpoints" / "epoch-0003.npz").exists()


def test_a_run_that_fails_before_its_first_epoch_leaves_nothing(spark, tmp_path):
    with pytest.raises(AslsparkError, match="does not exist"):
        train(spark, [str(tmp_path / "nowhere.csv")], str(tmp_path / "bundle"), config=load_config(None, WORDS))
    assert list(tmp_path.iterdir()) == []


def killed_at_random(spark, ingested, out, seed, words):
    """Train while one worker is killed at a moment that the seed draws; return the epochs."""
    random_moment = random.Random(seed)
    timer = threading.Timer(random_moment.uniform(2, 9), kill_one, [seed])
    timer.start()
    try:
        train(spark, [ingested], str(out), config=load_config(None, words))
    finally:
        timer.cancel()
        timer.join()
    return [row["epoch"] for row in history(out)]


def test_a_run_outlives_a_worker_that_is_killed(spark, ingested, tmp_path, caplog):
    caplog.set_level("INFO", "aslspark")
    with held_after(2), on_events(after_epoch(2, lambda: kill_one(1))):
        rows = fitted(spark, ingested, tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert "killed, out of memory or by hand; try 2 of 3 begins" in caplog.text
    assert "going on after epoch 2 of 5, with 2 processes" in caplog.text
    assert training_processes() == []


@pytest.mark.long
def test_it_is_given_up_after_the_allowed_tries_and_what_was_trained_is_kept(spark, ingested, tmp_path):
    words = [*WORDS, "training.tries=1"]
    with held_after(2), on_events(after_epoch(2, lambda: kill_one(2))), pytest.raises(AslsparkError) as error:
        train(spark, [ingested], str(tmp_path / "bundle"), config=load_config(None, words))
    assert "killed" in str(error.value).splitlines()[0]
    assert "given up after 1 try (training.tries)" in str(error.value)
    about = json.loads((tmp_path / "bundle.unfinished" / "run.json").read_text())
    assert about["data"] == [ingested]
    assert (tmp_path / "bundle.unfinished" / "checkpoints" / "epoch-0002.npz").exists()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_kill_at_any_moment_costs_no_run(framework, seed, spark, ingested, tmp_path):
    words = [f"training.framework={framework}", "training.epochs=4", "training.batch_size=16"]
    assert killed_at_random(spark, ingested, tmp_path / "bundle", seed, words) == [1, 2, 3, 4]
    assert training_processes() == []

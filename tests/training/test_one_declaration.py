"""A setting is declared once: its field is all that a job, an estimator and a worker need to know of it."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from conftest import REPOSITORY

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import AugmentConfig, Config, TrainingConfig, declarations
from aslspark.training.fit import name_of_fit
from aslspark.training.torch_estimator import SignTorchEstimator

USES_IT = """
import json, sys

import torch
from pyspark.sql import SparkSession

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.training.fit import worker_job
from aslspark.training.launch.run import run_workers
from aslspark.training.torch_estimator import SignTorchEstimator
from aslspark.training.torch_fit import TorchNetwork
from aslspark.training.worker import SampleFolders

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3))
parts = (model, (torch.optim.Adam, {"lr": 0.001}), torch.nn.CrossEntropyLoss())
network, folders = TorchNetwork(*parts, [[-1, 1, 2, 3]]), SampleFolders(sys.argv[1], None, "ABC")


def seen(config):
    job, _ = worker_job(spark, network, config, folders)
    return run_workers(1, lambda job: job.training.warm_restarts, job, env={}, on_event=print, launcher="torch")[0]


config = load_config(None, ["training.num_proc=1", "training.warm_restarts=7"])
asked = SignTorchEstimator(labels=list("ABC"), num_proc=1, warm_restarts=5)
try:
    SignTorchEstimator(labels=list("ABC"), num_proc=1, warm_restarts=-1).settings()
except AslsparkError as error:
    refused = str(error)
print(json.dumps({
    "job": seen(config),
    "estimator": seen(asked.settings()),
    "not given": SignTorchEstimator(labels=list("ABC"), num_proc=1).settings().training.warm_restarts,
    "explained": asked.explainParam("warm_restarts"),
    "refused": refused,
}))
"""


@pytest.mark.slow
def test_one_more_line_in_the_settings_is_a_setting_of_jobs_and_estimators_that_a_worker_sees(tmp_path):
    from feed_tables import write_table

    shutil.copytree(REPOSITORY / "aslspark", tmp_path / "aslspark", ignore=shutil.ignore_patterns("__pycache__"))
    settings = tmp_path / "aslspark" / "common" / "settings.py"
    before = "    epochs: int = setting("
    declared = '    warm_restarts: int = setting(3, "of the schedule", least=0)\n'
    text = settings.read_text()
    assert text.count(before) == 1
    settings.write_text(text.replace(before, declared + before))
    done = subprocess.run(
        [sys.executable, "-c", USES_IT, write_table(tmp_path / "table", [6], 6)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["job"], found["estimator"], found["not given"]) == (7, 5, 3)
    assert found["explained"] == "warm_restarts: of the schedule (default: 3, current: 5)"
    assert found["refused"] == "training.warm_restarts=-1: out of range; it may be 0 or more"


def test_an_estimators_settings_are_those_of_a_job_where_nothing_is_given():
    by_default = SignTorchEstimator(labels=["A"], num_proc=2, epochs=40, random_seed=42).settings()
    assert by_default == Config()


def test_each_setting_of_a_fit_is_a_param_but_for_what_an_estimator_is_given_ready_made():
    estimator = SignTorchEstimator(labels=["A"])
    theirs = {"seed": "random_seed"}
    for name, setting in declarations("training", "network", "features").items():
        own = name.partition(".")[2]
        assert estimator.hasParam(theirs.get(own, own)) or setting.metadata.get("built"), name


@pytest.mark.parametrize("module", ["worker", "loop", "torch_worker", "keras_worker"])
def test_no_worker_reads_a_setting_that_an_estimator_leaves_at_its_default(module):
    source = (REPOSITORY / "aslspark" / "training" / f"{module}.py").read_text(encoding="utf-8")
    built = {
        name
        for name, setting in declarations("training", "network").items()
        if setting.metadata.get("built") and name != "training.launcher"  # an estimator's launcher is the default one
    }
    read = set(re.findall(r"\b(?:job\.)?(training\.\w+)|\bjob\.(network\.\w+)", source))
    assert {"training.learning_rate", "network.dropout"} <= built
    assert not built & {"".join(names) for names in read}, "it is made on the driver: see ARCHITECTURE.md"


def another(setting):
    """A value that is not the default."""
    if isinstance(setting.default, bool):
        return not setting.default
    if isinstance(setting.default, str):
        return next(choice for choice in setting.metadata["choices"] if choice != setting.default)
    return setting.default + 1


def test_a_checkpoint_is_of_another_fit_where_a_setting_differs_that_a_run_may_not_be_resumed_without():
    from feed_tables import job_on

    job = replace(job_on("", training=TrainingConfig(), augment=AugmentConfig()), spec={"shapes": [[-1, 1, 2, 3]]})
    for name, setting in declarations("training", "network", "features").items():
        if setting.metadata.get("built"):
            continue  # what is built by it, and its shape, is told by its weights
        section, _, own = name.partition(".")
        changed = replace(job, **{section: replace(getattr(job, section), **{own: another(setting)})})
        same = name_of_fit(changed, 90, 10) == name_of_fit(job, 90, 10)
        assert same == bool(setting.metadata.get("resumable")), name
    assert name_of_fit(job, 90, 10) == "7753720c869a66c5"  # so that fits from before a new setting go on


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "half"}, r"^training\.precision=half: choose one of float32, mixed"),
        ({"unfreeze_rate": 2}, r"^network\.unfreeze_rate=2\.0: out of range"),
        ({"patience": 0}, r"^training\.patience=0: out of range; it may be 1 or more"),
    ],
)
def test_what_a_setting_may_not_hold_a_param_may_not_either(given, message):
    with pytest.raises(AslsparkError, match=message):
        SignTorchEstimator(labels=["A"], num_proc=1, **given).settings()

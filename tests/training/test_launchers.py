"""What averages gradients: torch.distributed beside Horovod, two processes each, drawn hands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from saboteur import held_after, training_processes

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network
from aslspark.training.gpus import BY_LOCAL_RANK, FROM_SPARK, claim_gpu
from aslspark.training.initial_weights import check_network
from aslspark.training.launch.child import report
from aslspark.training.launch.failures import WorkerError
from aslspark.training.launch.launchers import HOROVOD, TORCH
from aslspark.training.launch.run import StoppedEarly, run_workers
from aslspark.training.launch.task import GPU

WORDS = ["training.framework=torch", "training.epochs=3", "training.batch_size=64", "training.clip_norm=1"]
FIGURES = ("epoch", "loss", "accuracy", "gradient_norm", "val_loss", "val_accuracy", "learning_rate", "rows")


def fitted_by(launcher, spark, ingested, folder, on_epoch=None):
    config = load_config(None, [*WORDS, f"training.launcher={launcher}"])
    return fit_network(look_at(spark, ingested), config, folder, on_epoch)


@pytest.fixture(scope="module")
def fitted(spark, ingested, tmp_path_factory):
    return fitted_by(TORCH, spark, ingested, tmp_path_factory.mktemp("fitted"))


def test_both_launchers_fit_the_same_network(spark, ingested, fitted, tmp_path):
    theirs = fitted_by(HOROVOD, spark, ingested, tmp_path)
    assert len(fitted.history) == len(theirs.history) == 3
    for row, other in zip(fitted.history, theirs.history, strict=True):
        assert {name: row[name] for name in FIGURES} == pytest.approx({name: other[name] for name in FIGURES}, abs=1e-3)
    for name, weights in fitted.network.model.state_dict().items():
        assert np.allclose(weights, theirs.network.model.state_dict()[name], atol=1e-3), name
    assert list(fitted.phases) == list(theirs.phases)


def test_every_rank_ends_with_the_same_weights(fitted):
    assert len(fitted.digests) == 2
    assert len(set(fitted.digests)) == 1
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]


@pytest.mark.long
@pytest.mark.parametrize("other", [TORCH, HOROVOD])
def test_a_run_that_was_stopped_leaves_no_process_and_goes_on_where_it_was(spark, ingested, fitted, other, tmp_path):
    with held_after(2), pytest.raises(StoppedEarly):
        fitted_by(TORCH, spark, ingested, tmp_path, lambda row: row["epoch"] == 2)
    assert training_processes() == []
    seen = []
    resumed = fitted_by(other, spark, ingested, tmp_path, lambda row: seen.append(row["epoch"]))
    assert seen in ([2, 3], [3])  # it was stopped while its second epoch was kept
    for row, unbroken in zip(resumed.history, fitted.history, strict=True):
        assert {name: row[name] for name in FIGURES} == pytest.approx(
            {name: unbroken[name] for name in FIGURES}, abs=1e-3
        )


def test_a_workers_own_traceback_reaches_the_user_however_long_it_is(spark):
    def failing_worker(job):
        import torch

        from aslspark.training.torch_collective import TorchCollective

        ranks = TorchCollective(torch.device("cpu"))
        if ranks.rank() == job:
            raise ValueError("the disk of this worker is on fire" + 9000 * "!")
        ranks.allreduce(torch.zeros(1), op=ranks.Sum, name="zeros")

    with pytest.raises(AslsparkError) as error:
        run_workers(2, failing_worker, 1, env={}, on_event=print, launcher=TORCH)
    message = str(error.value)
    assert message.splitlines()[0].startswith("worker 1 on ")
    assert "ValueError: the disk of this worker is on fire" + 9000 * "!" in message.splitlines()[0]
    assert "in failing_worker" in message
    assert not getattr(error.value, "lost", True)
    assert training_processes() == []


def test_a_killed_worker_is_named_and_not_the_one_that_fails_after_it(spark):
    def half_of_them_die(job):
        import os
        import signal

        import torch

        from aslspark.training.torch_collective import TorchCollective

        ranks = TorchCollective(torch.device("cpu"))
        if ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        ranks.allreduce(torch.zeros(1), op=ranks.Sum, name="zeros")

    with pytest.raises(WorkerError, match=r"^worker 1 on \S+ ended with exit code 137: killed") as error:
        run_workers(2, half_of_them_die, None, env={}, on_event=print, launcher=TORCH)
    assert error.value.lost


def test_every_rank_answers_and_has_its_environment_from_its_start_on(spark):
    def answering_worker(job):
        import os

        report({"event": "said", "words": job * 2000})
        with open("/proc/self/environ", "rb") as file:  # as the process was started
            at_start = b"ASLSPARK_TEST=here" in file.read()
        return [int(os.environ["RANK"]), at_start]

    heard = []
    results = run_workers(
        2,
        answering_worker,
        "words ",
        env={"ASLSPARK_TEST": "here"},
        on_event=heard.append,
        launcher=TORCH,
    )
    assert results == [[0, True], [1, True]]
    assert heard == [{"event": "said", "words": "words " * 2000}] * 2


@pytest.mark.long
def test_a_worker_that_hangs_is_missed_and_ended(spark):
    def one_hangs(job):
        import os
        import signal

        import torch

        from aslspark.training.torch_collective import TorchCollective

        ranks = TorchCollective(torch.device("cpu"))
        if ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        ranks.allreduce(torch.zeros(1), op=ranks.Sum, name="zeros")

    with pytest.raises(WorkerError, match=r"^worker 1 on \S+ was not heard from for 8 s") as error:
        run_workers(2, one_hangs, None, env={}, on_event=print, launcher=TORCH)
    assert error.value.lost
    assert "in one_hangs" in str(error.value)
    assert training_processes() == []


BLOCKED = """
import sys

class NoHorovod:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "horovod":
            open({asked!r}, "a").write(" ".join(sys.argv) + chr(10))
            raise ModuleNotFoundError("No module named 'horovod'", name="horovod")

sys.meta_path.insert(0, NoHorovod())
"""


def job_without_horovod(folder, *words):
    """Run the training job where nobody can import Horovod, neither the driver nor a worker; and who has tried.

    By spark-submit, which ends only when all threads of Spark's own have.
    """
    asked = folder / "asked"
    asked.touch()
    (folder / "sitecustomize.py").write_text(BLOCKED.format(asked=str(asked)))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "spark-submit"),
            str(REPOSITORY / "jobs" / "train_cnn.py"),
            "--framework",
            "torch",
            *words,
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]),
            "SPARK_CONF_DIR": str(REPOSITORY / "conf"),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done, asked.read_text()


@pytest.mark.long
def test_the_job_trains_where_nobody_can_import_horovod(ingested, tmp_path):
    words = ["--data", ingested, "--out", str(tmp_path / "bundle"), "--epochs", "2", "--launcher", TORCH]
    done, asked = job_without_horovod(tmp_path, *words, "--set", "training.batch_size=32")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert asked == ""
    assert "epoch   2/2" in done.stdout
    model = SignClassifierModel.load(str(tmp_path / "bundle"))
    assert len(model.labels) == 24
    manifest = json.loads((Path(tmp_path) / "bundle" / "bundle.json").read_text())
    assert manifest["settings"]["training"]["launcher"] == TORCH


def test_without_horovod_its_launcher_is_refused_and_the_other_named(ingested, tmp_path):
    done, asked = job_without_horovod(tmp_path, "--data", ingested, "--out", str(tmp_path / "bundle"))
    assert done.returncode == 2
    assert "training.launcher=horovod: there is no Horovod here; set training.launcher=torch and" in (
        done.stdout + done.stderr
    )
    assert len(asked.splitlines()) == 1  # the driver looked, and started nothing


def test_what_torch_cannot_do_is_said_before_anything_is_launched(tmp_path):
    with pytest.raises(AslsparkError, match=r"training\.launcher=nonsense: choose one of horovod, torch"):
        load_config(None, ["training.launcher=nonsense"])
    keras = load_config(None, ["training.framework=keras", "training.launcher=torch"])
    with pytest.raises(AslsparkError, match=r"^training\.launcher=torch: it trains torch networks") as error:
        check_network(keras)
    assert "set training.framework=torch, or training.launcher=horovod" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("source", "visible", "address"), [(FROM_SPARK, "2,7", "5"), (BY_LOCAL_RANK, "2,7", "7")])
def test_a_process_of_torch_takes_its_tasks_gpu_or_that_of_its_rank(monkeypatch, source, visible, address):
    monkeypatch.delenv("HOROVOD_LOCAL_RANK", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "")
    for name, value in {GPU: "5", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": visible}.items():
        monkeypatch.setenv(name, value)
    assert claim_gpu(source) == address


def test_the_name_that_the_setting_had_goes_on_working_and_says_once_what_it_is_called_now(caplog):
    for _ in range(2):
        config = load_config(None, ["training.framework=torch", "training.launcher=torch_distributor"])
        assert config.training.launcher == TORCH
    assert [record.getMessage() for record in caplog.records] == [
        "training.launcher=torch_distributor is called torch now"
    ]

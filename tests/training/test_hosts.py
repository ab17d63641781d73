"""A cluster of several hosts: network namespaces of their own, Gloo across a virtual wire, one of them cut off."""

import json
import shutil

import pytest
from conftest import REPOSITORY
from hosts import TrainingJob, cluster_of_hosts

EPOCHS = 6

pytestmark = pytest.mark.long


def test_a_host_that_is_cut_off_in_mid_epoch_does_not_end_the_training(ingested, tmp_path):
    package = shutil.make_archive(str(tmp_path / "aslspark"), "zip", REPOSITORY, "aslspark")
    words = ["--data", ingested, "--out", str(tmp_path / "bundle"), "--framework", "torch", "--epochs", str(EPOCHS)]
    try:
        with cluster_of_hosts(tmp_path / "cluster") as (hosts, master):
            job = TrainingJob([*words, "--set", "training.batch_size=4"], hosts, master, package)
            assert job.wait_for_epochs(1), job.text[-3000:]
            hosts.cut_off(hosts.workers[0])
            assert job.wait() == 0, job.text[-3000:]
    except PermissionError as error:
        pytest.skip(f"no hosts of our own here: {error}")
    assert "was not heard from" in job.text
    assert "with 1 process\n" in job.text
    assert json.loads((tmp_path / "bundle" / "bundle.json").read_text())["framework"] == "torch"
    assert [number for _, number in job.epochs()][-1] == EPOCHS

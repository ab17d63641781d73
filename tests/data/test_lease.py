"""Folders that are being written: those of killed jobs go, those of living ones stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aslspark.data.files.lease import remove_left_over, take_lease
from aslspark.data.files.stores import open_store

HELD = """
import os, sys
from aslspark.data.files.lease import take_lease
take_lease(sys.argv[1])
os.mkdir(sys.argv[1])
open(sys.argv[1] + "/half", "w").close()
print("held", flush=True)
sys.stdin.read()
"""


def writer(folder):
    """A process that writes a folder until it is killed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    started = subprocess.Popen(
        [sys.executable, "-c", HELD, str(folder)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert started.stdout.readline() == b"held\n"
    return started


@pytest.mark.promise(
    "input",
    "What a killed job left of a folder is removed by the next job that writes the folder; a living job's is not.",
    kind="temporary folders of killed jobs stay for ever",
)
def test_the_next_job_removes_what_a_killed_one_left_and_nothing_else(spark, tmp_path):
    out = tmp_path / "out"
    killed, living = writer(f"{out}.tmp-0000000a"), writer(f"{out}.tmp-0000000b")
    try:
        killed.kill()
        killed.wait()
        for stays in ("out.tmp-0000000c", "out.tmp-mine", "other.tmp-0000000a"):  # without a lease, or of another name
            (tmp_path / stays).mkdir()
        with open_store(spark).written_whole(str(out), last="done") as folder:
            there = {path.name for path in tmp_path.iterdir()}
            Path(folder).mkdir()
            (Path(folder) / "whole").touch()
    finally:
        living.kill()
        living.wait()
    assert "out.tmp-0000000a" not in there
    assert {"out.tmp-0000000b", "out.tmp-0000000c", "out.tmp-mine", "other.tmp-0000000a"} <= there
    assert (out / "whole").is_file()
    assert remove_left_over(str(out)) == [f"{out}.tmp-0000000b"]  # it has been killed too, meanwhile
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other.tmp-0000000a",
        "out",
        "out.tmp-0000000c",
        "out.tmp-mine",
    ]


def test_a_folder_of_another_machine_stays(tmp_path):
    lease = take_lease(str(tmp_path / "out.tmp-0000000a"))
    (tmp_path / "out.tmp-0000000a").mkdir()
    file = tmp_path / ".out.tmp-0000000a.lease"
    file.write_text('{"host": "elsewhere", "boot": "another"}')
    os.close(lease._descriptor)
    assert remove_left_over(str(tmp_path / "out")) == []
    assert (tmp_path / "out.tmp-0000000a").is_dir()

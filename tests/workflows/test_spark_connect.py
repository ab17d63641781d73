"""The main path through a real server of Spark Connect: a session that has DataFrames alone."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import picture_files
import pytest
from pyspark.sql import functions as F
from stacks import needs_spark_connect

import aslspark
from aslspark.bundle.files import ONNX
from aslspark.data.samples import read_samples

pytestmark = [pytest.mark.slow, needs_spark_connect]

APPLICATION = Path(__file__).resolve().parent.parent / "connect_application.py"
SETTINGS = """
training: {framework: torch, num_proc: 2, epochs: 1, batch_size: 16}
augment: {on: false}
hands: {on: false}
"""


@pytest.fixture(scope="module")
def connect(spark, few_letters, tmp_path_factory):
    """What the application saw, and the folder that it worked in."""
    folder = tmp_path_factory.mktemp("connect")
    (folder / "settings.yaml").write_text(SETTINGS)
    rows = read_samples(spark, few_letters).orderBy("id").select("label", F.col("picture.data").alias("data")).collect()
    lines = [f"{ord(row['label']) - ord('A')},{','.join(map(str, row['data']))}" for row in rows]
    header = ",".join(["label", *(f"pixel{number}" for number in range(1, 785))])
    (folder / "table.csv").write_text("\n".join([header, *lines, "1,2,3"]) + "\n")
    picture_files.fill(folder / "hands", count=8)
    (folder / "hands" / "A" / "A9.jpg").write_bytes(b"no picture")
    command = [sys.executable, str(APPLICATION), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=600)
    assert run.returncode == 0, run.stderr[-6000:]
    return SimpleNamespace(folder=folder, saw=json.loads(run.stdout.splitlines()[-1]), rows=len(lines), said=run)


def test_the_session_is_one_of_spark_connect(connect):
    assert (connect.saw["connect"], connect.saw["running"], connect.saw["slots"]) == (True, True, 2)


def test_what_is_ingested_is_what_a_classic_session_ingests(spark, connect):
    assert connect.saw["kept"] == [connect.rows, 1, 24, 1]
    config = aslspark.load_config(str(connect.folder / "settings.yaml"))
    for name, source in (("table", "table.csv"), ("pictures", "hands")):
        out = str(connect.folder / f"classic-{name}")
        aslspark.ingest(spark, str(connect.folder / source), out, config=config)
        ours, theirs = (read_samples(spark, each) for each in (out, str(connect.folder / "connect" / name)))
        assert ours.exceptAll(theirs).count() == theirs.exceptAll(ours).count() == 0
        assert sorted(spark.read.parquet(f"{out}/quarantine").collect()) == sorted(
            spark.read.parquet(str(connect.folder / "connect" / name / "quarantine")).collect()
        )


def test_two_processes_train_what_a_classic_session_trains(spark, connect):
    config = aslspark.load_config(str(connect.folder / "settings.yaml"))
    ours = aslspark.train(
        spark, str(connect.folder / "connect" / "table"), str(connect.folder / "classic-bundle"), config=config
    )
    theirs = connect.folder / "connect" / "bundle"
    assert ours.metrics["accuracy"] == connect.saw["metrics"]["accuracy"] == connect.saw["judged"]
    assert (Path(ours.path) / ONNX).read_bytes() == (theirs / ONNX).read_bytes()


def test_scores_are_those_of_a_classic_session(spark, connect):
    for source, scores in (("table.csv", "scored"), ("hands", "scored-pictures")):
        out = str(connect.folder / f"classic-{scores}")
        aslspark.score(spark, str(connect.folder / "connect" / "bundle"), str(connect.folder / source), out)
        ours, theirs = (spark.read.parquet(each) for each in (out, str(connect.folder / "connect" / scores)))
        assert ours.exceptAll(theirs).count() == theirs.exceptAll(ours).count() == 0
    assert [batch["rows"] for batch in connect.saw["watched"]] == [connect.rows + 1]


def test_what_needs_more_than_dataframes_or_slots_says_so_in_one_line(connect):
    slots, boosted, search, _ = connect.saw["refused"]
    assert slots.startswith("training.num_proc=3: local[2] has 2 task slots")
    assert boosted.startswith("mllib.classifier=boosted needs a SparkContext, which Spark Connect has not: run it by")
    assert search.startswith("a search needs a SparkContext, which Spark Connect has not")
    assert not (connect.folder / "refused" / "manifest.json").exists()


def test_a_worker_that_fails_is_named_with_its_traceback(connect):
    failed = connect.saw["refused"][3]
    assert failed.startswith("worker 1 on ")
    assert "ValueError: the second worker cannot" in failed.splitlines()[0]
    assert "fail_in_rank_1" in failed

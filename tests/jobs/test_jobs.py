"""The jobs as people start them: on a cluster, from elsewhere, with good input and with bad."""

import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import REPOSITORY
from pyspark.sql import functions as F
from quick_java import QUICK_JAVA

from aslspark.common.errors import AslsparkError
from aslspark.data.samples import read_samples
from aslspark.scoring.unlabelled import rows_to_score
from jobs import evaluate, ingest, monitor, score, train_baseline, train_cnn

HEADER = "label," + ",".join(f"pixel{n}" for n in range(1, 785))
QUICK = ["--epochs", "1", "--set", "augment.on=false", "training.batch_size=32"]


@pytest.fixture(scope="module")
def table(spark, ingested, tmp_path_factory):
    """A pixel table of drawn hands: 720 rows, sorted by label, as such files often are."""
    path = tmp_path_factory.mktemp("tables") / "letters.csv"
    rows = read_samples(spark, ingested).select("label", "id", F.col("picture.data").alias("data")).collect()
    lines = [
        f"{ord(row['label']) - ord('A')}," + ",".join(map(str, row["data"]))
        for row in sorted(rows, key=lambda row: (row["label"], row["id"]))
    ]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def spark_submit(job, *words, cwd, master, conf=(), py_files=None, env=None):
    command = [str(Path(sys.executable).parent / "spark-submit"), "--master", master]
    for setting in (
        "spark.ui.enabled=false",
        "spark.driver.bindAddress=127.0.0.1",
        "spark.driver.host=127.0.0.1",
        "spark.sql.shuffle.partitions=2",
        f"spark.driver.extraJavaOptions={QUICK_JAVA}",
        f"spark.executor.extraJavaOptions={QUICK_JAVA}",
        *conf,
    ):
        command += ["--conf", setting]
    if py_files:
        command += ["--py-files", str(py_files)]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SPARK_HOME")}
    environment |= {"PYSPARK_PYTHON": sys.executable, **(env or {})}
    return subprocess.run(
        [*command, str(REPOSITORY / "jobs" / job), *map(str, words)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package as a zip, for --py-files."""
    path = tmp_path_factory.mktemp("package") / "aslspark.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for path_in in sorted((REPOSITORY / "aslspark").rglob("*")):
            if path_in.is_file() and "__pycache__" not in path_in.parts:
                zipped.write(path_in, path_in.relative_to(REPOSITORY))
    return path


def assert_trained(result, out):
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert re.search(r"epoch\s+1/1\s+loss", result.stdout), result.stdout[-3000:]
    assert json.loads((out / "bundle.json").read_text())["kind"] == "network"
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_training_runs_on_a_local_cluster_from_elsewhere_with_py_files(ingested, package, tmp_path):
    out = tmp_path / "work" / "bundle"
    out.parent.mkdir()
    result = spark_submit(
        "train_cnn.py",
        *("--data", ingested, "--out", out, "--framework", "torch", *QUICK),
        cwd=tmp_path,
        master="local-cluster[2,1,2048]",
        py_files=package,
    )
    assert_trained(result, out)
    then = next(line for line in result.stdout.splitlines() if line.startswith("  next: "))
    assert then.startswith("  next: spark-submit --master 'local-cluster[2,1,2048]' --conf ")
    assert f"--py-files {package} {REPOSITORY}/jobs/score.py --model {out} --data PICTURES" in then


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def standalone_cluster(folder):
    """A master and two workers of one core each, on loopback."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    environment.pop("PYTHONPATH", None)
    port = free_port()

    def start(kind, *words):
        log = (folder / f"{kind}-{len(daemons)}.log").open("w")
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind.lower()}.{kind}"]
        daemons.append(
            subprocess.Popen([*command, *words], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        )

    daemons = []
    try:
        start("Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        for n in range(2):
            words = ("--cores", "1", "--memory", "2g", "--host", "127.0.0.1", "--webui-port", "0")
            start("Worker", *words, "--work-dir", str(folder / f"worker-{n}"), f"spark://127.0.0.1:{port}")
        yield f"spark://127.0.0.1:{port}"
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=60)


@pytest.mark.long
def test_training_and_scoring_run_on_a_standalone_cluster(table, package, tmp_path):
    out = tmp_path / "work" / "bundle"
    for folder in ("work", "cluster", "scores"):
        (tmp_path / folder).mkdir()
    settings = ("spark.cores.max=2", "spark.executor.memory=1g", "spark.scheduler.minRegisteredResourcesRatio=1.0")
    with standalone_cluster(tmp_path / "cluster") as master:
        result = spark_submit(
            "train_cnn.py",
            *("--data", table, "--out", out, "--framework", "keras", *QUICK),
            cwd=tmp_path,
            master=master,
            conf=settings,
            py_files=package,
        )
        assert_trained(result, out)
        result = spark_submit(
            "score.py",
            *("--model", out, "--data", table, "--out", tmp_path / "scores" / "scored"),
            cwd=tmp_path,
            master=master,
            conf=settings,
            py_files=package,
        )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "720 rows: 720 read, 0 not" in result.stdout


@pytest.fixture(scope="module")
def bundle(spark, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "forest"
    words = ["--model", "forest", "--trees", "3", "--depth", "4"]
    train_baseline.main([*words, "--data", str(table), "--out", str(out)])
    return out


def last_line(capsys):
    """What a program reads of a job's standard output."""
    return capsys.readouterr().out.splitlines()[-1]


def test_evaluate_judges_raw_data_as_a_whole_and_an_ingested_folder_by_its_test_split(
    spark, bundle, table, ingested, tmp_path, capsys, caplog
):
    evaluate.main(["--model", str(bundle), "--data", str(table), "--out", str(tmp_path / "raw")])
    assert "{" not in capsys.readouterr().out
    learned = "trained on a source of the same name (letters.csv): may have seen these rows"
    assert learned in caplog.text
    assert learned in (tmp_path / "raw" / "report.html").read_text()
    caplog.clear()
    evaluate.main(["--model", str(bundle), "--data", ingested, "--out", str(tmp_path / "split"), "--json"])
    assert json.loads(last_line(capsys)) == json.loads((tmp_path / "split" / "metrics.json").read_text())
    raw = json.loads((tmp_path / "raw" / "metrics.json").read_text())
    split = json.loads((tmp_path / "split" / "metrics.json").read_text())
    assert learned not in caplog.text
    assert raw["rows"] == 720
    assert split["rows"] == read_samples(spark, ingested, ["test"]).count()
    for name in ("confusion.png", "mistakes.png"):
        assert (tmp_path / "raw" / name).read_bytes().startswith(b"\x89PNG")


def test_score_takes_tables_with_and_without_labels_and_loses_no_row(spark, bundle, table, tmp_path, capsys):
    lines = table.read_text().splitlines()
    bad = ["1,2,3", lines[1].replace(",", ",x", 1), lines[2] + ",7", "", "3," + ",".join(["999"] * 784)]
    (tmp_path / "labelled.csv").write_text("\n".join([*lines[:30], *bad]) + "\n")
    unlabelled = [line.split(",", 1)[-1] for line in [*lines[:30], *bad]]
    (tmp_path / "unlabelled.csv").write_text("\n".join(unlabelled) + "\n")
    answers = {}
    for name in ("labelled", "unlabelled"):
        out = tmp_path / f"{name}-scored"
        score.main(["--model", str(bundle), "--data", str(tmp_path / f"{name}.csv"), "--out", str(out), "--json"])
        counts = json.loads(last_line(capsys))
        assert (counts["rows"], sum(counts["letters"].values())) == (29 + len(bad), 29)
        assert sum(counts["reasons"].values()) == len(bad)
        assert counts["labelled"] == (0 if name == "unlabelled" else counts["labelled"]) <= counts["rows"]
        assert 0 <= counts["right"] <= counts["labelled"]
        rows = spark.read.parquet(str(out)).orderBy("row").collect()
        assert [row["row"] for row in rows] == list(range(1, 30 + len(bad)))
        assert [row["letter"] is None for row in rows] == [False] * 29 + [True] * len(bad)
        assert [row["letter"] is None for row in rows] == [row["reason"] is not None for row in rows]
        assert sum(row["letter"] is None for row in rows) == len(bad)
        answers[name] = [row["letter"] for row in rows]
    assert answers["labelled"] == answers["unlabelled"]


@pytest.mark.promise(
    "input",
    "The jobs score, evaluate and watch tables with bad rows, whatever spark.sql.ansi.enabled is.",
    kind="a cast that is an error in Spark's other dialect",
)
@pytest.mark.long
def test_jobs_run_with_ansi_sql_on_tables_with_bad_rows(spark, bundle, table, tmp_path, setting, capsys):
    lines = table.read_text().splitlines()
    lines[7:7] = ["1,2,3", lines[1].replace(",", ",oops", 1), "", lines[2].replace(",", ",1e30", 1)]
    (tmp_path / "bad.csv").write_text("\n".join(lines) + "\n")
    words = ["--model", str(bundle), "--data", str(tmp_path / "bad.csv"), "--out"]
    with setting("spark.sql.ansi.enabled", "true"):
        score.main([*words, str(tmp_path / "scored")])
        assert "not read, 1: not a number: pixel1 is 'oops" in capsys.readouterr().out
        evaluate.main([*words, str(tmp_path / "judged")])
        monitor.main([*words, str(tmp_path / "watched")])
        ingest.main(["--source", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "ingested")])
    assert spark.read.parquet(str(tmp_path / "scored")).count() == len(lines) - 1
    assert (tmp_path / "judged" / "metrics.json").is_file()
    assert (tmp_path / "watched").is_dir()
    assert spark.read.parquet(str(tmp_path / "ingested" / "quarantine")).count() == 4


def test_rows_of_a_file_in_many_blocks_are_numbered_as_they_stand(spark, table):
    usual = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "200000")
    try:
        rows, column = rows_to_score(spark, [str(table)])
        assert rows.rdd.getNumPartitions() > 3
        found = rows.orderBy("row").collect()
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", usual)
    lines = table.read_text().splitlines()[1:]
    assert [row["row"] for row in found] == list(range(1, len(lines) + 1))
    for row, line in zip(found, lines, strict=True):
        assert [row["label"], *row[column]["data"]] == [line.split(",")[0], *map(int, line.split(",")[1:])]


def test_train_and_test_files_given_apart_stay_apart(spark, table, tmp_path):
    lines = table.read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join([lines[0], *lines[1::2]]) + "\n")
    (tmp_path / "test.csv").write_text("\n".join([lines[0], *lines[2::2]]) + "\n")
    words = ["--source", str(tmp_path / "train.csv"), "--test-source", str(tmp_path / "test.csv")]
    ingest.main([*words, "--out", str(tmp_path / "ingested")])
    found = read_samples(spark, str(tmp_path / "ingested")).groupBy("source", "split").count().collect()
    assert {(row["source"], row["split"]) for row in found} == {
        ("train.csv", "train"),
        ("train.csv", "validation"),
        ("test.csv", "test"),
    }


def write_bad(kind, table, folder):
    lines = table.read_text().splitlines()
    path = folder / f"{kind}.csv"
    if kind == "empty":
        path.write_text("")
    elif kind == "missing-column":
        path.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n")
    elif kind == "text":
        path.write_text("\n".join([HEADER, "to be or not to be", "that is the question"]) + "\n")
    elif kind == "truncated":
        path = folder / "truncated.csv.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode())[:-2000])
    elif kind == "one-class":
        path.write_text("\n".join([HEADER, *(line for line in lines if line.startswith("0,"))]) + "\n")
    elif kind == "few-rows":
        path.write_text("\n".join([HEADER, lines[1], lines[-1]]) + "\n")
    elif kind == "few-to-validate":  # ten blocks of A: one row of it to validate on, for two processes
        path.write_text("\n".join([HEADER, *lines[1:11], lines[-1]]) + "\n")
    elif kind == "absent":
        path = folder / "absent.csv"
    return path


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("empty", ["empty.csv", "is empty"]),
        ("missing-column", ["missing-column.csv", "pixel784"]),
        ("text", ["text.csv", "2", "wrong column count"]),
        ("truncated", ["truncated.csv.gz", "cut short"]),
        ("one-class", ["labelled A", "at least two letters"]),
        ("few-rows", ["none of 2 samples", "more data"]),
        ("absent", ["absent.csv", "does not exist"]),
    ],
)
@pytest.mark.parametrize("job", ["train_cnn", "train_baseline"])
def test_bad_data_is_one_line_that_names_it_and_nothing_is_left_but_the_quarantine_of_rows(
    spark, table, tmp_path, kind, named, job
):
    given = tmp_path / "given"
    given.mkdir()
    path = write_bad(kind, table, given)
    before = sorted(p.name for p in given.iterdir())
    words = ["--data", str(path), "--out", str(tmp_path / "bundle")]
    with pytest.raises(AslsparkError) as error:
        train_cnn.main(words) if job == "train_cnn" else train_baseline.main(["--model", "forest", *words])
    assert all(part in str(error.value) for part in named), str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(p.name for p in given.iterdir()) == before
    left = (
        {"given", "bundle.quarantine"} if kind == "text" else {"given"}
    )  # of the others no row was read, or all were good
    assert {p.name for p in tmp_path.iterdir()} == left


def test_fewer_rows_than_processes_are_refused_with_the_numbers(spark, table, tmp_path):
    path = write_bad("few-to-validate", table, tmp_path)
    with pytest.raises(AslsparkError, match=r"num_proc=2: only 1 validation sample with"):
        train_cnn.main(["--data", str(path), "--out", str(tmp_path / "bundle")])
    assert [p.name for p in tmp_path.iterdir()] == ["few-to-validate.csv"]


def test_an_existing_out_and_a_broken_bundle_are_named_and_left_as_they_are(spark, table, bundle, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "mine.txt").write_text("mine")
    jobs = {
        train_cnn: ["--data", str(table)],
        train_baseline: ["--model", "forest", "--data", str(table)],
        ingest: ["--source", str(table)],
        evaluate: ["--model", str(bundle), "--data", str(table)],
        score: ["--model", str(bundle), "--data", str(table)],
    }
    for job, words in jobs.items():
        with pytest.raises(AslsparkError, match=r"there.* exists already"):
            job.main([*words, "--out", str(there)])
    assert [p.name for p in there.iterdir()] == ["mine.txt"]

    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    metrics = bytearray((broken / "metrics.json").read_bytes())
    metrics[10] ^= 1
    (broken / "metrics.json").write_bytes(bytes(metrics))
    for job in (evaluate, score):
        with pytest.raises(AslsparkError, match=r"metrics\.json was changed"):
            job.main(["--model", str(broken), "--data", str(table), "--out", str(tmp_path / "new")])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken", "there"]


@pytest.mark.slow
def test_an_error_is_one_line_and_an_exit_code(tmp_path):
    environment = {"PYTHONPATH": str(REPOSITORY)}
    result = spark_submit(
        "train_cnn.py", "--out", tmp_path / "new", "--epochs", "none", cwd=tmp_path, master="local[2]", env=environment
    )
    assert result.returncode == 2
    # spark-submit puts a Python job's standard error on its own standard output.
    said = result.stdout + result.stderr
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    assert lines == ["error: --set training.epochs=none: expected a whole number, for example training.epochs=40"]
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []

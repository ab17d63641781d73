"""Ctrl-C on a job that spark-submit started: it reaches Spark's JVM as well, which ends at once."""

import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

JOB = """
import time
from aslspark.cli.jobs_support import run_job

def forever(number):
    time.sleep(600)

def main(argv):
    from aslspark.common.spark_session import spark_session
    with spark_session("forever") as spark:
        print("begun", flush=True)
        spark.sparkContext.parallelize([0], 1).map(forever).count()

run_job(main)
"""


def test_ctrl_c_under_spark_submit_is_one_line(tmp_path):
    (tmp_path / "job.py").write_text(JOB)
    submit = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[1]", str(tmp_path / "job.py")]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    job = subprocess.Popen(
        submit,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # As a terminal starts it: a script in the background hands on that SIGINT is to be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(theirs)
    said, is_interrupted = b"", False
    while True:
        try:
            said += os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if b"begun" in said and not is_interrupted:
            is_interrupted = True
            os.killpg(job.pid, signal.SIGINT)
    assert job.wait(60) == 130
    assert said.rstrip().endswith(b"error: interrupted")
    assert b"Traceback" not in said


CANCELLED = """
import os, signal, sys, threading, time
from aslspark.cli.jobs_support import run_job

def main(argv):
    from pyspark.ml.feature import VectorAssembler
    from aslspark.common.settings import MllibConfig
    from aslspark.common.spark_session import mllib_errors_unlogged, spark_session
    from aslspark.models.mllib import build_classifier
    from aslspark.training.launch.run import StoppedEarly
    from aslspark.tuning.trial import _cancelled_after

    is_over = argv == ["its time"]
    with spark_session("a fit that takes long") as spark:
        rows = spark.range(1_000_000).selectExpr("cast(id % 24 as double) index_label", "rand(1) a", "rand(2) b")
        rows = VectorAssembler(inputCols=["a", "b"], outputCol="scaled_features").transform(rows)
        tasks = spark.sparkContext.statusTracker()
        if not is_over:
            def interrupt():
                while not tasks.getActiveJobsIds():
                    pass
                os.kill(os.getpid(), signal.SIGINT)
            threading.Thread(target=interrupt, daemon=True).start()
        settings = MllibConfig(classifier="boosted" if is_over else "forest", trees=500, depth=14)
        classifier = build_classifier(settings, length=2, classes=24, seed=1)
        try:
            with _cancelled_after(spark, 5.0 if is_over else 600.0), mllib_errors_unlogged(spark):
                classifier.fit(rows)
        except StoppedEarly:
            deadline = time.monotonic() + 30
            while tasks.getActiveJobsIds() and time.monotonic() < deadline:
                pass
            print("stopped early, jobs left:", *tasks.getActiveJobsIds())

run_job(main)
"""


@pytest.mark.parametrize(("by", "last"), [("its time", "stopped early, jobs left:"), ("Ctrl-C", "error: interrupted")])
def test_a_fit_of_mllib_that_is_cancelled_leaves_no_stack_of_java(by, last):
    words = ["--master", "local[1]", "--conf", "spark.ui.enabled=false", "pyspark-shell"]
    job = subprocess.run(
        [sys.executable, "-c", CANCELLED, by],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYSPARK_SUBMIT_ARGS": " ".join(words)},
    )
    lines = job.stdout.splitlines()
    assert lines[-1] == last, job.stdout
    assert not [line for line in lines if "ERROR" in line or "\tat " in line or "Exception" in line]

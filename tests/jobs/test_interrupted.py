"""Ctrl-C on a job that spark-submit started: it reaches Spark's JVM as well, which ends at once."""

import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

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

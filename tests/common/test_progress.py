"""What is shown while work goes on: in a log, on a terminal, and not at all where nobody wants it."""

import logging
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import aslspark
from aslspark.common import progress
from aslspark.common.progress import Activity, Counts, Stage, clock, doing
from aslspark.data.synthetic.files import draw_pictures

log = logging.getLogger("aslspark")


class Lines(logging.Handler):
    """Keeps what is logged, and sets an event when a line has all of some words."""

    def __init__(self, *words):
        super().__init__()
        self.words, self.lines, self.found = words, [], threading.Event()

    def emit(self, record):
        self.lines.append(record.getMessage())
        if all(word in self.lines[-1] for word in self.words):
            self.found.set()


@pytest.fixture
def heard(monkeypatch):
    """Listen for a line with some words; nothing waits before it is said."""
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    before, handlers = log.level, []
    log.setLevel(logging.INFO)

    def listen(*words):
        handlers.append(Lines(*words))
        log.addHandler(handlers[-1])
        return handlers[-1]

    yield listen
    log.setLevel(before)
    for handler in handlers:
        log.removeHandler(handler)


@pytest.fixture
def held(spark, tmp_path):
    """Return what counts 120 numbers by two tasks, of which one is held until the test opens the gate."""
    gate = str(tmp_path / "gate")

    def through(numbers):
        """Let the first task pass, and hold the second until the file is there."""
        from pyspark import TaskContext

        numbers = list(numbers)
        while TaskContext.get().partitionId() == 1 and not os.path.exists(gate):
            threading.Event().wait(0.01)
        return numbers

    def count():
        return spark.sparkContext.parallelize(range(120), 2).mapPartitions(through).count()

    return SimpleNamespace(count=count, let_go=lambda: open(gate, "w").close())


def counted_once(lines, held, count):
    """Count in a thread of its own, and let the held task go when the line was said."""
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(count)
        is_said = lines.found.wait(60)
        held.let_go()
        assert counting.result(60) == 120
    assert is_said, lines.lines


def test_a_log_says_how_many_of_sparks_tasks_are_done(spark, heard, held):
    def count():
        with doing("counting", spark=spark, rows=120, unit="pictures"):
            return held.count()

    counted_once(heard("counting", "60 of 120 pictures"), held, count)


@pytest.fixture
def watched(spark, heard):
    """Watch the session from a `transform` on, as a caller's own program does."""
    pictures = spark.createDataFrame([(b"no picture",)], "content binary")
    aslspark.load_model("letters").setInputCol("content").transform(pictures)
    yield heard
    progress._end_watch()


def test_what_a_caller_asks_spark_for_is_said_too_once_there_are_letters_to_read(watched, held):
    counted_once(watched("Spark at work (count)", "1 of 2 tasks"), held, held.count)


def test_work_that_has_a_name_goes_before_what_a_caller_asks_spark_for(spark, watched, held):
    lines = watched("counting", "1 of 2 tasks")

    def count():
        with doing("counting", spark=spark):
            return held.count()

    counted_once(lines, held, count)
    assert not [line for line in lines.lines if "Spark at work" in line]


def test_drawing_pictures_says_how_many_there_are(spark, heard, tmp_path):
    lines = heard("drawing hands: ", " of 24 hands")
    draw_pictures(spark, str(tmp_path / "drawn"), count=24, seed=1, size=32, signers=1)
    assert lines.found.is_set(), lines.lines
    assert len(list(tmp_path.glob("drawn/*/*.png"))) == 24


def test_the_innermost_work_is_named_and_then_the_outer_again(heard):
    outer, inner = heard("outer"), heard("inner", "3 of 4 epochs")
    with doing("outer"):
        with doing("inner", unit="epochs") as activity:
            activity.advance(3, 4)
            assert inner.found.wait(10)
        outer.found.clear()
        assert outer.found.wait(10)
    assert progress._display is None
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


@pytest.fixture
def looked_at(heard, monkeypatch):
    """Return the lines of a log, which is looked at when the test says so, and what names work that goes on."""
    monkeypatch.setattr(progress, "LOOK_SECONDS", threading.TIMEOUT_MAX)
    monkeypatch.setattr(progress, "FIRST_SECONDS", 3600.0)
    return heard().lines


def test_a_log_names_what_goes_on_after_a_while_though_each_piece_of_it_is_short(looked_at):
    with doing("a job"):
        for piece in ("reading", "counting", "drawing"):
            with doing(piece):
                progress._display._look()
    assert looked_at == ["  reading: 0:00", "  counting: 0:00", "  drawing: 0:00"]


def test_a_log_that_says_something_needs_no_line_about_going_on(looked_at, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_SECONDS", 1800.0)
    with doing("a job"), doing("reading"):
        log.info("epoch 1")
        progress._display._look()
    assert looked_at == ["epoch 1"]


def test_a_command_is_waited_for_since_it_was_called(looked_at, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    called = time.monotonic() - 3600
    monkeypatch.setattr(progress, "EVERY_SECONDS", 7200.0)
    with doing("score", began=called):
        progress._display._look()
        assert looked_at == []
    monkeypatch.setattr(progress, "EVERY_SECONDS", 1800.0)
    with doing("score", began=called):
        progress._display._look()
    assert looked_at == ["  score: 1:00:00"]


def test_the_display_ends_with_work_that_fails(heard):
    with pytest.raises(ZeroDivisionError), doing("work"):
        raise ZeroDivisionError
    assert progress._display is None


def test_nothing_is_shown_to_who_wants_warnings_alone(heard):
    log.setLevel(logging.WARNING)
    with doing("work"):
        assert progress._display is None


def test_words_say_how_much_how_fast_and_how_long():
    assert progress._words(0, None, "rows", 3.0, 7.0) == "0:07"
    assert progress._words(0, 8, "tasks", 3.0, 7.0) == "0 of 8 tasks, 0:07"
    assert progress._words(2, 8, "tasks", 4.0, 7.0) == "2 of 8 tasks, 0:12 left"
    assert progress._words(1200, 4800, "hands", 12.0, 12.0) == "1,200 of 4,800 hands, 100 a second, 0:36 left"
    assert [clock(seconds) for seconds in (7.4, 750, 3723)] == ["0:07", "12:30", "1:02:03"]


def told(activity, seconds, *stages):
    """Return what is said of an activity after some seconds, while Spark is at stages (number, tasks, done)."""
    counts = Counts(tuple(Stage(*stage) for stage in stages)) if stages else None
    activity.see(counts, activity.began + seconds)
    return progress._told(activity, counts, activity.began + seconds)


def test_rows_are_shared_by_the_tasks_that_are_done():
    activity = Activity("reading", rows=1000)
    assert told(activity, 1) == (0, None, "0:01")
    assert told(activity, 2, (0, 4, 0)) == (0, 1000, "0 of 1,000 rows, 0:02")
    assert told(activity, 5, (0, 4, 3)) == (750, 1000, "750 of 1,000 rows, 250 a second, 0:01 left")
    activity.advance(1, 2)
    assert told(activity, 5, (0, 4, 3))[:2] == (1, 2)


def test_rows_that_are_done_stay_so_in_the_stages_that_follow():
    activity = Activity("drawing", rows=1000, unit="hands")
    assert told(activity, 1, (3, 1, 0))[:2] == (0, 1000)  # a look at what there is
    assert told(activity, 3, (4, 8, 0))[:2] == (0, 1000)
    assert told(activity, 7, (4, 8, 6), (5, 1, 0))[:2] == (750, 1000)
    assert told(activity, 8) == (750, 1000, "750 of 1,000 hands, 150 a second, 0:02 left")  # between two stages
    assert told(activity, 9, (5, 1, 0)) == (1000, 1000, "1,000 of 1,000 hands, then 0 of 1 tasks, 0:09")
    assert told(activity, 11, (6, 8, 2)) == (1000, 1000, "1,000 of 1,000 hands, then 2 of 8 tasks, 0:11")
    assert told(activity, 12, (6, 8, 4)) == (1000, 1000, "1,000 of 1,000 hands, then 4 of 8 tasks, 0:01 left")
    assert told(activity, 13) == (1000, 1000, "1,000 of 1,000 hands, 0:13")


def on_a_terminal(command, **more):
    """Run a command on a terminal of its own, and return its exit code and all that it wrote there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    started = subprocess.Popen(command, stdout=theirs, stderr=theirs, **more)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
    return started.wait(60), shown.decode()


ON_TERMINAL = """
import logging, sys
from aslspark.cli.jobs_support import start_logging
from aslspark.common.redaction import say
from aslspark.common.terminal_line import TerminalLine, on_terminal

assert on_terminal()
start_logging()
line = TerminalLine()
line.show("drawing", "2 of 4 hands", 2, 4)
logging.getLogger("aslspark").info("epoch 1")
say("a report")
line.close()
say("the end")
"""


def test_on_a_terminal_a_line_renews_itself_below_what_is_logged():
    code, shown = on_a_terminal([sys.executable, "-c", ON_TERMINAL])
    assert code == 0, shown
    assert "drawing:  50% |" in shown
    lines = shown.replace("\r\n", "\n").split("\n")
    # What a terminal shows at the end: of each line what stands after the last return to its beginning.
    assert [line.rsplit("\r", 1)[-1] for line in lines if line.rsplit("\r", 1)[-1].strip()] == [
        "epoch 1",
        "a report",
        "the end",
    ]


CALLERS = """
import logging, threading
from aslspark.cli.jobs_support import start_logging
from aslspark.common import progress
from aslspark.common.progress import doing

progress.FIRST_SECONDS, progress.LOOK_SECONDS = 0.0, 0.01
start_logging()
said, hears = threading.Event(), logging.Handler()
hears.emit = lambda record: said.set()
logging.getLogger().addHandler(hears)  # after the one that shows it
with doing("Spark at work") as activity:
    activity.is_callers = True
    assert said.wait(20)
    print("a caller's table")
"""


def test_on_a_terminal_what_a_caller_prints_stands_in_a_line_of_its_own():
    code, shown = on_a_terminal([sys.executable, "-u", "-c", CALLERS])
    assert code == 0, shown
    last = [line.rsplit("\r", 1)[-1] for line in shown.replace("\r\n", "\n").split("\n")]
    assert last[:2] == ["  Spark at work: 0:00", "a caller's table"]


SUBMITTED = """
import time
from aslspark.cli.jobs_support import run_job
from aslspark.common import progress
from aslspark.common.progress import doing

progress.FIRST_SECONDS, progress.LOOK_SECONDS = 0.0, 0.01

def main(argv):
    with doing("drawing hands") as activity:
        activity.advance(2, 4)
        while progress._display._last is None:
            time.sleep(0.01)
    print("the end")

run_job(main)
"""
SPARK_SUBMIT = """
import subprocess, sys
job = subprocess.run([sys.executable, "-u", "-c", sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
sys.stdout.buffer.write(job.stdout)
open(sys.argv[2], "wb").write(job.stdout)
sys.exit(job.returncode)
"""
"""Starts Python as spark-submit does, and copies what it prints."""


UNDER_SPARK_SUBMIT = {**os.environ, "PYSPARK_GATEWAY_PORT": "1"}


def submitted(copied):
    return [sys.executable, "-c", SPARK_SUBMIT, SUBMITTED, str(copied)]


CALLED = """
from aslspark.cli import jobs_support

jobs_support.run_job(lambda argv: print(jobs_support._began()))
"""
CALLER = """
import subprocess, sys

for _ in range(2):
    subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
"""


def test_a_job_of_spark_submit_is_waited_for_since_spark_submit_was_called():
    command, asked = [sys.executable, "-c", CALLER, CALLED], {"capture_output": True, "text": True, "check": True}
    before = time.monotonic()
    first, second = map(float, subprocess.run(command, env=UNDER_SPARK_SUBMIT, **asked).stdout.split())
    assert first == pytest.approx(second, abs=0.01)  # they have one caller
    assert first >= before - 0.1  # a process's beginning is known to the hundredth of a second
    own = {name: value for name, value in UNDER_SPARK_SUBMIT.items() if name != "PYSPARK_GATEWAY_PORT"}
    first, second = map(float, subprocess.run(command, env=own, **asked).stdout.split())
    assert second > first + 0.02  # the second was called when the first was over


UNNAMED = """
import time
from aslspark.cli.jobs_support import run_job
from aslspark.common import progress
from aslspark.common.command_line import ArgumentParser

progress.LOOK_SECONDS = 0.01

def main(argv):
    while progress._display._last is None:
        time.sleep(0.01)
    ArgumentParser(prog="aslspark score", usage="the usage").parse_args(argv[1:])

run_job(main)
"""


def test_a_command_has_a_line_before_any_work_has_a_name_and_its_help_stands_above_it():
    code, shown = on_a_terminal([sys.executable, "-c", UNNAMED, "score", "--help"])
    assert code == 0, shown
    assert re.search(r"\rscore: 0:\d\d", shown)
    last = [line.rsplit("\r", 1)[-1] for line in shown.replace("\r\n", "\n").split("\n")]
    assert last[0] == "usage: the usage"
    assert "score: 0:0" not in "".join(last)


def test_nothing_is_shown_of_what_nobody_waits_for(heard, monkeypatch):
    monkeypatch.setattr(progress, "LOOK_SECONDS", threading.TIMEOUT_MAX)
    said = heard()
    with doing("serve"):
        with progress.endless():
            progress._display._look()
            assert said.lines == []
        progress._display._look()
        assert said.lines == ["  serve: 0:00"]


def test_a_job_of_spark_submit_renews_its_line_on_the_terminal_of_spark_submit(tmp_path):
    code, shown = on_a_terminal(submitted(tmp_path / "copied"), env=UNDER_SPARK_SUBMIT)
    assert code == 0, shown
    assert "drawing hands:  50% |" in shown
    assert (tmp_path / "copied").read_bytes() == b""


def test_a_job_of_spark_submit_whose_output_goes_to_a_file_writes_lines(tmp_path):
    with open(tmp_path / "log", "wb") as log_file:
        command = submitted(tmp_path / "copied")
        subprocess.run(command, stdout=log_file, stderr=log_file, env=UNDER_SPARK_SUBMIT, timeout=60, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-1] == "the end"
    assert lines[0].startswith("  drawing hands: 2 of 4 rows")
    assert "%" not in lines[0]


STARVED = """
import logging, threading
from pyspark.sql import SparkSession
from aslspark.cli.jobs_support import start_logging
from aslspark.common import progress
from aslspark.common.errors import AslsparkError
from aslspark.common import spark_session

progress.STARVED_SECONDS = progress.FIRST_SECONDS = spark_session.EXECUTOR_WAIT_SECONDS = 1.0
warned = threading.Event()

class Warned(logging.Handler):
    def emit(self, record):
        if record.levelno == logging.WARNING:
            warned.set()

start_logging()
logging.getLogger("aslspark").addHandler(Warned())
# A worker of one core, and executors that take two.
builder = SparkSession.builder.master("local-cluster[1,1,1024]").config("spark.executor.cores", "2")
spark = builder.config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

def count():
    try:
        spark.range(8).count()
    except Exception:  # it is stopped in the middle
        pass

with progress.doing("counting", spark=spark):
    threading.Thread(target=count, daemon=True).start()
    assert warned.wait(60)
try:
    spark_session.require_slots(spark, 2)
except AslsparkError as error:
    print(error)
spark.sparkContext.cancelAllJobs()
spark.stop()
"""


def test_a_cluster_without_room_for_an_executor_is_named_while_the_job_waits():
    done = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    (warning,) = [line for line in done.stdout.splitlines() if line.startswith("warning")]
    assert warning.startswith("warning: local-cluster[1,1,1024] runs none of the tasks: its workers are taken, smaller")
    assert "spark.executor.cores=2, spark.executor.memory=1g" in warning
    assert "training.num_proc=2: local-cluster[1,1,1024] gave no executor with a task slot" in done.stdout

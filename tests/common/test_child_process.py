import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from child_stand_in import HANG, KILL, RAISE

from aslspark.common.child_process import ChildDied, ChildNotStarted, ChildProcess, ChildTimedOut

STAND_IN = "child_stand_in:StandIn"
ENOUGH, SHORT = 60.0, 0.5
"""Seconds that no answer of the function takes, and those after which it is taken to hang."""


def ends(process, seconds=30):
    """Wait for the end of a process that may not be ours."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def children_see_this_path():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.fixture
def child():
    child = ChildProcess(STAND_IN, name="function")
    yield child
    child.close()


def test_one_child_answers_message_after_message(child):
    (first, short), (second, long) = child.ask("one", ENOUGH), child.ask("x" * 7_000_000, ENOUGH)
    assert first == second != os.getpid()
    assert (short, long) == (3, 7_000_000)


@pytest.mark.parametrize(("message", "error"), [(KILL, ChildDied), (HANG, ChildTimedOut), (RAISE, ChildDied)])
def test_a_message_that_ends_the_child_costs_that_message_alone(child, message, error):
    before, _ = child.ask("one", ENOUGH)
    with pytest.raises(error):
        child.ask(message, SHORT if message == HANG else ENOUGH)
    assert ends(before)
    after, length = child.ask("three", ENOUGH)
    assert (after != before, length) == (True, 5)


def test_a_child_that_does_not_start_says_why():
    with pytest.raises(ChildNotStarted, match=r"(?s)the function does not start \(.*no model file"):
        ChildProcess("child_stand_in:DoesNotStart", name="function").ask("one", ENOUGH)


@pytest.mark.parametrize("last", ["idle", "hanging"])
def test_a_child_ends_with_its_parent_however_that_ends(last):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from aslspark.common.child_process import ChildProcess\n"
            f"child = ChildProcess({STAND_IN!r}, name='function')\n"
            "print(child.ask('one', 60.0)[0], flush=True)\n"
            "sys.stdin.readline()\n"
            f"child.ask({HANG!r}, 1.0)\n",
        ],
        env=children_see_this_path(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(parent.stdout.readline())
    if last == "hanging":
        parent.stdin.write("\n")
        parent.stdin.flush()
        busy = Path(f"/proc/{child}/stat")
        before = _cpu_ticks(busy)
        deadline = time.monotonic() + 20
        while _cpu_ticks(busy) < before + 10 and time.monotonic() < deadline:
            os.sched_yield()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert ends(child)


def _cpu_ticks(stat):
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.promise(
    "service",
    "A child process that hangs, dies or stops reading costs the message it was at, and is replaced.",
    kind="waiting without a limit for another process",
)
def test_a_child_that_stops_reading_is_ended_and_the_next_message_answered(child):
    stopped, _ = child.ask("one", ENOUGH)
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(ChildTimedOut):
        child.ask("x" * 7_000_000, SHORT)  # more than a pipe holds
    assert ends(stopped)
    assert child.ask("three", ENOUGH)[1] == 5


@pytest.mark.promise(
    "service",
    "No process that the package starts imports modules from the folder that it was started in.",
    kind="Python's working directory on the path of modules",
)
@pytest.mark.parametrize("starter", [["-c"], ["-m"]])
def test_a_child_takes_no_module_from_the_folder_it_was_started_in(tmp_path, starter):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name in ("json", "numpy", "multiprocessing", "child_stand_in"):
        (inbox / f"{name}.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'a').write(__name__)\n")
    code = (
        "import os, sys\n"
        "from aslspark.common.child_process import ChildProcess\n"
        f"os.chdir({str(inbox)!r})\n"
        f"sys.path.insert(0, {('' if starter == ['-c'] else str(inbox))!r})\n"
        f"print(ChildProcess({STAND_IN!r}, name='function').ask('one', 60.0)[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=children_see_this_path(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "3\n", done.stderr
    assert not (tmp_path / "taken").exists()

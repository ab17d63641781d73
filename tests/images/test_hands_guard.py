import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import REPOSITORY
from hand_stand_in import HANG, KILL, KILL_ONCE, RAISE

from aslspark.data.pictures.options import PictureOptions
from aslspark.data.pictures.reading import decoder
from aslspark.images.decoding import RAW, ImageSpec, encode
from aslspark.images.hands import detector_process as module
from aslspark.images.hands.detector_process import DetectorProcess, shared_detector
from aslspark.images.hands.hand import CRASHED, TIME_LIMIT
from aslspark.images.hands.options import HandOptions

STAND_IN = "hand_stand_in:StandIn"


def picture(wish=9, side=40):
    return np.full((side, side, 3), wish, np.uint8)


def child_of(hand):
    return int(hand.world[0, 0])


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


@pytest.fixture
def guard(tmp_path):
    guard = DetectorProcess(seconds=0.5, factory=STAND_IN, arguments=(str(tmp_path),))
    yield guard
    guard.close()


def test_one_child_answers_picture_after_picture(guard):
    small, large = guard(picture()), guard(picture(200, side=1500))
    assert child_of(small) == child_of(large) != os.getpid()
    assert (small.found, small.side, large.score) == ("plain", "right", 200)


@pytest.mark.parametrize(("wish", "trouble"), [(KILL, CRASHED), (HANG, TIME_LIMIT), (RAISE, CRASHED)])
def test_a_picture_that_ends_the_detector_is_marked_and_the_next_is_answered(guard, wish, trouble):
    before = child_of(guard(picture()))
    hand = guard(picture(wish))
    assert (hand.found, hand.landmarks, hand.trouble) == (None, None, trouble)
    after = guard(picture())
    assert (after.found, after.trouble) == ("plain", None)
    assert child_of(after) != before
    assert ends(before)


def test_a_picture_is_tried_once_more_before_it_is_given_up(guard, tmp_path):
    hand = guard(picture(KILL_ONCE))
    assert (tmp_path / "died").exists()
    assert (hand.found, hand.trouble) == ("plain", None)


def test_a_detector_that_does_not_start_says_why():
    with pytest.raises(RuntimeError, match="no model file"):
        DetectorProcess(1.0, "hand_stand_in:DoesNotStart")(picture())


@pytest.mark.parametrize("last", ["idle", "hanging"])
def test_a_child_ends_with_its_parent_however_that_ends(tmp_path, last):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, numpy as np\n"
            "from aslspark.images.hands.detector_process import DetectorProcess\n"
            f"guard = DetectorProcess(1.0, {STAND_IN!r}, ({str(tmp_path)!r},))\n"
            "print(int(guard(np.full((4, 4, 3), 9, np.uint8)).world[0, 0]), flush=True)\n"
            "sys.stdin.readline()\n"
            f"print('hangs' if guard(np.full((4, 4, 3), {HANG}, np.uint8)).trouble else '', flush=True)\n",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
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


def test_a_process_keeps_its_guard_while_the_settings_stay(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "DETECTOR", STAND_IN)
    first = shared_detector(HandOptions(seconds=5.0))
    assert shared_detector(HandOptions(seconds=5.0, margin=0.5)) is first
    child = child_of(first(picture()))
    second = shared_detector(HandOptions(seconds=6.0))
    assert second is not first
    assert ends(child)


def test_pictures_that_hang_and_kill_in_spark_cost_only_themselves(spark, tmp_path):
    spark.sparkContext.addPyFile(str(REPOSITORY / "tests" / "hand_stand_in.py"))
    folder = str(tmp_path)
    wishes = [9, KILL, 9, HANG, 9, KILL, 9, 9]

    def look(batches):
        guard = DetectorProcess(0.5, STAND_IN, (folder,))
        for batch in batches:
            for row in batch.to_pylist():
                hand = guard(np.full((4, 4, 3), row["wish"], np.uint8))
                columns = [
                    pa.array([row["n"]]),
                    *(pa.array([word], pa.string()) for word in (hand.found, hand.trouble)),
                ]
                yield pa.RecordBatch.from_arrays(columns, names=["n", "found", "trouble"])
        guard.close()

    rows = spark.createDataFrame(list(enumerate(wishes)), "n long, wish long").repartition(2)
    seen = rows.mapInArrow(look, "n long, found string, trouble string").orderBy("n").collect()
    troubles = {9: None, KILL: CRASHED, HANG: TIME_LIMIT}
    assert [row["trouble"] for row in seen] == [troubles[wish] for wish in wishes]
    assert [row["found"] for row in seen] == ["plain" if wish == 9 else None for wish in wishes]


def test_a_picture_that_kills_the_detector_is_kept_whole_and_marked(monkeypatch):
    monkeypatch.setattr(module, "DETECTOR", STAND_IN)
    options = PictureOptions(form=ImageSpec(16, 16, 3), hands=HandOptions(seconds=7.0))
    contents = [encode(picture(wish), "png") for wish in (9, KILL)]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(contents), *(pa.array(["one", "two"]) for _ in range(4))],
        names=["content", "name", "label", "signer", "split"],
    )
    (made,) = decoder("set", options, "content")([batch])
    found, killed = made.to_pylist()
    assert (found["hand"]["found"], found["hand"]["trouble"]) == ("plain", None)
    assert (killed["hand"]["found"], killed["hand"]["trouble"]) == (None, CRASHED)
    assert killed["picture"]["encoding"] == RAW
    assert killed["picture"]["data"] == picture(KILL, side=16).tobytes()


@pytest.mark.promise(
    "service",
    "A detector that hangs, dies or stops reading costs the picture it was at, and is replaced.",
    kind="waiting without a limit for another process",
)
def test_a_detector_that_stops_reading_is_replaced_and_the_picture_still_answered(guard):
    stopped = child_of(guard(picture()))
    os.kill(stopped, signal.SIGSTOP)
    hand = guard(picture(side=1500))  # more than a pipe holds
    assert (hand.found, hand.trouble) == ("plain", None)
    assert child_of(hand) != stopped
    assert ends(stopped)


@pytest.mark.promise(
    "service",
    "No process that the package starts imports modules from the folder that it was started in.",
    kind="Python's working directory on the path of modules",
)
@pytest.mark.parametrize("starter", [["-c"], ["-m"]])
def test_a_detector_takes_no_module_from_the_folder_it_was_started_in(tmp_path, starter):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name in ("json", "numpy", "multiprocessing", "hand_stand_in"):
        (inbox / f"{name}.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'a').write(__name__)\n")
    code = (
        "import os, sys, numpy as np\n"
        "from aslspark.images.hands.detector_process import DetectorProcess\n"
        f"os.chdir({str(inbox)!r})\n"
        f"sys.path.insert(0, {('' if starter == ['-c'] else str(inbox))!r})\n"
        f"guard = DetectorProcess(30.0, {STAND_IN!r}, ({str(tmp_path)!r},))\n"
        "print(guard(np.full((4, 4, 3), 9, np.uint8)).found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain\n", done.stderr
    assert not (tmp_path / "taken").exists()

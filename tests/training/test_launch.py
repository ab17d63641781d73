"""Processes across Spark tasks: who they are, what is said of those that fail, who may connect, and what is left."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cloudpickle
import psutil
import pytest
from conftest import REPOSITORY
from saboteur import fork_servers, training_processes
from stacks import needs_horovods_estimators

from aslspark.common.errors import AslsparkError
from aslspark.common.spark_session import WORKER_DAEMON
from aslspark.training.launch.child import report
from aslspark.training.launch.failures import WorkerError, what_went_wrong
from aslspark.training.launch.launchers import HOROVOD, TORCH
from aslspark.training.launch.mailbox import Mailbox, TaskMail
from aslspark.training.launch.places import Place, places
from aslspark.training.launch.process import WorkerProcess
from aslspark.training.launch.run import run_workers
from aslspark.training.launch.stage import Stage
from aslspark.training.launch.store import StoreServer, ask

HERE = Path(__file__).resolve().parent


def run(function, job=None, **how):
    return run_workers(2, function, job, **{"env": {}, "on_event": print, **how})


def left():
    """What a run may leave: processes, folders, and ports that listen below this process."""
    folders = list(Path(tempfile.gettempdir()).glob("aslspark-launch-*"))
    ports = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if is_of_a_task(process):
                ports += [each.laddr for each in process.net_connections("inet") if each.status == "LISTEN"]
    return training_processes(), folders, ports


def is_of_a_task(process):
    """Spark's Python workers are children of a daemon, which has a port of its own."""
    daemons = {"pyspark.daemon", WORKER_DAEMON}
    return all(daemons & set(each.cmdline()) for each in (process, process.parent()))


NOTHING = ([], [], [])


@pytest.fixture(autouse=True, scope="module")
def faults_travel():
    """Workers cannot import the tests."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_ranks_go_host_by_host_and_cross_ranks_over_the_hosts_that_have_them():
    assert places(["a", "b", "a", "b", "b"]) == [
        Place(rank=0, size=5, local_rank=0, local_size=2, cross_rank=0, cross_size=2),
        Place(rank=2, size=5, local_rank=0, local_size=3, cross_rank=1, cross_size=2),
        Place(rank=1, size=5, local_rank=1, local_size=2, cross_rank=0, cross_size=2),
        Place(rank=3, size=5, local_rank=1, local_size=3, cross_rank=1, cross_size=2),
        Place(rank=4, size=5, local_rank=2, local_size=3, cross_rank=0, cross_size=1),
    ]


def test_horovods_own_plan_for_the_same_hosts_is_the_same():
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts

    theirs = get_host_assignments(parse_hosts("a:2,b:3"), 5)
    ours = sorted(places(["a", "b", "a", "b", "b"]))
    assert [tuple(getattr(slot, name) for name in Place._fields) for slot in theirs] == [tuple(place) for place in ours]


def test_a_process_knows_its_place_and_is_seen_by_nobody_outside_its_host(spark):
    def environment(job):
        import os

        import psutil

        own = {
            name: int(value) for name, value in os.environ.items() if name.startswith("HOROVOD_") and value.isdigit()
        }
        listening = [each for each in psutil.Process(os.getppid()).net_connections("inet") if each.status == "LISTEN"]
        return own, [each.laddr.ip for each in listening]

    for rank, (own, addresses) in enumerate(run(environment)):
        assert own["HOROVOD_RANK"] == own["HOROVOD_LOCAL_RANK"] == rank
        assert own["HOROVOD_SIZE"] == own["HOROVOD_LOCAL_SIZE"] == 2
        assert (own["HOROVOD_CROSS_RANK"], own["HOROVOD_CROSS_SIZE"]) == (0, 1)
        assert addresses == ["127.0.0.1"] * (rank == 0)
    assert left() == NOTHING


def fails(job):
    import os

    from aslspark.training.launch.child import at_work

    at_work()
    rank = int(os.environ.get("HOROVOD_RANK") or os.environ["RANK"])
    if rank == 1:
        job()
    import time

    time.sleep(60)


def raises():
    raise ValueError("the disk of this worker is on fire")


def is_killed():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def aborts():
    import os

    print("the last words of this worker")
    os.abort()


def hangs():
    import ctypes

    while True:  # as in a library that does not give the interpreter back: no thread of Python's runs
        ctypes.PyDLL(None).sleep(60)


def loses_its_task():
    import os
    import signal
    import socket
    import struct
    import time

    from aslspark.training.launch import child

    with socket.socket(fileno=os.dup(child._task.fileno())) as other_end:
        task, _, _ = struct.unpack("3i", other_end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    os.kill(task, signal.SIGKILL)
    time.sleep(60)


FORKED = ["colorsys"]


@pytest.mark.parametrize(
    ("launcher", "modules"),
    [
        pytest.param(HOROVOD, FORKED, id="horovod"),
        pytest.param(TORCH, FORKED, id="torch", marks=pytest.mark.long),
        pytest.param(HOROVOD, [], id="not forked", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize(
    ("fault", "words", "lost"),
    [
        (
            raises,
            r"^worker 1 on \S+ failed: ValueError: the disk of this worker is on fire\n(.*\n)*.* in raises",
            False,
        ),
        (is_killed, r"^worker 1 on \S+ ended with exit code 137: killed, out of memory or by hand", True),
        (aborts, r"^worker 1 on \S+ ended with exit code 134; its last words:\nthe last words of this worker", True),
        (hangs, r"^worker 1 on \S+ was not heard from for 8 s: the process hangs\n(.*\n)*.* in hangs\n", True),
        (loses_its_task, r"^worker 1 on \S+ was not heard from for \d s: its executor is lost", True),
    ],
)
def test_a_worker_that_fails_is_named_with_its_host_and_what_befell_it(launcher, modules, fault, words, lost, spark):
    with pytest.raises(WorkerError, match=words) as error:
        run(fails, fault, launcher=launcher, modules=modules)
    assert error.value.lost is lost
    assert left() == NOTHING


@pytest.mark.parametrize(("silent", "cut_off"), [(0, False), (1, True)])
def test_only_a_worker_other_than_0_may_be_cut_off_from_worker_0(silent, cut_off):
    statuses = [{"state": "working", "rank": rank, "name": "here", "beat": 9} for rank in (0, 1)]
    silences = [61.0 * (rank == silent) for rank in (0, 1)]
    error = str(what_went_wrong(statuses, silences, 60.0, ""))
    assert error.startswith(f"worker {silent} on here was not heard from for 60 s: its executor is lost or too busy")
    assert ("cut off from worker 0" in error) is cut_off


def test_an_error_of_ours_is_the_users_to_read_without_a_traceback(spark):
    def ours():
        from aslspark.common.errors import AslsparkError

        raise AslsparkError("training.epochs=0: give one or more")

    with pytest.raises(AslsparkError, match=r"^training\.epochs=0: give one or more$"):
        run(fails, ours)


def test_a_process_that_cannot_even_be_started_is_named(spark):
    with pytest.raises(WorkerError, match=r"^worker \d on \S+ failed: ValueError: embedded null byte"):
        run(lambda job: job, env={"NAME": "\0"})
    assert left() == NOTHING


def test_what_one_fit_has_imported_is_there_for_the_next_on_the_same_executor(spark):
    def place(job):
        import os
        import sys

        import numpy

        return os.getppid(), "colorsys" in sys.modules, float(numpy.random.uniform())

    fits = [run(place, modules=["numpy", "colorsys"], env={"NAME": name}) for name in ("a", "a", "b")]
    servers = [{server for server, *_ in fit} for fit in fits]
    assert servers[0] == servers[1]
    assert [len(each) for each in servers] == [1, 1, 1]
    assert servers[2] != servers[0]  # what is to be in the environment from the start on is part of it
    assert all(imported for fit in fits for _, imported, _ in fit)
    assert len({drawn for fit in fits for *_, drawn in fit}) == 6
    assert training_processes() == []
    assert {process.pid for process in fork_servers()} >= servers[0] | servers[2]


AN_EXECUTOR = """
import os, pickle, sys, time
from aslspark.training.launch.process import WorkerProcess

if os.fork() == 0:  # a task
    process = WorkerProcess({}, {}, pickle.dumps((time.sleep, 600)), ["colorsys"], lambda: None)
    while not any(kind == "alive" for kind, _ in process.messages(1.0)) or not training_processes(os.getppid()):
        pass
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_a_forked_worker_dies_with_its_task_and_what_it_was_forked_from_with_the_executor():
    script = f"from saboteur import training_processes\n{AN_EXECUTOR}"
    executor = subprocess.Popen([sys.executable, "-c", script], cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    task = int(executor.stdout.readline())
    (worker,), (server,) = training_processes(executor.pid), fork_servers(executor.pid)
    worker.suspend()  # it can do nothing about it itself
    os.kill(task, signal.SIGKILL)
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running()
    assert server.is_running()
    executor.kill()
    executor.wait()
    psutil.wait_procs([server], timeout=30)
    assert not server.is_running()


def test_a_task_goes_on_giving_signs_of_life_and_may_be_ended_while_what_imports_is_started():
    class TheEndError(Exception):
        pass

    signs, before = [], fork_servers()

    def started():
        return [server for server in fork_servers() if server not in before]

    def give_sign():
        signs.append("alive")
        for server in started():
            server.suspend()  # it would listen after one sign where it starts fast
        if len(signs) == 2:
            raise TheEndError

    try:
        with pytest.raises(TheEndError):
            WorkerProcess({}, {}, b"", ["colorsys"], give_sign)
    finally:
        for server in started():
            server.resume()
    assert training_processes() == []


def test_a_module_that_cannot_be_imported_is_told_of_by_the_worker_that_needs_it(spark):
    def fit(job):
        import no_such_module  # noqa: F401

    with pytest.raises(WorkerError, match="ModuleNotFoundError: No module named 'no_such_module'"):
        run(fit, modules=["no_such_module"])
    assert training_processes() == []


def test_tasks_that_wait_without_end_are_ended_by_spark_and_give_their_slots_back(spark, tmp_path):
    def wait_without_end(task):
        import time

        (tmp_path / f"task-{task}").touch()
        while True:
            time.sleep(0.1)

    stage = Stage(spark, 2, None, wait_without_end)
    while len(list(tmp_path.iterdir())) < 2:
        assert not stage.ended.wait(0.1)
    stage.cancel()
    assert stage.ended.wait(30)
    assert "cancel" in str(stage.error)
    answer = Stage(spark, 2, None, lambda task: (task, b"here"))
    assert answer.ended.wait(30)
    assert answer.results == {0: b"here", 1: b"here"}


def test_a_display_that_breaks_does_not_end_the_run(spark, capsys):
    def broken(event):
        raise ZeroDivisionError

    assert run(lambda job: report({"event": "said"}) or job, 7, on_event=broken) == [7, 7]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_worker_imports_nothing_from_the_folder_that_it_works_in(spark, tmp_path):
    (tmp_path / "colorsys.py").write_text("raise SystemExit('this file was put there by somebody')\n")

    def imports(job):
        import os

        os.chdir(job)
        import colorsys

        return Path(colorsys.__file__).parent == tmp_path

    assert run(imports, str(tmp_path)) == [False, False]


def test_processes_for_which_there_is_no_room_are_not_waited_for_without_end(spark, tmp_path):
    def hold_a_slot(task):
        (tmp_path / "held").touch()
        while not (tmp_path / "enough").exists():
            time.sleep(0.05)
        return task, b""

    busy = Stage(spark, 1, None, hold_a_slot)
    while not (tmp_path / "held").exists():
        assert not busy.ended.wait(0.1)
    with pytest.raises(WorkerError, match=r"did not start in time: 0 of 2 processes were heard from in 2 s") as error:
        run(lambda job: job, start_timeout=2)
    assert error.value.lost
    (tmp_path / "enough").touch()
    assert busy.ended.wait(30)
    assert run(lambda job: job, 7) == [7, 7]


@pytest.fixture
def server():
    server = StoreServer("127.0.0.1", "secret")
    server.address = f"127.0.0.1:{server.port}/secret"
    yield server
    server.close()


@pytest.mark.promise(
    "tested",
    "Who does not know a fit's secret reads nothing in the store of its ranks, and changes nothing.",
    kind="a port of a fit that takes anybody's word",
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/torch/key", "/:{port}/torch/key", "/secre:{port}/torch/key", "/secret/torch/key", ""]
)
def test_a_stranger_gets_nothing_from_the_store_and_changes_nothing(method, path, server):
    ask(server.address, server.port, "PUT", "torch/key", b"value")
    stranger = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    stranger.request(method, path.format(port=server.port), b"5")
    answer = stranger.getresponse()
    assert (answer.status, answer.read()) == (403, b"")
    assert server.values == {"torch/key": b"value"}


def test_a_stranger_who_says_nothing_or_nonsense_keeps_nobody_waiting(server):
    with (
        socket.create_connection(("127.0.0.1", server.port)),
        socket.create_connection(("127.0.0.1", server.port)) as other,
    ):
        other.sendall(f"PUT /secret:{server.port}/torch/key HTTP/1.0\r\nContent-Length: -1\r\n\r\n".encode())
        assert other.recv(100).startswith(b"HTTP/1.0 400")
        ask(server.address, server.port, "PUT", "torch/key", b"value")
        assert ask(server.address, server.port, "GET", "torch/key") == b"value"


def test_numbers_are_added_up_in_the_store_and_values_taken_away(server):
    def asked(*words):
        return ask(server.address, server.port, *words)

    assert [asked("POST", "count", b"2"), asked("POST", "count", b"3")] == [b"2", b"5"]
    assert asked("DELETE", "count") == b"5"
    assert asked("GET", "count") is None
    with pytest.raises(OSError, match="answers GET with 403"):
        ask(server.address.replace("secret", "other"), server.port, "GET", "count")


def test_a_folder_that_a_worker_does_not_see_is_named():
    with pytest.raises(AslsparkError, match=r"^/nowhere/at/all: .* that the driver and all workers share"):
        TaskMail(Path("/nowhere/at/all"), 0).tell()


def test_a_worker_is_heard_even_when_the_disk_is_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False).returncode:
        pytest.skip("no disk of our own here")
    try:
        mailbox = Mailbox(disk / "mail", 2)
        with pytest.raises(OSError, match="No space left"):
            (disk / "filling").write_bytes(bytes(2 << 20))
        mail = TaskMail(disk / "mail", 1)
        mail.tell({"event": "said"}, state="failed", traceback="x" * 9000)
        assert list(mailbox.read()) == [{"event": "said"}]
        assert mailbox.statuses[1]["traceback"] == "x" * 9000
        mailbox.end()
        assert mail.is_over()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.long
def test_ctrl_c_before_the_first_epoch_is_one_line_and_leaves_nothing(ingested, tmp_path):
    settings = ("spark.ui.enabled=false", "spark.driver.bindAddress=127.0.0.1", "spark.driver.host=127.0.0.1")
    job = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "jobs" / "train_cnn.py"), "--data", ingested, "--out", str(tmp_path / "out")],
        env={
            **os.environ,
            "PYSPARK_SUBMIT_ARGS": " ".join([*(f"--conf {each}" for each in settings), "pyspark-shell"]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # As a terminal starts it: a script in the background hands on that SIGINT is to be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    next(line for line in job.stdout if line.startswith("training on"))
    while not training_processes(job.pid):
        time.sleep(0.1)
    os.killpg(job.pid, signal.SIGINT)
    # What it was waiting for may be told of before.
    assert [line for line in job.stdout.read().splitlines() if not line.startswith("  ")] == ["error: interrupted"]
    assert job.wait() == 130
    assert list(tmp_path.iterdir()) == []
    assert left() == NOTHING


@needs_horovods_estimators
@pytest.mark.long
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_horovods_own_estimators_run_on_the_launcher(framework, spark, tmp_path):
    from horovod.spark.common.store import FilesystemStore

    from aslspark.training.launch.backend import BarrierBackend

    rows = spark.createDataFrame([(float(n % 7), float(n % 2)) for n in range(64)], ["a", "label"])
    how = {
        "backend": BarrierBackend(2),
        "store": FilesystemStore(f"file://{tmp_path}/store"),
        "feature_cols": ["a"],
        "label_cols": ["label"],
        "batch_size": 8,
        "epochs": 2,
        "verbose": 0,
    }
    if framework == "keras":
        import tensorflow as tf
        from horovod.spark.keras import KerasEstimator

        model = tf.keras.Sequential([tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)])
        estimator = KerasEstimator(model=model, optimizer=tf.keras.optimizers.SGD(0.01), loss="mse", **how)
    else:
        import torch
        from horovod.spark.torch import TorchEstimator

        model = torch.nn.Linear(1, 1)
        estimator = TorchEstimator(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
            loss=lambda output, label: torch.nn.functional.mse_loss(output, label.unsqueeze(1).float()),
            input_shapes=[[-1, 1]],
            **how,
        )
    fitted = estimator.fit(rows)
    assert len(fitted.getHistory()["loss"] if framework == "keras" else fitted.getHistory()) == 2
    assert fitted.transform(rows).count() == 64
    assert left() == NOTHING


def what_prints(application, *words):
    """The last line of an application, as JSON."""
    done = subprocess.run(
        [sys.executable, str(HERE / application), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ["PYTHONPATH"]])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
def test_with_dynamic_allocation_the_workers_find_each_other_too():
    assert what_prints("elastic_application.py") == {"horovod": [1.0, 1.0], "torch": [1.0, 1.0]}


@pytest.mark.long
def test_a_task_that_is_stopped_is_ended_and_the_fit_goes_on_though_spark_misses_no_executor(tmp_path):
    assert what_prints("slow_host_application.py", tmp_path) == [1.0, 1.0]
    assert (tmp_path / "was-stopped").exists()

"""What befalls a training run on a cluster, done to real ones at random moments, and what was lost.

spark-submit is called by this script itself: python benchmarks/studies/faults.py [--turns N] [--only FAULT ...]

Each run trains on drawn hands for a few epochs with two Horovod processes. It survived if its bundle is whole, its
history has every epoch once, and nothing is left of it: no process, no temporary folder. Results are written to
benchmarks/results/faults.json and docs/faults.md.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from aslspark.bundle.files import read_manifest
from aslspark.common.errors import AslsparkError
from benchmarks.base import RESULTS, machine
from tests.hosts import Hosts, TrainingJob, cluster_of_hosts, command_line, end

REPOSITORY = Path(__file__).resolve().parents[2]
BEFORE = RESULTS / "faults-before.json"
"""The same, when Horovod's own launcher started the workers: what is found now stands beside it."""
EPOCHS = 6
WORKER = "aslspark.training.launch.child"
FORK_SERVER = "aslspark.training.launch.fork_server"
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


@dataclass
class Found:
    """What came of one fault."""

    fault: str
    framework: str
    seed: int
    survived: bool
    epochs_lost: int
    seconds: float
    """From the fault, or from the second start where it had to be started again, to the next finished epoch."""
    said: str


@dataclass(frozen=True)
class Fault:
    """Something that happens."""

    name: str
    does: Callable[[TrainingJob, random.Random, Hosts | None, Path], None]
    on_hosts: bool = False
    resumed: bool = False
    """The job ends by it, and is begun again with --resume."""
    after: Callable[[Path], None] = lambda out: None
    """Between the two."""
    on_small_disk: bool = False


def workers() -> list[psutil.Process]:
    """List one process for each rank."""
    servers = {each.pid for each in psutil.process_iter() if FORK_SERVER in command_line(each)}
    return [each for each in psutil.process_iter() if WORKER in command_line(each) or (each.ppid() in servers)]


def kill_a_worker(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """SIGKILL, as the system does when memory runs out."""
    lot.choice(workers()).send_signal(signal.SIGKILL)


def stop_a_worker(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """SIGSTOP: it hangs and says nothing."""
    lot.choice(workers()).send_signal(signal.SIGSTOP)


def raise_in_a_worker(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """SIGINT, which is a Python exception wherever the process is."""
    lot.choice(workers()).send_signal(signal.SIGINT)


def kill_an_executor(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """SIGKILL to a Java process that holds a worker."""
    executors = [
        each for each in psutil.process_iter() if EXECUTOR in command_line(each) and "java" in command_line(each)[:200]
    ]
    lot.choice(executors).send_signal(signal.SIGKILL)


def cut_off_a_host(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """Pull its plug."""
    assert hosts is not None
    hosts.cut_off(lot.choice(hosts.workers))


def kill_the_driver(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """SIGKILL to Spark's driver, Java and Python."""
    end(job.process.pid)


def press_ctrl_c(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """SIGINT to the whole foreground, as a terminal sends it."""
    os.killpg(job.process.pid, signal.SIGINT)


def fill_the_disk(job: TrainingJob, lot: random.Random, hosts: Hosts | None, out: Path) -> None:
    """Leave no room where checkpoints are written."""
    with contextlib.suppress(OSError), (out.parent / "filling").open("wb") as file:  # the job may have filled it itself
        while True:
            file.write(bytes(1 << 16))
            file.flush()


def cut_the_latest_short(out: Path) -> None:
    """Leave half of the last checkpoint, as a disk may after a power cut."""
    latest = max(out.with_name(f"{out.name}.unfinished").glob("checkpoints/epoch-*.npz"))
    with latest.open("r+b") as file:
        file.truncate(latest.stat().st_size // 2)


def make_room(out: Path) -> None:
    """Undo `fill_the_disk`."""
    (out.parent / "filling").unlink(missing_ok=True)


FAULTS = (
    Fault("a worker is killed", kill_a_worker),
    Fault("a worker hangs", stop_a_worker),
    Fault("a worker raises an error", raise_in_a_worker),
    Fault("an executor is killed", kill_an_executor, on_hosts=True),
    Fault("a host is cut off", cut_off_a_host, on_hosts=True),
    Fault("the driver is killed, then --resume", kill_the_driver, resumed=True),
    Fault("Ctrl-C, then --resume", press_ctrl_c, resumed=True),
    Fault("the last checkpoint is cut short, then --resume", kill_the_driver, resumed=True, after=cut_the_latest_short),
    Fault("the disk is full, then --resume", fill_the_disk, resumed=True, after=make_room, on_small_disk=True),
)


def inject(fault: Fault, framework: str, seed: int, table: str, package: str, folder: Path) -> Found:
    """Train, let it happen, and look at what came of it."""
    lot = random.Random(f"{fault.name} {seed}")
    folder.mkdir()
    with ExitStack() as stack:
        if fault.on_small_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(folder)], check=True)
            stack.callback(subprocess.run, ["umount", "-l", str(folder)])
        out = folder / "bundle"
        words = ["--data", table, "--out", str(out), "--framework", framework, "--epochs", str(EPOCHS)]
        words += ["--set", "training.batch_size=8", "augment.on=true"]
        hosts, master = None, "local[2]"
        if fault.on_hosts:
            hosts, master = stack.enter_context(cluster_of_hosts(Path(tempfile.mkdtemp(prefix="hosts-", dir="/tmp"))))
        before = _temporary()
        job = TrainingJob(words, hosts, master, package)
        # Anywhere from the first epoch's end on: earlier there is nothing yet that could be lost.
        alive = job.wait_for_epochs(lot.randint(1, EPOCHS - 2))
        time.sleep(lot.uniform(0, 0.5))
        done = max((number for _, number in job.epochs()), default=0)
        at = time.monotonic()
        if alive:
            fault.does(job, lot, hosts, out)
        code = job.wait()
        text = job.text
        if fault.resumed:
            done = max((number for _, number in job.epochs()), default=0)
            fault.after(out)
            at = time.monotonic()
            job = TrainingJob([*words, "--resume"], hosts, master, package)
            code = job.wait()
            text += job.text
        went_on = [int(number) for number in re.findall(r"going on after epoch (\d+)", text)]
        again = [when for when, _ in job.epochs(since=at)]
        left = sorted(_temporary() - before)
        survived = code == 0 and _is_whole(out) and not left and not out.with_name("bundle.unfinished").exists()
        said = next((line for line in text.splitlines() if re.match(r"worker \d|error:", line)), "")
        if not survived:
            print(text[-3000:], f"\nleft: {left}", file=sys.stderr)
        lost = max(done - went_on[0], 0) if went_on else 0
        return Found(fault.name, framework, seed, survived, lost, (again[0] - at) if again else 0.0, said[:160])


def _is_whole(out: Path) -> bool:
    try:
        read_manifest(str(out))
    except AslsparkError:
        return False
    with (out / "history.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, EPOCHS + 1))


def _temporary() -> set[str]:
    """List what is ours in the temporary folder, and workers that run: nothing else of ours may be at work."""
    folders = {path.name for path in Path(tempfile.gettempdir()).glob("aslspark-*")}
    folders = {name for name in folders if not name.startswith("aslspark-tests-")}  # of tests that run beside it
    return folders | {f"process {each.pid}" for each in workers()}


def page(found: Sequence[Found]) -> str:
    """Write the table."""
    about = machine()
    lines = [
        "# What befell training runs, and what they lost",
        "",
        f"Each line: real runs of `spark-submit jobs/train_cnn.py`, Keras and torch by turns, {EPOCHS} epochs, two "
        f"Horovod processes, on {about['cores']} cores ({about['cpu']}); the moment is drawn from a seed. Made by "
        "`python benchmarks/studies/faults.py`. A run survived if its bundle is whole, its history has every epoch "
        "once, and no process and no temporary folder of it is left. The epoch that is under way is trained again in "
        "any case; those counted as lost were finished.",
        "",
        "| fault | injected | survived | epochs lost, at most | seconds to the next epoch, median | most | median when "
        "`horovod.spark.run` started the workers |",
        "|---|---|---|---|---|---|---|",
    ]
    before = [Found(**each) for each in json.loads(BEFORE.read_text())["found"]]
    for fault in FAULTS:
        these = [each for each in found if each.fault == fault.name]
        if these:
            seconds = [each.seconds for each in these]
            then = statistics.median(each.seconds for each in before if each.fault == fault.name)
            lines.append(
                f"| {fault.name} | {len(these)} | {sum(each.survived for each in these)} | "
                f"{max(each.epochs_lost for each in these)} | {statistics.median(seconds):.0f} | {max(seconds):.0f} | "
                f"{then:.0f} |"
            )
    lines += ["", "What was said:", ""]
    lines += sorted({f"- {each.fault}: `{each.said}`" for each in found if each.said and each.seed == 0})
    return "\n".join(lines) + "\n"


def main() -> None:
    """Do all of them, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=4, metavar="N", help="of each fault (default 4)")
    parser.add_argument("--only", nargs="+", default=[], metavar="FAULT", help="words of their names")
    options = parser.parse_args()
    from aslspark.common.spark_session import spark_session
    from aslspark.data.ingest import ingest_sources
    from aslspark.data.splits import SplitOptions
    from aslspark.data.synthetic import drawn_samples

    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    package = shutil.make_archive(str(folder / "aslspark"), "zip", REPOSITORY, "aslspark")
    file = RESULTS / "faults.json"
    found: list[Found] = []
    try:
        with spark_session("aslspark faults") as spark:
            hands = drawn_samples(spark, count=1440, seed=3, signers=6).persist()
            ingest_sources(spark, [hands], str(folder / "table"), split=SplitOptions(kind="signer"))
        for fault in FAULTS:
            if options.only and not any(word in fault.name for word in options.only):
                continue
            for seed in range(options.turns):
                framework = ("torch", "keras")[seed % 2]
                one = inject(fault, framework, seed, str(folder / "table"), package, folder / f"run-{len(found)}")
                found.append(one)
                print(one, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    earlier: list[dict[str, Any]] = json.loads(file.read_text())["found"] if file.exists() and options.only else []
    names = {each.fault for each in found}
    found = [Found(**each) for each in earlier if each["fault"] not in names] + found
    file.write_text(json.dumps({"machine": machine(), "found": [asdict(each) for each in found]}, indent=1) + "\n")
    (REPOSITORY / "docs" / "faults.md").write_text(page(found))


if __name__ == "__main__":
    main()

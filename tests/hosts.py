"""Several hosts on one machine: network namespaces with addresses of their own, a Spark cluster, a training job.

For tests and `benchmarks/studies/faults.py`. Needs root and Debian's iproute2. Nothing outside of the namespaces is
reached or changed but `/etc/netns`, where `ip netns exec` looks for a namespace's own hosts file; all of it is taken
away at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
DRIVER = "driver"
FEW_SECONDS = (
    "spark.network.timeout=20s",
    "spark.network.timeoutInterval=5s",
    "spark.executor.heartbeatInterval=4s",
)
"""Spark gives up an executor that is silent for `spark.network.timeout`; until then its slots are counted."""


class Hosts:
    """Hosts named driver, worker0, worker1 ... on one wire, 10.201.0.1, .2, .3 ...

    Parameters
    ----------
    workers : int
    """

    def __init__(self, workers: int) -> None:
        self._id = uuid.uuid4().hex[:6]
        self.workers = [f"worker{n}" for n in range(workers)]
        self.names = [DRIVER, *self.workers]
        self._switch = f"asl{self._id}sw"

    def address(self, host: str) -> str:
        """Return a host's address."""
        return f"10.201.0.{self.names.index(host) + 1}"

    def space(self, host: str) -> str:
        """Return the name of a host's network namespace."""
        return f"asl{self._id}{host}"

    def command(self, host: str, words: Sequence[str]) -> list[str]:
        """Return the command that runs another on a host, under that host's name."""
        named = 'hostname "$0" && exec "$@"'
        return ["ip", "netns", "exec", self.space(host), "unshare", "--uts", "sh", "-c", named, host, *words]

    def cut_off(self, host: str) -> None:
        """Pull the plug of a host's wire: nothing that it sends arrives, and nobody is told."""
        _ip("-n", self._switch, "link", "set", f"to{host}", "down")

    def up(self) -> None:
        """Make the namespaces and their wires."""
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "wire", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "wire", "up")
        table = "127.0.0.1 localhost\n" + "".join(f"{self.address(host)} {host}\n" for host in self.names)
        for host in self.names:
            space = self.space(host)
            _ip("netns", "add", space)
            _ip("-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", f"to{host}", "netns", self._switch)
            _ip("-n", self._switch, "link", "set", f"to{host}", "master", "wire", "up")
            _ip("-n", space, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", space, "link", "set", "eth0", "up")
            own = Path("/etc/netns") / space
            own.mkdir(parents=True)
            (own / "hosts").write_text(table)

    def down(self) -> None:
        """Take them away."""
        for space in [*map(self.space, self.names), self._switch]:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)
            shutil.rmtree(Path("/etc/netns") / space, ignore_errors=True)


@contextmanager
def cluster_of_hosts(folder: Path, workers: int = 2, cores: int = 1) -> Iterator[tuple[Hosts, str]]:
    """Give hosts with a standalone cluster: the master on the driver's host, a worker on each of the others.

    Parameters
    ----------
    folder : Path
        For logs and the workers' scratch.
    workers, cores : int

    Yields
    ------
    Hosts and str
        And the master's URL.

    Raises
    ------
    PermissionError
        Where namespaces may not be made here.
    """
    import pyspark

    home = Path(pyspark.__file__).parent
    hosts = Hosts(workers)
    daemons: list[subprocess.Popen[bytes]] = []

    def start(host: str, kind: str, *words: str) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SPARK_CONF_DIR")},
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": hosts.address(host),
            "PYSPARK_PYTHON": sys.executable,
        }
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind.lower()}.{kind}", *words]
        log = (folder / f"{host}.log").open("w")
        daemons.append(
            subprocess.Popen(
                hosts.command(host, command), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        )

    folder.mkdir(parents=True, exist_ok=True)
    try:
        hosts.up()
        master = f"spark://{hosts.address(DRIVER)}:7077"
        start(DRIVER, "Master", "--host", hosts.address(DRIVER), "--port", "7077", "--webui-port", "0")
        for host in hosts.workers:
            words = ("--cores", str(cores), "--memory", "2g", "--host", hosts.address(host), "--webui-port", "0")
            start(host, "Worker", *words, "--work-dir", str(folder / host), master)
        yield hosts, master
    finally:
        for daemon in daemons:
            end(daemon.pid)
            daemon.wait(timeout=60)
        hosts.down()


class TrainingJob:
    """A training job in processes of its own, its output heard line by line."""

    def __init__(
        self, words: Sequence[str], hosts: Hosts | None = None, master: str = "local[2]", package: str = ""
    ) -> None:
        settings = ["spark.ui.enabled=false", "spark.driver.memory=1g", "spark.executor.memory=1g"]
        address = "127.0.0.1" if hosts is None else hosts.address(DRIVER)
        settings += [f"spark.driver.bindAddress={address}", f"spark.driver.host={address}"]
        if hosts is not None:
            settings += [*FEW_SECONDS, "spark.cores.max=2", "spark.scheduler.minRegisteredResourcesRatio=1.0"]
            settings.append(f"spark.submit.pyFiles={package}")  # its hosts share no PYTHONPATH
        confs = [word for setting in settings for word in ("--conf", setting)]
        submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", master, *confs]
        command = [*submit, str(REPOSITORY / "jobs" / "train_cnn.py"), *words]
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": address,
        }
        environment.pop("SPARK_CONF_DIR", None)
        self.process = subprocess.Popen(
            command if hosts is None else hosts.command(DRIVER, command),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # As a terminal starts it: a script in the background hands on that SIGINT is to be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # type: ignore[arg-type,return-value]
        )
        self.lines: list[tuple[float, str]] = []
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._heard:
                self.lines.append((time.monotonic(), line.rstrip()))
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def epochs(self, since: float = 0.0) -> list[tuple[float, int]]:
        """List when each epoch was done."""
        found = [(at, re.match(r"epoch +(\d+)/", line)) for at, line in self.lines if at > since]
        return [(at, int(match[1])) for at, match in found if match]

    def wait_for_epochs(self, number: int) -> bool:
        """Wait until so many are done; say whether the job still runs."""
        with self._heard:
            self._heard.wait_for(lambda: len(self.epochs()) >= number or not self._thread.is_alive(), timeout=300)
        return self._thread.is_alive()

    def wait(self, seconds: float = 400) -> int:
        """Wait for the end."""
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            end(self.process.pid)
            code = self.process.wait()
        self._thread.join(timeout=30)
        return code

    @property
    def text(self) -> str:
        """Return all that was said."""
        return "\n".join(line for _, line in self.lines)


def command_line(process: psutil.Process) -> str:
    """Return what a process was started with; nothing for one that has ended."""
    try:
        return " ".join(process.cmdline()) if process.status() != psutil.STATUS_ZOMBIE else ""
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def end(pid: int, sign: signal.Signals = signal.SIGKILL) -> None:
    """End a process and all below it."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    for each in [*process.children(recursive=True), process]:
        try:
            each.send_signal(sign)
        except psutil.NoSuchProcess:
            continue


def _ip(*words: str) -> None:
    found = subprocess.run(["ip", *words], capture_output=True, text=True)
    if found.returncode:
        raise PermissionError(f"ip {' '.join(words)}: {found.stderr.strip()}")

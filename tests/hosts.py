"""Several hosts on one machine: network namespaces with addresses of their own, and a standalone Spark cluster on them.

For tests and `benchmarks/studies/faults.py`. Needs root and Debian's iproute2. Nothing outside of the namespaces is
reached or changed but `/etc/netns`, where `ip netns exec` looks for a namespace's own hosts file; all of it is taken
away at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

DRIVER = "driver"


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

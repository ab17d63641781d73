"""`aslspark doctor`: what the jobs and the service need, whether it is here, and what to do where it is not."""

from __future__ import annotations

import argparse
import os
import platform
import pwd
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from aslspark.common.child_process import module_command

OK, HINT, MISSING = "ok", "note", "missing"
LEAST_MEMORY = 4.0
"""GiB: Spark's driver takes two, two training processes one."""
PACKAGES = {
    "onnxruntime": "pip install aslspark",
    "pyspark": "pip install aslspark[spark]; a cluster brings its own",
    "torch": "for training with torch: pip install aslspark[torch]",
    "tensorflow-cpu tensorflow": "for training with Keras: pip install aslspark[tensorflow]",
    "mediapipe": "for finding hands: pip install aslspark[hands]",
    "fastapi": "for the service: pip install aslspark[serve]",
}


class Finding(NamedTuple):
    """One line of the report."""

    state: str
    what: str
    found: str
    do: str = ""


def main(argv: Sequence[str]) -> None:
    """Print the report; the exit code is 1 where something is missing that every job needs."""
    argparse.ArgumentParser(
        prog="aslspark doctor", description="Look whether this machine has what the jobs and the service need."
    ).parse_args(argv)
    found = [finding for check in CHECKS for finding in check()]
    for finding in found:
        print(f"{finding.state:<8}{finding.what:<13}{finding.found}")
        if finding.do and finding.state != OK:
            print(f"{'':<21}-> {finding.do}")
    if any(finding.state == MISSING for finding in found):
        sys.exit(1)


def _python() -> list[Finding]:
    version = platform.python_version()
    fine = (3, 10) <= sys.version_info[:2] < (3, 12)
    state = OK if fine else HINT
    found = [Finding(state, "Python", f"{version} ({sys.executable})", "use 3.10 or 3.11: TensorFlow 2.15 ends there")]
    workers = os.environ.get("PYSPARK_PYTHON")
    if workers and shutil.which(workers) is None:
        found.append(Finding(MISSING, "PYSPARK_PYTHON", workers, "there is no such program; unset it, or correct it"))
    return found


def _java() -> list[Finding]:
    do = "install Java 17 (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME"
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    said = _said([java, "-version"]) if java else None
    if said is None:
        return [Finding(MISSING, "Java", f"none{f' in JAVA_HOME={home}' if home else ''}", do)]
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    number = int(match[1]) if match else 0
    return [
        Finding(
            OK if number in (8, 11, 17) else MISSING,
            "Java",
            f"{number} ({java})",
            f"Spark 3.5 does not run on it; {do}",
        )
    ]


def _locale() -> list[Finding]:
    """Ask Java itself: a locale that is named but not installed is as good as none."""
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    said = _said([java, "-XshowSettings:properties", "-version"], _started_with()) if java else None
    match = re.search(r"sun\.jnu\.encoding = (\S+)", said or "")
    if match is None:
        return []
    do = "Spark opens no table, folder or bundle whose name has other letters: set LC_ALL=C.UTF-8 before spark-submit"
    state = OK if match[1].upper() == "UTF-8" else HINT
    return [Finding(state, "locale", f"Java spells names of files in {match[1]}", do)]


def _started_with() -> dict[str, str]:
    """Return the environment that this process was started with: Python itself sets LC_CTYPE where there is none."""
    try:
        words = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    before = dict(os.fsdecode(word).split("=", 1) for word in words if b"=" in word)
    locale = {name: before[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if name in before}
    return {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "LC_CTYPE", "LANG")} | locale


def _host() -> list[Finding]:
    name = socket.gethostname()
    try:
        return [Finding(OK, "host name", f"{name} is {socket.gethostbyname(name)}")]
    except OSError:
        do = f"Spark starts only if it resolves: add '127.0.0.1 {name}' to /etc/hosts, or set SPARK_LOCAL_IP=127.0.0.1"
        return [Finding(MISSING, "host name", f"{name} does not resolve", do)]


def _user() -> list[Finding]:
    number = os.getuid()
    try:
        return [Finding(OK, "user", f"{pwd.getpwuid(number).pw_name} ({number})")]
    except KeyError:
        do = "Spark's Hadoop needs a name: add a line for it to /etc/passwd, or run as a user that has one"
        return [Finding(MISSING, "user", f"{number} has no name", do)]


def _memory() -> list[Finding]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return [Finding(HINT, "memory", "not known on this system")]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 2**20 for line in lines if line.endswith("kB")}
    free = sizes["MemAvailable"]
    do = "end other programs, or lower spark.driver.memory and training.num_proc"
    return [
        Finding(
            OK if free >= LEAST_MEMORY else HINT, "memory", f"{free:.1f} of {sizes['MemTotal']:.1f} GiB are free", do
        )
    ]


def _packages() -> list[Finding]:
    found = []
    for names, do in PACKAGES.items():
        versions = [f"{name} {version}" for name in names.split() if (version := _version(name))]
        state = OK if versions else MISSING if names == "onnxruntime" else HINT
        found.append(Finding(state, "package", versions[0] if versions else f"no {names.split()[-1]}", do))
    return found


def _horovod() -> list[Finding]:
    version = _version("horovod")
    if version is None:
        return [
            Finding(
                HINT,
                "Horovod",
                "none",
                "for training: make env builds one; or train torch networks with --launcher torch_distributor",
            )
        ]
    said = _said(module_command("horovod.runner.launch", "--check-build")) or ""
    parts = re.findall(r"\[X\] (\S+)", said)
    do = "build it again beside the frameworks: remove its environment and run make env"
    fine = "Gloo" in parts and {"TensorFlow", "PyTorch"} & set(parts)
    return [
        Finding(
            OK if fine else MISSING,
            "Horovod",
            f"{version}, built with {', '.join(dict.fromkeys(parts)) or 'nothing'}",
            do,
        )
    ]


def _gpus() -> list[Finding]:
    said = _said(["nvidia-smi", "--list-gpus"]) if shutil.which("nvidia-smi") else None
    gpus = [line for line in (said or "").splitlines() if line.startswith("GPU ")]
    if not gpus:
        return [Finding(OK, "GPUs", "none; the CPU does all")]
    names = ", ".join(re.sub(r" \(UUID.*", "", line) for line in gpus)
    return [Finding(OK, "GPUs", f"{names} (make train GPU=1 uses {'it' if len(gpus) == 1 else 'them'})")]


def _slots() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{cores} cores: local[*] runs {cores} tasks at once, training.num_proc may be 1 to {cores}"
    return [Finding(OK if cores > 1 else HINT, "slots", found, "training.num_proc=1 is all that fits")]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    _python,
    _java,
    _host,
    _user,
    _locale,
    _memory,
    _slots,
    _gpus,
    _packages,
    _horovod,
)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _said(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str | None:
    """Return what a program says, None where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None

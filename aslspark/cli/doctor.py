"""`aslspark doctor`: checks that this machine has what the jobs and the service need, and says what to do where not."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from aslspark.cli.jobs_support import add_json_option, print_result
from aslspark.common.child_process import isolated_command, module_command
from aslspark.common.command_line import ArgumentParser
from aslspark.common.progress import doing
from aslspark.common.redaction import say
from aslspark.images.hands.networks import NETWORK_FILES, find_networks, network_folders

OK, HINT, MISSING = "ok", "note", "missing"
GIB = 2**30
WORKER_MEMORY, LEAST_DISK, LEAST_SHARED = 1.0, 5.0, 0.25
"""GiB: a training process beside Spark's driver takes; free in the temporary folder; free in /dev/shm (64 MiB in
containers, unless they are told otherwise)."""
IMPORT_SECONDS = 120.0
"""The time limit of one part: TensorFlow takes ten from a cold disk."""
_BUSY = "takes long on a busy machine or a cold disk: look again"


class Part(NamedTuple):
    """What one part of aslspark imports, besides what all parts import."""

    distributions: tuple[str, ...]
    """Each of them provides the first module."""
    modules: tuple[str, ...]
    remedy: str
    """What to do where it is not installed, or cannot be imported."""


PARTS = (
    Part(
        ("onnxruntime",),
        ("numpy", "pandas", "pyarrow", "PIL.Image", "yaml", "scipy", "sklearn.metrics", "matplotlib", "onnxruntime"),
        "pip install aslspark",
    ),
    Part(("pyspark",), ("pyspark.sql", "pyspark.ml"), "pip install aslspark[spark]; a cluster brings its own"),
    Part(
        ("torch",),
        ("torch", "aslspark.models.torchvision_ops", "safetensors.torch", "onnx"),
        "for training with torch: pip install aslspark[torch]",
    ),
    Part(
        ("tensorflow-cpu", "tensorflow"),
        ("tensorflow", "h5py", "onnx", "tf2onnx"),
        "for training with Keras: pip install aslspark[tensorflow]",
    ),
    Part(
        ("fastapi",),
        ("fastapi", "uvicorn", "websockets", "multipart", "prometheus_client"),
        "for the service: pip install aslspark[serve]",
    ),
    Part(("optuna",), ("sqlalchemy", "optuna"), "for searching settings: pip install aslspark[tune]"),
    Part(("mlflow-skinny", "mlflow"), ("mlflow",), "for tracking: pip install aslspark[mlflow]"),
)
# Prints each name before the import, so that the last line names what crashed.
_IMPORT = "from importlib import import_module\nfor name in sys.argv[1:]: print(name, flush=True); import_module(name)"


class Finding(NamedTuple):
    """One line of the report."""

    state: str
    subject: str
    detail: str
    remedy: str = ""


def main(argv: Sequence[str]) -> None:
    """Print the report; the exit code is 1 where something is missing that every job needs."""
    parser = ArgumentParser(
        prog="aslspark doctor", description="Look whether this machine has what the jobs and the service need."
    )
    add_json_option(parser)
    options = parser.parse_args(argv)
    findings = []
    for check in CHECKS:
        for finding in check():
            needed = finding if finding.state != OK else finding._replace(remedy="")
            say(f"{needed.state:<8}{needed.subject:<13}{needed.detail}")
            if needed.remedy:
                say(f"{'':<21}-> {needed.remedy}")
            findings.append(needed._asdict())
    print_result(options, {"findings": findings})
    if any(finding["state"] == MISSING for finding in findings):
        sys.exit(1)


def _python() -> list[Finding]:
    version = platform.python_version()
    state = OK if (3, 11) <= sys.version_info[:2] < (3, 14) else HINT
    findings = [Finding(state, "Python", f"{version} ({sys.executable})", "use 3.11, 3.12 or 3.13: no other was tried")]
    workers = os.environ.get("PYSPARK_PYTHON")
    if workers and shutil.which(workers) is None:
        findings.append(
            Finding(MISSING, "PYSPARK_PYTHON", workers, "there is no such program; unset it, or correct it")
        )
    return findings


def _java() -> list[Finding]:
    remedy = "install Java 17 (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME"
    home, java = _java_program()
    output = _output_of([java, "-version"]) if java else None
    if output is None:
        return [Finding(MISSING, "Java", f"none{f' in JAVA_HOME={home}' if home else ''}", remedy)]
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    number = int(match[1]) if match else 0
    spark = _version("pyspark") or "4"
    runs_on = (8, 11, 17) if spark.startswith("3.") else (17, 21)
    state = OK if number in runs_on else MISSING
    return [Finding(state, "Java", f"{number} ({java})", f"Spark {spark} does not run on it; {remedy}")]


def _java_program() -> tuple[str | None, str | None]:
    """Return JAVA_HOME, and the Java that Spark starts."""
    home = os.environ.get("JAVA_HOME")
    return home, os.path.join(home, "bin", "java") if home else shutil.which("java")


def _locale() -> list[Finding]:
    """Ask Java itself, since a locale that is set may not be installed."""
    _, java = _java_program()
    output = _output_of([java, "-XshowSettings:properties", "-version"], _started_with()) if java else None
    match = re.search(r"sun\.jnu\.encoding = (\S+)", output or "")
    if match is None:
        return []
    remedy = (
        "Spark opens no table, folder or bundle whose name has other letters: set LC_ALL=C.UTF-8 before spark-submit"
    )
    state = OK if match[1].upper() == "UTF-8" else HINT
    return [Finding(state, "locale", f"Java spells names of files in {match[1]}", remedy)]


def _started_with() -> dict[str, str]:
    """Return the environment with the locale of before Python started, which sets LC_CTYPE where it is unset."""
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    before = dict(os.fsdecode(entry).split("=", 1) for entry in entries if b"=" in entry)
    locale = {name: before[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if name in before}
    return {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "LC_CTYPE", "LANG")} | locale


def _host() -> list[Finding]:
    name = socket.gethostname()
    try:
        return [Finding(OK, "host name", f"{name} is {socket.gethostbyname(name)}")]
    except OSError:
        remedy = (
            f"Spark starts only if it resolves: add '127.0.0.1 {name}' to /etc/hosts, or set SPARK_LOCAL_IP=127.0.0.1"
        )
        return [Finding(MISSING, "host name", f"{name} does not resolve", remedy)]


def _user() -> list[Finding]:
    number = os.getuid()
    try:
        return [Finding(OK, "user", f"{pwd.getpwuid(number).pw_name} ({number})")]
    except KeyError:
        remedy = "Spark's Hadoop needs a name: add a line for it to /etc/passwd, or run as a user that has one"
        return [Finding(MISSING, "user", f"{number} has no name", remedy)]


def _memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> list[Finding]:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return [Finding(HINT, "memory", "not known on this system")]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
    free, whole, where = sizes["MemAvailable"], sizes["MemTotal"], "are free"
    for limit, left in _memory_limits(proc, cgroups):
        if limit < whole:
            free, whole, where = min(free, left), limit, "that this container may use are free"
    driver, named_in = _driver_memory()
    needed = driver + WORKER_MEMORY
    asked_for = f"spark.driver.memory={driver:g}g and a worker take {needed:g}"
    detail = f"{free / GIB:.1f} of {whole / GIB:.1f} GiB {where}; {asked_for}"
    fits = int(free / GIB - WORKER_MEMORY)
    lower = (
        f"set spark.driver.memory={fits}g in {named_in}" if fits >= 1 else f"lower spark.driver.memory in {named_in}"
    )
    remedy = f"what takes more is killed: end other programs, or give {needed:g} GiB, or {lower}"
    return [Finding(OK if free >= needed * GIB else HINT, "memory", detail, remedy)]


def _memory_limits(proc: Path, cgroups: Path) -> list[tuple[int, int]]:
    """List the limit of each memory cgroup (version 1 or 2) of this process, and what is left of it, in bytes."""
    try:
        groups = [line.split(":", 2) for line in (proc / "self" / "cgroup").read_text().splitlines()]
    except OSError:
        groups = []
    folders: list[tuple[Path, str, str, str]] = []
    for _, controllers, path in groups:
        if "memory" in controllers.split(","):
            top, names = cgroups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        elif not controllers:
            top, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        else:
            continue
        below = Path(path.strip("/"))
        # Inside a container the path may be the host's, while the cgroup itself is mounted at the top.
        folders += [(top / part, *names) for part in (below, *below.parents)]
    limits = []
    for folder, limit, usage, cached in folders:
        try:
            bytes_of = {name: int((folder / name).read_text()) for name in (limit, usage)}
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such group, or the limit is "max"
            continue
        # The kernel drops cached files where memory is needed.
        limits.append((bytes_of[limit], bytes_of[limit] - bytes_of[usage] + int(stat.get(cached, 0))))
    return limits


def _driver_memory() -> tuple[float, Path]:
    """Return the driver's memory in GiB as spark-defaults.conf sets it, and the path of that file."""
    beside = Path(__file__).resolve().parents[2] / "conf"
    folder = Path(os.environ.get("SPARK_CONF_DIR") or (beside if beside.is_dir() else "conf"))
    file = folder / "spark-defaults.conf"
    try:
        match = re.search(r"^\s*spark\.driver\.memory[\s=]+(\d+)([kmgt]?)b?\s*$", file.read_text(), re.MULTILINE | re.I)
    except OSError:
        match = None
    if match is None:
        return 1.0, file  # Spark's default
    return int(match[1]) * {"k": 2**-20, "": 2**-10, "m": 2**-10, "g": 1.0, "t": 2.0**10}[match[2].lower()], file


def _disk(shared: Path = Path("/dev/shm")) -> list[Finding]:
    folders = [os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0], tempfile.gettempdir()]
    findings = []
    for folder in dict.fromkeys(filter(None, folders)):
        free = _free(Path(folder))
        remedy = "Spark spills there, and zips are unpacked: set SPARK_LOCAL_DIRS and TMPDIR to a folder with more room"
        detail = "cannot be looked at" if free is None else f"{free:.1f} GiB are free"
        findings.append(Finding(OK if free and free >= LEAST_DISK else HINT, "disk", f"{detail} in {folder}", remedy))
    if (free := _free(shared)) is not None:
        remedy = "GPU workers on one machine share memory there: start the container with --shm-size=1g"
        findings.append(
            Finding(OK if free >= LEAST_SHARED else HINT, "shared", f"{free:.1f} GiB are free in {shared}", remedy)
        )
    return findings


def _free(folder: Path) -> float | None:
    try:
        return shutil.disk_usage(folder).free / GIB
    except OSError:
        return None


def _packages(parts: Sequence[Part] = PARTS) -> Iterator[Finding]:
    # In parallel, since most of the time is spent waiting for the disk.
    with doing("importing the packages"), ThreadPoolExecutor(2) as pool:
        yield from pool.map(_package, parts)


def _package(part: Part) -> Finding:
    is_required = part is PARTS[0]
    versions = [f"{name} {version}" for name in part.distributions if (version := _version(name))]
    if not versions:
        return Finding(MISSING if is_required else HINT, "package", f"no {part.distributions[-1]}", part.remedy)
    error = _import_error(part.modules)
    if error is None:
        return Finding(OK, "package", versions[0])
    remedy = f"importing it {_BUSY}; else {part.remedy}" if error.endswith(_no_end()) else part.remedy
    return Finding(MISSING if is_required else HINT, "package", f"{versions[0]} does not import: {error}", remedy)


def _no_end() -> str:
    return f"no end after {IMPORT_SECONDS:g} s"


def _import_error(modules: Sequence[str]) -> str | None:
    """Import modules in another process, so that a library that crashes or hangs costs one line; None: no error."""
    command = isolated_command(_IMPORT, *modules)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=IMPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        return f"{_last(error.stdout)}: {_no_end()}"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"{_last(done.stdout)}: ended by signal {-done.returncode} ({signal.strsignal(-done.returncode)})"
    return f"{_last(done.stdout)}: {_last(done.stderr) or f'ended with {done.returncode}'}"


def _last(output: str | bytes | None) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _hand_networks() -> list[Finding]:
    if found := find_networks():
        return [Finding(OK, "hands", f"{' and '.join(NETWORK_FILES)} in {found[0]}")]
    remedy = "for finding hands where no bundle brings them: aslspark fetch hand-models"
    return [Finding(HINT, "hands", f"no networks in {' or '.join(map(str, network_folders()))}", remedy)]


def _horovod() -> list[Finding]:
    version = _version("horovod")
    if version is None:
        return [
            Finding(
                HINT,
                "Horovod",
                "none",
                "for training: make env builds one; or train torch networks with --launcher torch",
            )
        ]
    with doing("asking Horovod what it was built with"):
        output = _output_of(module_command("horovod.runner.launch", "--check-build"), seconds=IMPORT_SECONDS)
    if output is None:
        detail = f"{version}, which did not say in {IMPORT_SECONDS:g} s how it was built"
        return [Finding(HINT, "Horovod", detail, f"it imports both frameworks, which {_BUSY}")]
    parts = re.findall(r"\[X\] (\S+)", output)
    remedy = "build it again beside the frameworks: remove its environment and run make env"
    is_usable = "Gloo" in parts and {"TensorFlow", "PyTorch"} & set(parts)
    return [
        Finding(
            OK if is_usable else MISSING,
            "Horovod",
            f"{version}, built with {', '.join(dict.fromkeys(parts)) or 'nothing'}",
            remedy,
        )
    ]


def _gpus() -> list[Finding]:
    output = _output_of(["nvidia-smi", "--list-gpus"]) if shutil.which("nvidia-smi") else None
    gpus = [line for line in (output or "").splitlines() if line.startswith("GPU ")]
    if not gpus:
        return [Finding(OK, "GPUs", "none; the CPU does all")]
    names = ", ".join(re.sub(r" \(UUID.*", "", line) for line in gpus)
    return [Finding(OK, "GPUs", f"{names} (make train GPU=1 uses {'it' if len(gpus) == 1 else 'them'})")]


def _slots() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    detail = f"{cores} cores: local[*] runs {cores} tasks at once, training.num_proc may be 1 to {cores}"
    return [Finding(OK if cores > 1 else HINT, "slots", detail, "training.num_proc=1 is all that fits")]


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    _python,
    _java,
    _host,
    _user,
    _locale,
    _memory,
    _disk,
    _slots,
    _gpus,
    _packages,
    _hand_networks,
    _horovod,
)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _output_of(
    command: Sequence[str], environment: Mapping[str, str] | None = None, seconds: float = 60.0
) -> str | None:
    """Return what a program prints; None where it cannot be run, fails or takes longer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None

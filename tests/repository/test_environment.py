import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from locks import STACKS, pins_of, requirements_of
from packaging.requirements import Requirement

BUILD = REPOSITORY / "environment" / "build.sh"
PLAIN_TOOLS = ("bash", "cat", "cut", "dirname", "env", "head", "mkdir", "sed", "sha256sum", "sort", "uname")


@pytest.fixture
def bare_machine(tmp_path):
    """A path with the plain tools alone: no Python, compiler, CMake or Java."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in PLAIN_TOOLS:
        (tools / name).symlink_to(shutil.which(name))
    return {"PATH": str(tools), "ASLSPARK_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}


def test_missing_tools_are_all_named_with_what_to_install_before_anything_is_made(bare_machine, tmp_path):
    result = subprocess.run(["bash", str(BUILD)], env=bare_machine, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    missing = [line for line in result.stderr.splitlines() if "missing:" in line]
    for words, line in zip(("Python 3.11", "C++", "CMake", "Java 17"), missing, strict=True):
        assert words in line
    assert all("apt-get install" in line for line in missing)
    assert not (tmp_path / "cache").exists()


def test_a_cmake_that_is_too_old_is_named_with_its_version(bare_machine, tmp_path):
    cmake = tmp_path / "bin" / "cmake"
    cmake.write_text("#!/bin/bash\necho cmake version 3.18.4\n")
    cmake.chmod(0o755)
    result = subprocess.run(["bash", str(BUILD)], env=bare_machine, capture_output=True, text=True, check=False)
    assert "CMake 3.21 or newer (found: 3.18.4" in result.stderr


def test_a_stack_that_is_not_there_is_refused_with_those_that_are(bare_machine, tmp_path):
    result = subprocess.run(
        ["bash", str(BUILD)], env={**bare_machine, "STACK": "spark2"}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr == f"environment: STACK=spark2: there are {' and '.join(STACKS)}\n"


@pytest.mark.parametrize("stack", STACKS)
def test_the_lock_pins_every_package_and_holds_every_one_that_was_asked_for(stack):
    pinned = {Requirement(pin).name.lower().replace("_", "-"): pin for pin in pins_of(f"{stack}/requirements.lock")}
    for line in (REPOSITORY / "environment" / stack / "requirements.in").read_text().splitlines():
        if asked := line.split("#")[0].strip():
            requirement = Requirement(asked)
            version = pinned[requirement.name.lower()].partition("==")[2]
            assert requirement.specifier.contains(version), asked


SLOW_BUILD = """#!/bin/sh
echo "environment: 1/4 installing" >&2
cat "$(dirname "$0")/gate"
echo /where/it/is
echo "environment: failed" >&2
exit 3
"""


def test_while_the_environment_is_built_its_line_renews_itself_on_a_terminal(tmp_path):
    shutil.copy(BUILD.parent / "run.sh", tmp_path)
    (tmp_path / "build.sh").write_text(SLOW_BUILD)
    (tmp_path / "build.sh").chmod(0o755)
    os.mkfifo(tmp_path / "gate")
    ours, theirs = pty.openpty()
    built = subprocess.Popen([tmp_path / "run.sh"], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"\r\x1b[Kenvironment: 1/4 installing, 0:01" not in shown:
        shown += os.read(ours, 4096)
    (tmp_path / "gate").write_text("")
    with contextlib.suppress(OSError):  # the other side is closed
        while part := os.read(ours, 4096):
            shown += part
    assert (built.communicate()[0], built.returncode) == (b"/where/it/is\n", 3)
    assert [line.rsplit(b"\x1b[K", 1)[-1] for line in shown.replace(b"\r\n", b"\n").split(b"\n")] == [
        b"environment: 1/4 installing",
        b"environment: failed",
        b"",
    ]


def test_this_environment_is_what_the_lock_of_its_stack_says():
    stack = Path(sys.prefix, "stack").read_text().strip()
    wanted = {pin.lower().replace("_", "-") for pin in pins_of(f"{stack}/requirements.lock", "build.lock")}
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True
    ).stdout
    here = {line.split("+")[0].lower().replace("_", "-") for line in frozen.splitlines()}
    assert "horovod==0.28.1" in wanted
    assert wanted <= here


@pytest.mark.promise(
    "install",
    "Every package that the environment holds, pip, Horovod's sources and CUDA's libraries among them, is pinned to a "
    "version and to the hashes of its files.",
    kind="a file that changes at its source after it was looked at",
)
def test_java_reads_the_classes_that_spark_loads_from_the_archive_of_this_environment(tmp_path):
    archive = Path(sys.prefix) / "spark.jsa"
    if not archive.is_file():
        pytest.skip("this environment was not made by environment/build.sh, and has no archive of Spark's classes")
    classpath = (Path(sys.prefix) / "spark-classpath").read_text()
    loaded = tmp_path / "loaded"
    options = f"-XX:SharedArchiveFile={archive} -cp '{classpath}:{REPOSITORY}/conf' -Xlog:class+load:file={loaded}"
    command = [Path(sys.executable).parent / "spark-submit", "--version"]
    subprocess.run(command, env={**os.environ, "SPARK_SUBMIT_OPTS": options}, capture_output=True, check=True)
    lines = [
        line for line in loaded.read_text().splitlines() if re.search(r" org\.apache\.spark\.[^$]*\$? source", line)
    ]
    # `--version` ends in a way of its own, for which a few classes are loaded that no job asks for.
    assert sum(line.endswith("shared objects file (top)") for line in lines) > 0.9 * len(lines) > 0


def test_every_requirement_of_every_lock_has_a_version_and_the_hashes_of_its_files():
    locks = sorted(path.relative_to(BUILD.parent).as_posix() for path in BUILD.parent.rglob("*.lock"))
    of_a_stack = ("requirements.lock", "tensorflow-cuda.lock", "torch-cuda.lock")
    assert locks == ["build.lock", *(f"{stack}/{name}" for stack in STACKS for name in of_a_stack)]
    for lock in locks:
        assert requirements_of(lock)
        for line in requirements_of(lock):
            assert re.fullmatch(r"[\w.-]+==[\w.]+( --hash=sha256:[0-9a-f]{64})+", line), f"{lock}: {line}"
    for stack in STACKS:
        of_all = pins_of("build.lock", *(f"{stack}/{name}" for name in of_a_stack))
        names = [pin.partition("==")[0].lower().replace("_", "-") for pin in of_all]
        assert len(set(names)) == len(names)
    assert [pin.partition("==")[0] for pin in pins_of("build.lock")] == ["pip", "horovod"]
    asked = (BUILD.parent / "build.in").read_text()
    assert all(f"{pin} " in asked for pin in pins_of("build.lock"))


@pytest.mark.parametrize("stack", STACKS)
def test_the_tensorflow_for_cuda_is_of_the_version_of_the_one_without(stack):
    plain = next(pin for pin in pins_of(f"{stack}/requirements.lock") if re.match("tensorflow[-_]cpu==", pin))
    assert f"tensorflow=={plain.partition('==')[2]}" in pins_of(f"{stack}/tensorflow-cuda.lock")


@pytest.mark.slow
@pytest.mark.promise(
    "install",
    "The environment is built of files whose hash the locks name: one that differs is refused before it is installed.",
    kind="a package that is taken by its name and version alone",
)
def test_a_file_of_another_hash_is_refused_and_leaves_no_environment(tmp_path):
    places = tmp_path / "places"
    places.mkdir()
    pip = next(pin for pin in pins_of("build.lock") if pin.startswith("pip==")).replace("==", "-")
    (places / f"{pip}-py3-none-any.whl").write_bytes(b"another file under the name of the right one")
    cache = tmp_path / "cache"
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(places), "ASLSPARK_CACHE": str(cache), "GPU": "0"}
    result = subprocess.run(
        ["bash", str(BUILD)], env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1, result.stderr
    assert "DO NOT MATCH THE HASHES" in result.stderr
    assert not list(cache.glob("env-*"))
    commands = re.findall(r'pip" ((?:install|download|wheel)\b[^"]*)', BUILD.read_text())
    assert [" ".join(command.split()) for command in commands] == [
        "install --require-hashes --no-deps --no-build-isolation",
        "download --no-deps --only-binary :all: --dest",  # of torch, which runs nothing of it
    ]

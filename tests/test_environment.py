import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
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


def test_the_lock_pins_every_package_and_holds_every_one_that_was_asked_for():
    lock = (REPOSITORY / "environment" / "requirements.lock").read_text().splitlines()
    pinned = dict(line.split("==") for line in lock if line and not line.startswith("#"))
    asked = (REPOSITORY / "environment" / "requirements.in").read_text().splitlines()
    for line in asked:
        name, _, version = line.split("#")[0].strip().partition("==")
        if name:
            same = [key for key in pinned if key.lower().replace("_", "-") == name.lower()]
            assert same, name
            assert not version or pinned[same[0]] == version


def test_this_environment_is_what_the_lock_says():
    lock = (REPOSITORY / "environment" / "requirements.lock").read_text().splitlines()
    wanted = {line.lower().replace("_", "-") for line in lock if line and not line.startswith("#")}
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True
    ).stdout
    here = {line.split("+")[0].lower().replace("_", "-") for line in frozen.splitlines()}
    assert wanted <= here
    assert "horovod==0.28.1" in here

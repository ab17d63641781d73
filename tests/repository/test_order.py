import os
import subprocess
import sys

import pytest
from conftest import LONGEST_FIRST, REPOSITORY


def test_the_files_that_are_dealt_out_first_are_there():
    assert set(LONGEST_FIRST) <= {path.stem for path in (REPOSITORY / "tests").rglob("test_*.py")}


@pytest.mark.long
def test_every_process_finds_the_same_tests():
    found = [
        subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-m", "", "-p", "no:cacheprovider"],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\n\n")[0]
        for seed in "12"
    ]
    assert len(found[0].splitlines()) > 1000
    assert found[0] == found[1]

from pathlib import Path

from conftest import LONGEST_FIRST


def test_the_files_that_are_dealt_out_first_are_there():
    assert set(LONGEST_FIRST) <= {path.stem for path in Path(__file__).parent.rglob("test_*.py")}

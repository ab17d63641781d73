from conftest import LONGEST_FIRST, REPOSITORY


def test_the_files_that_are_dealt_out_first_are_there():
    assert set(LONGEST_FIRST) <= {path.stem for path in (REPOSITORY / "tests").rglob("test_*.py")}

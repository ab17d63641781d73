"""The table of docs/safety.md is made from the marks of the tests."""

import promises
import pytest

MARKED = """
@pytest.mark.long
@pytest.mark.promise("books", "Nothing is lost.", kind="counted wrongly")
def test_one(): ...

@pytest.mark.promise("books", "Nothing is lost.", kind="counted wrongly")
def test_two(): ...
"""


def test_the_page_says_what_the_tests_promise():
    page = promises.PAGE.read_text(encoding="utf-8")
    assert page == promises.page_with(page, promises.all_promises()), "run python tests/promises.py"


def test_tests_of_one_promise_share_a_line():
    found = promises.promises_of(MARKED, "tests/test_x.py")
    line = "| Nothing is lost. | counted wrongly | `tests/test_x.py::test_one` (long)<br>`tests/test_x.py::test_two` |"
    assert line in promises.table(found).splitlines()


def test_an_area_that_is_none_is_refused():
    with pytest.raises(ValueError, match="area 'book'"):
        promises.promises_of(MARKED.replace("books", "book"), "tests/test_x.py")

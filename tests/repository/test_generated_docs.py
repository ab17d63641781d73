"""What the pages say of the package is what the code decides."""

import generated_docs
import pytest


def test_the_pages_say_what_the_code_decides():
    old = [path.name for path, (read, made) in generated_docs.pages().items() if read != made]
    assert not old, "run python tests/generated_docs.py"


def test_a_number_is_mended_in_its_sentence_wherever_the_line_ends():
    page = "After 7\nseconds it ends. After a day it does not."
    assert generated_docs.with_numbers(page, "After {} seconds", (1500,)) == page.replace("7", "1,500")


@pytest.mark.parametrize("page", ["It ends.", "After 7 seconds. After 8 seconds."])
def test_a_sentence_that_does_not_stand_there_once_is_an_error(page):
    with pytest.raises(ValueError, match="times in the page"):
        generated_docs.with_numbers(page, "After {} seconds", (7,))


def test_a_page_that_lost_the_place_of_a_block_is_an_error():
    with pytest.raises(ValueError, match="networks: made by"):
        generated_docs.with_block("# Title\n", "networks", "| a | b |")

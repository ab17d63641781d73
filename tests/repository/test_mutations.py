"""The small bugs of `make mutants` fit the code that they break; whether tests notice them, `make mutants` says."""

import re
from collections import Counter

import pytest
from mutations.run import REPOSITORY, Mutation, apply, read_mutations

MUTATIONS = {mutation.name: mutation for mutation in read_mutations()}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_bug_can_be_put_into_this_tree_and_names_tests_that_there_are(name):
    mutation = MUTATIONS[name]
    checked = apply(mutation, REPOSITORY, "--check")
    assert checked.returncode == 0, f"{checked.stderr}make the diff again, of the same bug in the code as it is now"
    lines = mutation.diff.read_text().splitlines()
    assert lines[0].startswith("Broken: ")
    assert lines[1].startswith("Tests: tests/")
    files = [line for line in lines if line[:4] in ("--- ", "+++ ")]
    assert [line.partition("aslspark/")[0] for line in files] == ["--- a/", "+++ b/"]
    for test in mutation.tests:
        path, _, function = test.partition("[")[0].partition("::")
        assert re.search(rf"^def {function or 'test_'}", (REPOSITORY / path).read_text(), re.MULTILINE), test


def test_there_are_sixty_and_no_two_break_the_same_lines():
    assert len(MUTATIONS) == 60
    changes = [[line for line in one.diff.read_text().splitlines() if line[:1] in "-+"] for one in MUTATIONS.values()]
    assert max(Counter(map(tuple, changes)).values()) == 1


def test_a_bug_is_put_in_where_its_lines_have_moved_to_and_nowhere_else(tmp_path):
    file, diff = tmp_path / "aslspark" / "module.py", tmp_path / "numbers.diff"
    file.parent.mkdir()
    diff.write_text(
        "Broken: a number.\nTests: tests/test_numbers.py\n"
        "--- a/aslspark/module.py\n+++ b/aslspark/module.py\n@@ -9,3 +9,3 @@\n one\n-two\n+2\n three\n"
    )
    for text, code in (("zero\n\nzero\none\ntwo\nthree\nfour\n", 0), ("one\n\ntwo\nthree\n", 1)):
        file.write_text(text)
        applied = apply(Mutation(diff, "", ()), tmp_path)
        assert (applied.returncode, file.read_text()) == (code, text if code else text.replace("two", "2"))

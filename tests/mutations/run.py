"""Small bugs, put into a copy of the tree one at a time -> which of them the tests of their topic notice.

In: the diffs beside this file; the first line of each says what it breaks, the second which tests are of its topic.
Out: a table, and an exit code of 1 where fewer than `LEAST_NOTICED` of them are noticed or one no longer applies.

    make mutants
    make mutants ARGS="--only loop_last_weights"
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
LEAST_NOTICED = 0.95
"""Share of the bugs: 57 of 60."""
MOST_SECONDS = 300
"""For the tests of one bug; tests that a bug makes hang have not noticed it."""
NOTICED, MISSED, NO_ANSWER, NOT_APPLIED = "noticed", "NOT NOTICED", "NO ANSWER", "DOES NOT APPLY"


@dataclass(frozen=True)
class Mutation:
    """A bug."""

    diff: Path
    broken: str
    """What it breaks, in a sentence."""
    tests: tuple[str, ...]
    """Those of its topic, as pytest names them."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.diff.stem


@dataclass(frozen=True)
class Result:
    """What became of a bug."""

    mutation: Mutation
    outcome: str
    words: str
    """The test that noticed it, or what was said instead."""
    seconds: float


def read_mutations() -> list[Mutation]:
    """Read all diffs, in the order of their names."""
    found = []
    for path in sorted(FOLDER.glob("*.diff")):
        broken, tests = path.read_text().splitlines()[:2]
        found.append(Mutation(path, broken.removeprefix("Broken: "), tuple(tests.removeprefix("Tests: ").split())))
    return found


def apply(mutation: Mutation, tree: Path, *how: str) -> subprocess.CompletedProcess[str]:
    """Put a bug into a tree (or take it out with --reverse, or only see whether it could be with --check)."""
    # One line of context is enough to find the place, and survives changes nearby.
    command = ["git", "apply", "-C1", *how, str(mutation.diff)]
    # Within a repository, git leaves out what lies outside of it without a word.
    apart = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    return subprocess.run(command, cwd=tree, env=apart, capture_output=True, text=True)


def copy_tree(target: Path) -> Path:
    """Copy what git knows of, and what is new and not ignored, as it lies in the working tree; with its bytecode."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)
    # Held to the sources by their hashes: a bug of the same length within the same second would not be seen by time.
    hashed = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(target / "aslspark", quiet=1, invalidation_mode=hashed)
    return target


def run_tests(tree: Path, tests: Sequence[str], seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run tests in a tree until the first that fails."""
    shared = REPOSITORY.parent / "shared"
    where = {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins that are installed take most of a short test's time
        "ASLSPARK_TEST_DATA": os.environ.get("ASLSPARK_TEST_DATA", str(shared / "data")),
        "ASLSPARK_TEST_CASES": os.environ.get("ASLSPARK_TEST_CASES", str(shared / "cases")),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command, cwd=tree, env={**os.environ, **where}, capture_output=True, text=True, timeout=seconds
    )


def judge(mutation: Mutation, tree: Path) -> Result:
    """Put a bug in, run the tests of its topic, and take it out again."""
    began = time.monotonic()
    applied = apply(mutation, tree)
    if applied.returncode:
        return Result(mutation, NOT_APPLIED, applied.stderr.strip(), 0.0)
    try:
        ran = run_tests(tree, mutation.tests, MOST_SECONDS)
        # Where a test cannot even be collected, or there is none, nothing was noticed.
        outcome = {0: MISSED, 1: NOTICED}.get(ran.returncode, NO_ANSWER)
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
        words = failed[1] if failed else (ran.stdout.strip().splitlines() or [ran.stderr.strip()[-200:]])[-1]
    except subprocess.TimeoutExpired:
        outcome, words = NO_ANSWER, f"its tests did not end in {MOST_SECONDS} s"
    finally:
        apply(mutation, tree, "--reverse").check_returncode()
    return Result(mutation, outcome, words, time.monotonic() - began)


def main() -> int:
    """Judge all bugs, or those that are named; several side by side, each in a copy of its own."""
    mutations = read_mutations()
    parser = argparse.ArgumentParser(description="Put small bugs in, one at a time, and see whether tests notice.")
    names = [mutation.name for mutation in mutations]
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these alone")
    only = parser.parse_args().only or names
    if unknown := sorted(set(only) - set(names)):
        parser.error(f"--only {unknown[0]}: there is no such bug; there are {', '.join(names)}")
    began, workers = time.monotonic(), min(os.cpu_count() or 1, len(only))
    chosen = [mutation for mutation in mutations if mutation.name in only]
    with tempfile.TemporaryDirectory(prefix="aslspark-mutations-") as scratch, ThreadPoolExecutor(workers) as threads:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            trees.put(copy_tree(Path(scratch) / str(number)))

        def in_a_copy(mutation: Mutation) -> Result:
            tree = trees.get()
            try:
                return judge(mutation, tree)
            finally:
                trees.put(tree)

        sound = run_tests(Path(scratch) / "0", sorted({test for mutation in chosen for test in mutation.tests}))
        if sound.returncode:
            print(f"{sound.stdout}{sound.stderr}\nwithout any bug these tests do not pass: mend them first")
            return 1
        results = []
        width = max(map(len, names))
        for result in threads.map(in_a_copy, chosen):
            results.append(result)
            print(
                f"{result.mutation.name:{width}}  {result.outcome:14}  {result.seconds:5.1f} s  {result.words}",
                flush=True,
            )
    noticed = sum(result.outcome == NOTICED for result in results)
    for result in results:
        if result.outcome != NOTICED:
            print(f"{result.outcome}: {result.mutation.name}: {result.mutation.broken}")
    print(f"{noticed} of {len(results)} bugs noticed, in {(time.monotonic() - began) / 60:.1f} minutes")
    applied = all(result.outcome != NOT_APPLIED for result in results)
    return 0 if applied and noticed >= LEAST_NOTICED * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())

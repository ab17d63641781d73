"""Writes the table of what holds, and which test shows it, into docs/safety.md; `python tests/promises.py`.

In: the marks `@pytest.mark.promise(AREA, SENTENCE, kind=CAUSE)` of the tests. Out: a table an area, in the page,
between two comments. `--check` writes nothing, and ends with 1 where the page says something else.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "safety.md"
BEGIN, END = "<!-- promises: made by tests/promises.py -->\n", "<!-- end of promises -->\n"
AREAS = {
    "books": "The books balance",
    "tested": "What is tested on is never learned from",
    "input": "One row, one file, one request never ends a job",
    "readers": "One reader, one decoder",
    "service": "The service",
    "bundle": "A bundle runs nothing, and nothing shows a secret",
    "registry": "Registry and studies",
    "install": "Installing",
}
"""The headings, in their order, by the first word of a mark."""


class Promise(NamedTuple):
    """One mark: what holds, the cause that would break it, and the test that carries it."""

    area: str
    sentence: str
    kind: str
    test: str
    is_long: bool


def promises_of(source: str, name: str) -> list[Promise]:
    """Read the marks of a test file.

    Parameters
    ----------
    source : str
        The file's text.
    name : str
        Its path, as the table names it.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        is_long = any(ast.unparse(decorator).endswith("mark.long") for decorator in node.decorator_list)
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("mark.promise"):
                area, sentence = (ast.literal_eval(argument) for argument in decorator.args)
                kind = {word.arg: ast.literal_eval(word.value) for word in decorator.keywords}["kind"]
                if area not in AREAS:
                    raise ValueError(f"{name}::{node.name}: area {area!r}: give one of {', '.join(AREAS)}")
                found.append(Promise(area, sentence, kind, f"{name}::{node.name}", is_long))
    return found


def table(promises: list[Promise]) -> str:
    """Lay the promises out as Markdown: those with one sentence in one line."""
    parts = []
    for area, heading in AREAS.items():
        lines: dict[tuple[str, str], list[str]] = {}
        for promise in promises:
            if promise.area == area:
                test = f"`{promise.test}`" + (" (long)" if promise.is_long else "")
                lines.setdefault((promise.sentence, promise.kind), []).append(test)
        if lines:
            rows = [f"| {sentence} | {kind} | {'<br>'.join(tests)} |" for (sentence, kind), tests in lines.items()]
            parts.append(
                "\n".join([f"### {heading}\n", "| what holds | kind of fault | shown by |", "|---|---|---|", *rows])
            )
    return "\n\n".join(parts) + "\n"


def page_with(page: str, promises: list[Promise]) -> str:
    """Put the table between the two comments of the page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(promises)}\n{END}{after}"


def all_promises() -> list[Promise]:
    """Read the marks of every test file, by name."""
    files = sorted(TESTS.rglob("test_*.py"))
    return [
        promise
        for file in files
        for promise in promises_of(file.read_text(encoding="utf-8"), str(file.relative_to(TESTS.parent)))
    ]


def main() -> int:
    """Write the page, or say that it is old."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = page_with(page, all_promises())
    if "--check" in sys.argv[1:]:
        return int(page != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

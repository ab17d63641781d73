"""Databricks source format -> .ipynb, for Jupyter: python notebooks/to_ipynb.py DIR.

Jupytext knows several ways to write a notebook as Python, but not this one; its percent format differs in marks alone.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext

FIRST_LINE, CELL = "# Databricks notebook source\n", "\n# COMMAND ----------\n"
MARKDOWN, MAGIC = "# MAGIC %md\n", re.compile(r"^# MAGIC ?", re.MULTILINE)


def as_percent(source: str) -> str:
    """Turn a notebook in Databricks source format into jupytext's percent format."""
    if not source.startswith(FIRST_LINE):
        raise ValueError(f"no Databricks notebook: its first line is not {FIRST_LINE.strip()!r}")
    cells = []
    for cell in source.removeprefix(FIRST_LINE).split(CELL):
        text = cell.strip("\n")
        if text.startswith(MARKDOWN):
            text = MAGIC.sub("# ", text.removeprefix(MARKDOWN))
            cells.append(f"# %% [markdown]\n{text}\n")
        else:
            cells.append(f"# %%\n{text}\n")
    return "\n".join(cells)


def main(folder: str) -> None:
    """Write each notebook of this folder as .ipynb into another."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(__file__).parent.glob("0*.py")):
        notebook = jupytext.reads(as_percent(path.read_text(encoding="utf-8")), fmt="py:percent")
        jupytext.write(notebook, out / f"{path.stem}.ipynb")
        print(out / f"{path.stem}.ipynb")


if __name__ == "__main__":
    main(*sys.argv[1:])

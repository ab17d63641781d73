"""What every benchmark shares: two things measured by turns in one run, medians, a table, a results file.

In: two functions that return a rate or a time. Out: `benchmarks/results/NAME.json`, and the same as a table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from aslspark.data.synthetic import draw_hand
from aslspark.data.tables.pixel_layout import COLUMNS

_STACK = Path(sys.prefix) / "stack"  # environment/build.sh writes it
RESULTS = Path(__file__).resolve().parent / "results"
"""Of the current stack; those of another are in a folder of its name."""
if _STACK.is_file() and _STACK.read_text().strip() != "current":
    RESULTS /= _STACK.read_text().strip()


@dataclass(frozen=True)
class Comparison:
    """One line of a benchmark's table."""

    what: str
    against: str
    unit: str
    ours: float
    theirs: float
    runs: int
    ratio: float
    aim: str


def compare(
    what: str,
    against: str,
    unit: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    aim: str,
    runs: int,
    warm_up: int = 1,
) -> Comparison:
    """Measure two things by turns, so that a machine that slows down slows both.

    Parameters
    ----------
    what, against : str
        What is measured, and what it is held against.
    unit : str
        Of what the functions return.
    ours, theirs : callable
        Each runs once and returns a rate or a time.
    aim : str
        What the ratio should be.
    runs, warm_up : int
        Turns that count, and turns before them that do not.
    """
    pairs = []
    for turn in range(warm_up + runs):
        pair = (ours(), theirs())
        print(
            f"  {what}: {pair[0]:,.1f} against {pair[1]:,.1f} {unit}{' (warm-up)' if turn < warm_up else ''}",
            flush=True,
        )
        if turn >= warm_up:
            pairs.append(pair)
    mine, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return Comparison(what, against, unit, mine, other, runs, ratio, aim)


def options(description: str, *, rows: int, of: str = "tables") -> argparse.Namespace:
    """Read the options that all benchmarks take.

    Parameters
    ----------
    description : str
    rows : int
        How many are measured on unless the caller says; `size` then says so in the name of the results file.
    of : {'tables', 'folders'}
        What the benchmark can use of `--data`, which names the same files to all of them.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="turns that count (default 3)")
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="PATH", help="pixel tables, folders of pictures; none: drawn hands"
    )
    parser.add_argument("--rows", type=int, default=rows, metavar="N", help="rows (default %(default)s)")
    chosen = parser.parse_args()
    chosen.data = [path for path in chosen.data if Path(path).is_dir() == (of == "folders")]
    chosen.size = "" if chosen.rows == rows else f"-{chosen.rows}"
    return chosen


def pixel_table(rows: int, data: list[str], folder: Path) -> str:
    """Write a pixel table of so many rows, those of the tables given or drawn hands, repeated, and return its path."""
    if data:
        lines = [line for path in data for line in Path(path).read_text().splitlines()[1:]]
    else:
        drawn = (draw_hand("ABCDEFGHIKLM"[n % 12], seed=1, index=n, signer=n % 9) for n in range(600))
        lines = [f"{n % 9}," + ",".join(map(str, np.ravel(picture))) for n, picture in enumerate(drawn)]
    path = folder / f"table-{rows}.csv"
    with path.open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        for first in range(0, rows, len(lines)):
            file.write("\n".join(lines[: rows - first]) + "\n")
    return str(path)


def write(name: str, lines: Sequence[Comparison], notes: Sequence[str] = ()) -> None:
    """Print the table and write the results file.

    Parameters
    ----------
    name : str
    lines : sequence of Comparison
    notes : sequence of str
        What the time is spent on, where an aim was missed; what was measured how.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    results = {
        "benchmark": name,
        "when": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "results": [asdict(line) for line in lines],
        "notes": list(notes),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n| what | against | ours | theirs | ratio | aim |\n|---|---|---|---|---|---|")
    for line in lines:
        print(
            f"| {line.what} | {line.against} | {line.ours:,.1f} {line.unit} | {line.theirs:,.1f} {line.unit} | "
            f"{line.ratio:.2f} | {line.aim} |"
        )
    for note in notes:
        print(f"- {note}")


def cpu_seconds() -> dict[str, float]:
    """Return the CPU seconds so far of this process, of Spark's JVM and of the Python processes that it started."""
    own = psutil.Process()
    by_submit = [parent for parent in own.parents() if parent.name() == "java"]
    jvm = (by_submit or [child for child in own.children(recursive=True) if child.name() == "java"])[0]
    not_its_own = {own, *own.children(recursive=True)} if by_submit else set()
    kinds = {
        "the driver": [own],
        "the JVM": [jvm],
        "Python's workers": [child for child in jvm.children(recursive=True) if child not in not_its_own],
    }
    # Workers that are idle for a minute are ended: their daemon then has their time among that of its children.
    times = {kind: 4 if kind == "Python's workers" else 2 for kind in kinds}
    return {kind: sum(sum(each.cpu_times()[: times[kind]]) for each in processes) for kind, processes in kinds.items()}


def machine() -> dict[str, Any]:
    """Name the machine, with what one core multiplies in a second, since the same name can mean many speeds."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "gflops": round(_gflops(), 1)}


def _gflops() -> float:
    numbers = np.random.default_rng(0).random((1024, 1024), np.float32)
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        numbers @ numbers
        rates.append(2 * 1024**3 / (time.perf_counter() - started) / 1e9)
    return statistics.median(rates)

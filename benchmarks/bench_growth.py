"""What a row costs, and what memory it takes, as tables grow: ingest, an epoch, scoring.

python benchmarks/bench_growth.py [--rows 1000000] [--data CSV ...]

Measures 10,000 rows and ten times as many again up to --rows. The training's cache is set to 64 MiB, so that the
larger tables are streamed.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from base import Comparison, options, pixel_table, write
from pyspark.sql import SparkSession

from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import read_samples
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network

SMALLEST = 10_000
SETTINGS = ["network.name=cnn", "training.batch_size=256", "training.cache_mb=64", "augment.on=false"]
LONG = 500_000
"""From so many rows on one epoch is trained; before, two, since the first one builds TensorFlow's graph."""
SECONDS_BETWEEN_LOOKS = 0.25


class Peaks:
    """The most memory seen, in MiB, of the JVM and of the largest Python process that is not this one."""

    def __init__(self) -> None:
        self.jvm = self.python = 0.0
        # Under spark-submit the JVM started this program; otherwise this program started the JVM.
        above = [process for process in psutil.Process().parents() if process.name() == "java"]
        self._root = above[0] if above else psutil.Process()

    def look(self) -> None:
        """Look once at every process of this program."""
        for process in [self._root, *self._root.children(recursive=True)]:
            if process.pid == os.getpid():
                continue
            try:
                mib = process.memory_info().rss / (1 << 20)
                if process.name() == "java":
                    self.jvm = max(self.jvm, mib)
                else:
                    self.python = max(self.python, mib)
            except psutil.NoSuchProcess:
                continue


@contextmanager
def watched() -> Iterator[Peaks]:
    """Look at the memory until the work is over."""
    peaks, over = Peaks(), threading.Event()

    def look() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            peaks.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def measure(spark: SparkSession, table: str, rows: int, folder: Path) -> dict[str, tuple[float, Peaks]]:
    """Ingest, train and score; return microseconds a row of each (of the last epoch) and the memory."""
    results = {}
    ingested = f"{folder}/ingested-{rows}"
    with watched() as peaks:
        started = time.perf_counter()
        ingest_sources(spark, [table], ingested)
        results["ingest"] = ((time.perf_counter() - started) / rows * 1e6, peaks)
    with watched() as peaks:
        scratch = Path(tempfile.mkdtemp(dir=folder))
        settings = [*SETTINGS, f"training.epochs={1 if rows >= LONG else 2}"]
        fitted = fit_network(look_at(spark, ingested), load_config(None, settings), scratch)
        epoch = fitted.history[-1]
        results["an epoch"] = (epoch["train_seconds"] / epoch["rows"] * 1e6, peaks)
    with watched() as peaks:
        started = time.perf_counter()
        model = SignClassifierModel(fitted.classifier)
        model.transform(read_samples(spark, ingested)).drop("picture").write.format("noop").mode("overwrite").save()
        results["scoring"] = ((time.perf_counter() - started) / rows * 1e6, peaks)
    return results


def main() -> None:
    """Measure and write the results."""
    chosen = options("Cost and memory of growing tables.", rows=1_000_000)
    sizes = [SMALLEST]
    while sizes[-1] * 10 <= chosen.rows:
        sizes.append(sizes[-1] * 10)
    lines, notes = [], []
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_growth") as spark:
        folder = Path(name)
        warm_up = pixel_table(1000, chosen.data, folder)
        measure(spark, warm_up, 1000, folder)
        measured = {}
        for rows in sizes:
            table = pixel_table(rows, chosen.data, folder)
            measured[rows] = measure(spark, table, rows, folder)
            os.remove(table)
            for what, (cost, peaks) in measured[rows].items():
                notes.append(
                    f"{what}, {rows:,} rows: {cost:.0f} microseconds a row, JVM {peaks.jvm:,.0f} MiB, "
                    f"largest Python process {peaks.python:,.0f} MiB"
                )
                print(notes[-1], flush=True)
        for what in measured[SMALLEST]:
            for rows in sizes[1:]:
                ours, theirs = measured[rows][what][0], measured[SMALLEST][what][0]
                aim = "at most 1.15"
                lines.append(
                    Comparison(
                        f"{what}, {rows:,} rows", f"{SMALLEST:,} rows", "us a row", ours, theirs, 1, ours / theirs, aim
                    )
                )
    write(f"growth{chosen.size}", lines, notes)


if __name__ == "__main__":
    main()

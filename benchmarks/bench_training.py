"""Training: two Horovod processes of the estimators against two independent plain processes at the same time.

python benchmarks/bench_training.py [--runs 3] [--rows 8192]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import horovod.spark
import numpy as np
from base import Comparison, compare, options, write
from pyspark.sql import SparkSession

from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import TRAIN, VALIDATION, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.data.synthetic import drawn_samples
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network

EPOCHS = 4


def prepare(spark: SparkSession, data: list[str], rows: int, folder: Path, processes: int = 2) -> tuple[str, list[str]]:
    """Ingest `rows` training rows, and write the same as arrays, in as many parts as there are plain processes."""
    split = SplitOptions(kind="random", validation=0.02, test=0.02)
    sources: list[Any] = data or [drawn_samples(spark, count=int(rows / 0.95), seed=1).persist()]
    ingest_sources(spark, sources, str(folder / "ingested"), split=split)
    train = read_samples(spark, str(folder / "ingested"), [TRAIN, VALIDATION]).limit(rows).toPandas()
    pictures = np.stack([np.frombuffer(p["data"], np.uint8).reshape(28, 28, 1) for p in train["picture"]])
    labels = np.array([STATIC_LETTERS.index(label) for label in train["label"]], np.int64)
    parts = []
    for n in range(processes):
        parts.append(str(folder / f"part{n}.npz"))
        np.savez(parts[-1], pictures=pictures[n::processes], labels=labels[n::processes])
    return str(folder / "ingested"), parts


def plain_rate(framework: str, batch: int, parts: list[str], device: str = "cpu", precision: str = "float32") -> float:
    """Run plain processes side by side, one a part, and return their rows a second together."""
    program = str(Path(__file__).parent / "plain.py")
    processes = [
        subprocess.Popen(
            [sys.executable, program, framework, str(batch), str(EPOCHS), part, device, precision],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in parts
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    rates = [process.communicate()[0].split("rates")[1].split() for process in processes]
    return sum(statistics.median(map(float, words)) for words in rates)


def main() -> None:
    """Measure and write the results."""
    chosen = options("Training speed against plain Keras and torch.", rows=8192)
    lines: list[Comparison] = []
    overheads: list[Comparison] = []
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_training") as spark:
        folder = Path(name)
        ingested, halves = prepare(spark, chosen.data, chosen.rows, folder)
        table = look_at(spark, ingested)
        seconds: dict[str, list[float]] = {"keras": [], "torch": []}
        phases: dict[str, dict[str, float]] = {}

        def fit_rate(framework: str, batch: int) -> float:
            words = [
                f"training.framework={framework}",
                f"training.batch_size={batch}",
                f"training.epochs={EPOCHS}",
                "network.name=cnn",
                "augment.on=false",
                "features.stretch=false",
            ]
            scratch = Path(tempfile.mkdtemp(dir=folder))
            started = time.perf_counter()
            fitted = fit_network(table, load_config(None, words), scratch)
            total = time.perf_counter() - started
            history = fitted.history
            phases[f"{framework}, batch {batch}"] = fitted.phases
            seconds[framework].append(total - sum(row["seconds"] for row in history))
            return statistics.median(row["rows"] / row["train_seconds"] for row in history[1:])

        def trivial_run() -> float:
            started = time.perf_counter()
            horovod.spark.run(lambda: None, num_proc=2, verbose=0)
            return time.perf_counter() - started

        for framework in ("keras", "torch"):
            for batch, aim in ((256, "0.90 or more"), (64, "0.75 or more")):
                lines.append(
                    compare(
                        f"{framework}, batch {batch}, two processes",
                        "two independent plain processes",
                        "rows/s",
                        lambda f=framework, b=batch: fit_rate(f, b),
                        lambda f=framework, b=batch: plain_rate(f, b, halves),
                        aim=aim,
                        runs=chosen.runs,
                    )
                )
            trivial = [trivial_run() for _ in range(chosen.runs)]
            ours, theirs = statistics.median(seconds[framework][2:]), statistics.median(trivial)
            overheads.append(
                Comparison(
                    f"{framework}: seconds of fit that are not training",
                    "a trivial horovod.spark.run",
                    "s",
                    ours,
                    theirs,
                    chosen.runs,
                    ours / theirs,
                    "at most 2 s more",
                )
            )
    notes = ["rates: median over the epochs after the first, median over the runs"]
    for what, spent in phases.items():
        parts = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in spent.items())
        notes.append(f"seconds of the last fit, {what}: {parts}")
    write(f"training{chosen.size}", [*lines, *overheads], notes)


if __name__ == "__main__":
    main()

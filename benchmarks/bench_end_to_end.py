"""The whole job, CSV to evaluated bundle, against a plain script of one process with two threads doing the same.

python benchmarks/bench_end_to_end.py [--runs 1] [--rows 27455] [--data CSV ...]

Both read the table, hold out a tenth twice, train the notebook's CNN for 15 epochs with the same samples a step,
keep the epoch with the lowest validation loss, judge it on the test rows and write the network. The plain script
neither splits by block, nor checks its input, nor writes figures, plots and ONNX.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from base import compare, options, pixel_table, write

EPOCHS = 15
BATCH = 64
"""Samples a step in each of our two processes; the plain script takes twice as many a step."""
JOB = Path(__file__).resolve().parent.parent / "jobs" / "train_cnn.py"


def main() -> None:
    """Measure and write the results."""
    chosen = options("Seconds from CSV to evaluated bundle.", rows=27_455)
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = pixel_table(chosen.rows, chosen.data, folder)

        def ours(framework: str) -> float:
            out = tempfile.mkdtemp(dir=folder) + "/bundle"
            settings = [
                f"training.batch_size={BATCH}",
                "training.schedule=constant",
                f"training.patience={EPOCHS}",
                "augment.on=false",
                "features.stretch=false",
                "network.name=cnn",
                "network.dropout=0.3",
            ]
            words = ["--data", table, "--out", out, "--framework", framework, "--num-proc", "2"]
            return timed(["spark-submit", str(JOB), *words, "--epochs", str(EPOCHS), "--set", *settings])

        def plain(framework: str) -> float:
            script = Path(__file__).parent / "plain_job.py"
            out = tempfile.mkdtemp(dir=folder)
            return timed([sys.executable, str(script), framework, table, out, str(EPOCHS), str(2 * BATCH)])

        for framework in ("keras", "torch"):
            lines.append(
                compare(
                    f"{framework}: {chosen.rows:,} rows, {EPOCHS} epochs, CSV to evaluated bundle",
                    "a plain script, one process of two threads",
                    "s",
                    lambda f=framework: ours(f),
                    lambda f=framework: plain(f),
                    aim="at most 1.5",
                    runs=chosen.runs,
                    warm_up=0,
                )
            )
    notes = [
        "our job also starts a JVM, launches two processes that import the framework, judges every split and draws",
        "docs/results.md has a profile of one such job",
    ]
    write(f"end_to_end{chosen.size}", lines, notes)


def timed(command: list[str]) -> float:
    """Run a command and return its seconds."""
    started = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

"""Training on a GPU: one Horovod process of the estimators against the plain framework on the same GPU.

python benchmarks/bench_gpu.py [--runs 3] [--rows 32768], or make bench-gpu. Both frameworks, float32 and mixed
precision, small batches and large. Without a GPU it says so and ends with exit code 1.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from base import Comparison, compare, options, write
from bench_training import EPOCHS, plain_rate, prepare

from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network

BATCHES = (256, 1024)
THREADS = 4
"""Of our process; the plain one takes what its framework takes."""


def gpus() -> list[str]:
    """List the names of this machine's GPUs."""
    if shutil.which("nvidia-smi") is None:
        return []
    words = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()


def measure(device: str, data: list[str], rows: int, runs: int) -> list[Comparison]:
    """Measure on 'cuda' or 'cpu': each framework and batch size in both precisions, and the two against each other."""
    lines: list[Comparison] = []
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_gpu") as spark:
        folder = Path(name)
        ingested, parts = prepare(spark, data, rows, folder, processes=1)
        table = look_at(spark, ingested)

        def fit_rate(framework: str, batch: int, precision: str) -> float:
            words = [
                f"training.framework={framework}",
                f"training.batch_size={batch}",
                f"training.epochs={EPOCHS}",
                f"training.precision={precision}",
                f"training.use_gpu={'true' if device == 'cuda' else 'false'}",
                f"training.threads={THREADS if device == 'cuda' else 1}",
                "training.num_proc=1",
                "network.name=cnn",
                "augment.on=false",
                "features.stretch=false",
            ]
            history = fit_network(table, load_config(None, words), Path(tempfile.mkdtemp(dir=folder))).history
            return statistics.median(row["rows"] / row["train_seconds"] for row in history[1:])

        for framework in ("keras", "torch"):
            for batch in BATCHES:
                by_precision = [
                    compare(
                        f"{framework}, {precision}, batch {batch}",
                        "the plain framework on the same device",
                        "rows/s",
                        lambda f=framework, b=batch, p=precision: fit_rate(f, b, p),
                        lambda f=framework, b=batch, p=precision: plain_rate(f, b, parts, device, p),
                        aim="0.90 or more",
                        runs=runs,
                    )
                    for precision in ("float32", "mixed")
                ]
                full, mixed = by_precision
                lines += by_precision
                what, ratio = f"{framework}, mixed, batch {batch}", mixed.ours / full.ours
                lines.append(Comparison(what, "float32", "rows/s", mixed.ours, full.ours, runs, ratio, "1.00 or more"))
    return lines


def main() -> None:
    """Measure and write the results."""
    chosen = options("Training speed on a GPU against plain Keras and torch.", rows=32_768)
    found = gpus()
    if not found:
        sys.exit("bench_gpu: this machine has no GPU (nvidia-smi finds none); there is nothing to measure")
    lines = measure("cuda", chosen.data, chosen.rows, chosen.runs)
    notes = [f"one {found[0]}; rates: median over the epochs after the first, median over the runs"]
    write(f"gpu{chosen.size}", lines, notes)


if __name__ == "__main__":
    main()

"""The launcher by turns with Horovod's own: a function that does nothing, and what a fit takes beyond its training.

python benchmarks/bench_launch.py [--runs 3] [--rows 2048] [--data CSV ...]
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import horovod.spark
from base import compare, options, pixel_table, write

from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.splits import SplitOptions
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network
from aslspark.training.launch.run import run_workers

EPOCHS = 3


def main() -> None:
    """Measure and write the results."""
    chosen = options("Launching against horovod.spark.run.", rows=2048)
    phases: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_launch") as spark:
        folder = Path(name)
        ingest_sources(
            spark,
            [pixel_table(chosen.rows, chosen.data, folder)],
            str(folder / "ingested"),
            split=SplitOptions(),
        )
        table = look_at(spark, str(folder / "ingested"))

        def ours() -> float:
            started = time.perf_counter()
            run_workers(2, lambda job: job, None, env={}, on_event=lambda event: None)
            return time.perf_counter() - started

        def theirs() -> float:
            started = time.perf_counter()
            horovod.spark.run(lambda: None, num_proc=2, verbose=0)
            return time.perf_counter() - started

        def fit(framework: str) -> float:
            words = [f"training.framework={framework}", f"training.epochs={EPOCHS}"]
            started = time.perf_counter()
            fitted = fit_network(table, load_config(None, words), Path(tempfile.mkdtemp(dir=folder)))
            seconds = time.perf_counter() - started
            phases[framework] = fitted.phases
            return seconds - sum(row["seconds"] for row in fitted.history)

        against = "horovod.spark.run of a function that does nothing"
        lines = [compare("a function that does nothing", against, "s", ours, theirs, aim="0.33", runs=chosen.runs)]
        for framework in ("keras", "torch"):
            what = f"{framework}: a fit beyond its training"
            lines.append(
                compare(what, against, "s", lambda f=framework: fit(f), theirs, aim="at most 3 s", runs=chosen.runs)
            )
    notes = [f"load average of the last 5 minutes: {os.getloadavg()[1]:.0f} on {os.cpu_count()} cores"]
    for framework, spent in phases.items():
        parts = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in spent.items())
        notes.append(f"seconds of the last fit, {framework}: {parts}")
    write("launch", lines, notes)


if __name__ == "__main__":
    main()

"""What averages gradients: the same torch network, data, seed and feed, by Horovod and by torch.distributed, by turns.

python benchmarks/bench_launchers.py [--runs 3] [--rows 7247] [--data CSV ...]
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from base import Comparison, options, pixel_table, write

from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import TEST
from aslspark.data.splits import SplitOptions
from aslspark.evaluation.metrics import classification_metrics, count_answers
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network
from aslspark.training.launch.launchers import HOROVOD, TORCH

EPOCHS = 6
MEASURES = {
    "accuracy on the test rows": ("%", "within 1 point"),
    "seconds of training": ("s", "at most 1.1"),
    "seconds of fit": ("s", "at most 1.1"),
    "seconds until the workers are at work": ("s", "at most 1.1"),
}


def main() -> None:
    """Measure and write the results."""
    chosen = options("Horovod and torch.distributed, the same fit.", rows=7247)
    turns: dict[str, list[Sequence[float]]] = {HOROVOD: [], TORCH: []}
    digests: dict[str, set[str]] = {HOROVOD: set(), TORCH: set()}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_launchers") as spark:
        folder = Path(name)
        sources = [pixel_table(chosen.rows, chosen.data, folder)]
        ingest_sources(spark, sources, str(folder / "ingested"), split=SplitOptions())
        table = look_at(spark, str(folder / "ingested"))

        def fit(launcher: str) -> Sequence[float]:
            words = ["training.framework=torch", f"training.launcher={launcher}", f"training.epochs={EPOCHS}"]
            started = time.perf_counter()
            fitted = fit_network(table, load_config(None, words), Path(tempfile.mkdtemp(dir=folder)))
            seconds = time.perf_counter() - started
            digests[launcher].update(fitted.digests)
            losses[launcher] = [row["loss"] for row in fitted.history]
            scored = SignClassifierModel(fitted.classifier).transform(table.samples(spark).where(f"split = '{TEST}'"))
            judged = classification_metrics(count_answers(scored), table.labels)
            training = sum(row["train_seconds"] for row in fitted.history)
            start = fitted.phases["start"] + fitted.phases["imports"]
            return 100 * judged["accuracy"], training, seconds, start

        for turn in range(chosen.runs):
            for launcher in turns if turn % 2 else reversed(turns):
                turns[launcher].append(fit(launcher))
                print(f"  {launcher}: {', '.join(f'{value:.1f}' for value in turns[launcher][-1])}", flush=True)
    lines = []
    for place, (what, (unit, aim)) in enumerate(MEASURES.items()):
        ours = [values[place] for values in turns[TORCH]]
        theirs = [values[place] for values in turns[HOROVOD]]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        middle = statistics.median(ours), statistics.median(theirs)
        lines.append(Comparison(f"torch.distributed: {what}", "Horovod", unit, *middle, chosen.runs, ratio, aim))
    apart = max(abs(a - b) for a, b in zip(losses[HOROVOD], losses[TORCH], strict=True))
    notes = [
        f"{chosen.rows:,} rows of {'the tables given' if chosen.data else 'drawn hands'}, {EPOCHS} epochs, 2 processes",
        f"the training losses of an epoch differ by {apart:.1g} at most",
        "weights at the end: the same on both ranks of each fit, and "
        + ("bit for bit" if digests[HOROVOD] == digests[TORCH] else "not bit for bit")
        + " the same by both launchers",
        "lines that a user writes: one for each, the same command but for --launcher",
        f"load average of the last 5 minutes: {os.getloadavg()[1]:.0f} on {os.cpu_count()} cores",
    ]
    write(f"launchers{chosen.size}", lines, notes)


if __name__ == "__main__":
    main()

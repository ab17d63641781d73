"""A registry, its champion and its monitor on real pixel tables: what is promoted, what is refused, what is drift.

spark-submit benchmarks/studies/operations.py --table letters.csv --other other_camera.csv --out DIR

--table is one camera's, in the order of its frames; --other another's. The first is cut, letter by letter, into
contiguous blocks, so that what is watched and what is tested on were learned by no model. DIR gets operations.json and
the monitor's plots.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from aslspark import train
from aslspark.cli.jobs_support import run_job
from aslspark.common.labels import LABELS
from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.monitoring.drift import Comparison, histogram
from aslspark.monitoring.measures import score_and_measure
from aslspark.monitoring.profile import Profile, read_reference
from aslspark.registry.registry import Registry
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.unlabelled import rows_to_score
from aslspark.workflows.monitor import monitor
from aslspark.workflows.retrain import initialize, retrain

BLOCKS = 12
PARTS = ("first",) * 4 + ("second",) * 4 + ("frozen",) * 2 + ("watched",) * 2
"""What becomes of the blocks of a letter, in an order drawn for each."""
MISSING = "E"
BATCHES, SIZES, RATES = 200, (100, 200, 500, 1000), (0.01, 0.05)


def cut(table: Path, folder: Path, seed: int) -> dict[str, Path]:
    """Cut a table into `PARTS`, and write them, 'both' (first and second) and 'shuffled' (both, labels exchanged)."""
    rows = pd.read_csv(table)
    random = np.random.default_rng(seed)
    part = np.empty(len(rows), object)
    for label in np.unique(rows["label"]):
        places = np.flatnonzero(rows["label"] == label)
        order = random.permutation(len(PARTS))
        part[places] = np.array(PARTS, object)[order[np.arange(len(places)) * BLOCKS // len(places)]]
    both = rows[np.isin(part, ["first", "second"])]
    parts = {name: rows[part == name] for name in dict.fromkeys(PARTS)}
    parts["shuffled"] = both.assign(label=random.permutation(both["label"]))
    for name, found in parts.items():
        found.to_csv(folder / f"{name}.csv", index=False)
    return {name: folder / f"{name}.csv" for name in parts}


def changed(watched: pd.DataFrame, other: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the batches that are to be told from clean ones."""
    pixels = watched.drop(columns="label")

    def with_pixels(values: np.ndarray) -> pd.DataFrame:
        return watched.assign(**dict(zip(pixels.columns, np.asarray(values, np.uint8).T, strict=True)))

    pictures = pixels.to_numpy(np.uint8).reshape(-1, 28, 28)
    soft = [np.asarray(Image.fromarray(picture).filter(ImageFilter.BoxBlur(1))) for picture in pictures]
    return {
        "clean": watched,
        "darker by 30 %": with_pixels(pixels.to_numpy() * 0.7),
        "blurred": with_pixels(np.stack(soft).reshape(len(pixels), -1)),
        "another camera": other,
        f"no {MISSING}": watched[watched["label"] != LABELS.index(MISSING)],
    }


def rates(profile: Profile, rows: pd.DataFrame, random: np.random.Generator) -> list[dict[str, Any]]:
    """Draw batches of measured rows, and count those that raise an alarm."""
    bins, sizes = profile.bins_of(rows), profile.sizes()
    found = []
    for rate in RATES:
        comparison = Comparison(profile, rate)
        for size in SIZES:
            alarms, seen = 0, dict.fromkeys(sizes, 0)
            for _ in range(BATCHES):
                drawn = random.integers(0, len(rows), size)
                counts = {name: histogram(bins[name][drawn], sizes[name]) for name in bins}
                raised = {name.split()[0] for name, one in comparison.statistics(counts, size).items() if one.alarm}
                alarms += bool(raised)
                for name in raised:
                    seen[name] += 1
            by = {name: count for name, count in sorted(seen.items(), key=lambda item: -item[1]) if count}
            found.append({"rate": rate, "rows": size, "batches": BATCHES, "alarms": alarms, "by": by})
    return found


def watch(spark: SparkSession, model: str, parts: dict[str, Path], other: Path, out: Path) -> dict[str, Any]:
    """Measure the monitor on clean and changed batches, and let the job draw one of each."""
    profile = read_reference(model)
    random = np.random.default_rng(1)
    results: dict[str, Any] = {}
    tables = []
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        batches = changed(pd.read_csv(parts["watched"]), pd.read_csv(other))
        for name, rows in batches.items():
            path = Path(folder) / f"{len(tables)}.csv"
            rows.to_csv(path, index=False)
            table, column = rows_to_score(spark, [str(path)])
            scored = score_and_measure(SignClassifierModel.load(model).setInputCol(column), table)
            results[name] = {"rows": len(rows), "rates": rates(profile, scored.toPandas(), random)}
            tables.append(table.withColumn("batch", F.lit(name)))
        union = tables[0]
        for table in tables[1:]:
            union = union.unionByName(table)
        union.write.parquet(f"{folder}/batches")
        report = monitor(spark, model, f"{folder}/batches", str(out / "batches"), "batch")
        spark.read.parquet(f"{folder}/batches").where("batch = 'blurred'").write.parquet(f"{folder}/blurred")
        monitor(spark, model, f"{folder}/blurred", str(out / "blurred"))
    for row in report["batches"]:
        results[row["batch"]]["job"] = {"drift": row["drift"], "alarms": row["alarms"][:6]}
    return results


def main(argv: Sequence[str]) -> None:
    """Run it on the command line's words."""
    parser = argparse.ArgumentParser(prog="operations.py", description="A registry and its monitor on real tables.")
    parser.add_argument("--table", required=True, metavar="CSV")
    parser.add_argument("--other", required=True, metavar="CSV")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--epochs", type=int, default=8, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the cut (default %(default)s)")
    options = parser.parse_args(argv)
    out = Path(options.out).absolute()
    out.mkdir(parents=True)
    words = ["network.name=cnn", "training.framework=torch", f"training.epochs={options.epochs}"]
    with spark_session("aslspark operations") as spark, tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        parts = cut(Path(options.table), Path(folder), options.seed)
        first = Path(folder) / "champion"
        train(spark, [str(parts["first"])], str(first), config=load_config(None, words))
        registry = Registry(str(Path(folder) / "registry"))
        initialize(spark, registry, str(first), [str(parts["frozen"])])
        retrain(spark, registry, [str(parts["shuffled"])], from_scratch=True)
        retrain(spark, registry, [str(parts["first"]), str(parts["second"])])
        results = {"decisions": registry.decisions()}
        results["watched"] = watch(spark, str(registry.folder / "champion"), parts, Path(options.other), out)
        results["rolled_back_to"] = registry.roll_back()
    (out / "operations.json").write_text(json.dumps(results, indent=1))
    for row in results["decisions"]:
        print(row["action"], row["champion"], *row.get("reasons", []), sep="\n  ")
    for name, found in results["watched"].items():
        for line in found["rates"]:
            alarms = f"{line['alarms']} of {line['batches']} batches of {line['rows']} rows"
            print(f"{name}: {alarms} at a rate of {line['rate']}: {line['by']}")


if __name__ == "__main__":
    run_job(main)

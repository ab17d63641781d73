"""What each step asks of an object store: requests, bytes, and what is kept of each file.

AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED spark-submit benchmarks/studies/store_requests.py

A real S3 server on this machine, that of the tests, is asked through a proxy that counts. It is near, so its seconds
are none of S3's: counts and bytes are what this gives. Results go to benchmarks/results/requests.json.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from aslspark.bundle.files import read_bundle
from aslspark.common.settings import load_config
from aslspark.common.store_path import any_path
from aslspark.training.checkpoint import Progress, write_checkpoint
from aslspark.training.feed import RowReader, SampleFeed, list_row_groups
from aslspark.workflows.train import train
from benchmarks.base import RESULTS, machine
from tests.s3_store import Store, counted, in_place_of_s3a, served_bucket

LISTED = 3_000
FILES, GROUPS, ROWS, SIDE = 8, 4, 256, 64
"""Of the table: files, row groups in each, pictures in each of those, pixels a side of a picture."""
EPOCHS = 4


@contextmanager
def asked_of(store: Store) -> Iterator[list[tuple[str, str]]]:
    """Count what this process, and those that it starts, ask of the store in the block."""
    with counted(store) as (seen, asked):
        before = dict(os.environ)
        os.environ.update(seen.environment())
        try:
            yield asked
        finally:
            os.environ.clear()
            os.environ.update(before)


def by_method(asked: list[tuple[str, str]]) -> dict[str, int]:
    """Count requests: a LIST is a GET of the bucket itself."""
    return dict(Counter("LIST" if "list-type" in path else method for method, path in asked))


def listing(store: Store) -> dict[str, Any]:
    """List a folder of many pictures, and hold the table of their paths and lengths, which Spark's driver is sent."""
    folder = store.folder / "many"
    for n in range(LISTED):
        path = folder / f"{n % 24:02d}" / f"picture-{n:08d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    with asked_of(store) as asked:
        files = any_path(store.uri("many")).files()
        requests = by_method(asked)
    table = pa.table({"path": [store.uri(f"many/{name}") for name, _ in files], "length": [size for _, size in files]})
    return {"files": len(files), "requests": requests, "bytes a file of path and length": table.nbytes / len(files)}


def write_table(folder: Path) -> int:
    """Write pictures as ingest does, and return the bytes of a row group."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (ROWS * GROUPS, SIDE * SIDE * 3), np.uint8)
    table = pa.table({"picture": [row.tobytes() for row in pixels], "label": ["A", "B"] * (ROWS * GROUPS // 2)})
    for n in range(FILES):
        pq.write_table(table, folder / f"part-{n}.parquet", row_group_size=ROWS)
    return pq.ParquetFile(folder / "part-0.parquet").metadata.row_group(0).total_byte_size


def reading(store: Store) -> dict[str, Any]:
    """Open a feed on a table and go through it twice, as an epoch that does not fit the memory does."""
    group = write_table(store.folder / "table")
    reader = RowReader(["A", "B"], (SIDE, SIDE, 3))
    found: dict[str, Any] = {"files": FILES, "row groups": FILES * GROUPS, "bytes of a row group": group}
    with asked_of(store) as asked:
        list_row_groups(store.uri("table"))
        found["listing and footers"] = by_method(asked)
    with asked_of(store) as asked:
        feed = SampleFeed(store.uri("table"), reader, batch_size=ROWS, budget=6 * group)
        asked.clear()
        started = time.perf_counter()
        rows = sum(len(batch.labels) for batch in feed.epoch(0))
        found["rows a second, on this machine"] = rows / (time.perf_counter() - started)
        found["an epoch"] = by_method(asked)
    return found


def keeping(store: Store) -> dict[str, Any]:
    """Write checkpoints of several sizes, the third of each: it removes one before it."""
    found: dict[str, Any] = {}
    for mib in (1, 32):
        with asked_of(store) as asked:
            place = any_path(store.uri(f"checkpoints-{mib}"))
            for epoch in range(1, 5):
                asked.clear()
                write_checkpoint(place, "study", Progress(epochs=epoch, best_epoch=epoch), bytes(mib << 20), {})
            found[f"{mib} MiB"] = by_method(asked)
    return found


def fitting(spark: SparkSession, store: Store) -> dict[str, Any]:
    """Fit a network with two processes, all of it in the bucket, and read its bundle three times."""
    words = ["training.framework=torch", "training.num_proc=2", f"training.epochs={EPOCHS}", "hands.on=false"]
    config = load_config(None, [*words, "training.patience=50", "augment.on=false", "drawn.count=480"])
    with asked_of(store) as asked:
        started = time.perf_counter()
        result = train(spark, [], store.uri("runs/study"), config=config)
        seconds = time.perf_counter() - started
        parts = {
            "task-": "signs of life and events",
            "orders": "orders",
            "checkpoints/": "checkpoints",
            "/samples/": "samples",
        }
        kinds = Counter(
            f"{next((name for part, name in parts.items() if part in path), 'bundle and the rest')}, {method}"
            for method, path in asked
        )
    with asked_of(store) as again:
        for _ in range(3):
            read_bundle(result.path)
        bundle = by_method(again)
    files = any_path(result.path).files()
    return {
        "seconds": seconds,
        "requests": dict(sorted(kinds.items())),
        "files of the bundle": len(files),
        "bundle read three times": bundle,
    }


def main() -> None:
    """Measure, print and keep."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        builder = SparkSession.builder.appName("aslspark requests")
        for setting, value in in_place_of_s3a(folder / "s3").items():
            builder = builder.config(setting, value)
        spark = builder.getOrCreate()
        with served_bucket(folder / "s3") as store:
            os.environ.update(store.environment())
            found: dict[str, Any] = {"machine": machine()}
            for name, step in (("listing", listing), ("reading", reading), ("keeping", keeping)):
                found[name] = step(store)
                print(name, json.dumps(found[name], indent=1), flush=True)
            found["fitting"] = fitting(spark, store)
            print("fitting", json.dumps(found["fitting"], indent=1))
        spark.stop()
    (RESULTS / "requests.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Ways of the samples to training: our feed against petastorm's reader, in our estimators and in Horovod's own.

spark-submit benchmarks/bench_feed.py [--runs 3] [--rows 4096]
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from base import Comparison, compare, options, write
from horovod.spark.common.store import Store
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.settings import load_config
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import TRAIN, VALIDATION, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.data.synthetic import drawn_samples
from aslspark.features.pipeline import feature_pipeline
from aslspark.training.data import TrainingData, look_at
from aslspark.training.data_module import IngestedStore
from aslspark.training.fit_network import fit_network

EPOCHS = 5
STOCK_BATCH = 256
FRAMEWORKS = ("keras", "torch")


def our_rate(table: TrainingData, folder: Path, framework: str, batch: int, feed: str) -> float:
    """Fit with our estimators and return rows a second: the median over the epochs after the first."""
    words = [
        f"training.framework={framework}",
        f"training.batch_size={batch}",
        f"training.epochs={EPOCHS}",
        f"training.feed={feed}",
        "network.name=cnn",
        "augment.on=false",
        "features.stretch=false",
    ]
    history = fit_network(table, load_config(None, words), Path(tempfile.mkdtemp(dir=folder))).history
    return statistics.median(row["rows"] / row["train_seconds"] for row in history[1:])


def flat_rows(spark: SparkSession, table: TrainingData) -> DataFrame:
    """Make of the samples what Horovod's own estimators read fastest: `picture` and `label` as arrays of float32."""
    features = feature_pipeline(spark, table.labels, stretch=False).fit(table.samples(spark).limit(1))
    rows = features.transform(read_samples(spark, table.folder, [TRAIN, VALIDATION]))
    return rows.select(
        vector_to_array("scaled_features", "float32").alias("picture"),
        vector_to_array("label_vec", "float32").alias("label"),
        (F.col("split") == VALIDATION).alias("held_out"),
    ).repartition(20)  # as many row groups as Horovod asks for: ten a process


def stock_rate(table: TrainingData, folder: Path, framework: str, flat: DataFrame | None) -> float:
    """Fit with Horovod's own estimator and return rows a second: the median over the epochs after the first.

    Parameters
    ----------
    table : TrainingData
    folder : Path
        For the stores.
    framework : str
    flat : DataFrame, optional
        Of `flat_rows`, for petastorm's reader; without it the ingested files are read through our data module.
    """
    store, clock = tempfile.mkdtemp(dir=folder), tempfile.mkdtemp(dir=folder)
    params: dict[str, Any] = {
        "num_proc": 2,
        "feature_cols": ["picture"],
        "label_cols": ["label"],
        "validation": "held_out",
        "batch_size": STOCK_BATCH,
        "epochs": EPOCHS,
        "random_seed": 42,
        "verbose": 0,
        "use_gpu": False,
    }
    build = {"keras": stock_keras, "torch": stock_torch}[framework]
    rows = sum(table.rows_of_source.values())
    if flat is None:
        build(table, clock, True, store=IngestedStore(table.folder, store), **params).fit_on_parquet()
    else:
        build(table, clock, False, store=Store.create(f"file://{store}", save_runs=False), **params).fit(flat)
        # Petastorm fills every step: Keras' estimator takes one more than the rows make, torch's one less.
        steps = rows / STOCK_BATCH / 2
        rows = 2 * STOCK_BATCH * (math.ceil(steps) if framework == "keras" else math.floor(steps))
    noted = np.loadtxt(f"{clock}/rank0").reshape(-1, 2)
    return float(np.median(rows / (noted[1:, 1] - noted[1:, 0])))


def stock_keras(table: TrainingData, clock: str, in_place: bool, **params: Any) -> Any:
    """Build Horovod's KerasEstimator, with a callback that notes when an epoch's training begins and ends."""
    import tensorflow as tf
    from horovod.spark.keras import KerasEstimator

    from aslspark.models.keras_network import build
    from aslspark.training.keras_data_module import InPlaceKerasData

    if in_place:
        params["data_module"] = partial(InPlaceKerasData, labels=table.labels, shape=table.shape, stretch=False)

    class Clock(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.ended = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # the validation is over by now
            with open(f"{clock}/rank{os.environ['HOROVOD_RANK']}", "a") as file:
                file.write(f"{self.started}\n{self.ended}\n")

    return KerasEstimator(
        model=build("cnn", table.shape, len(table.labels), 0.15),
        optimizer=tf.keras.optimizers.Adam(0.001),
        loss="categorical_crossentropy",
        callbacks=[Clock()],
        **params,
    )


def stock_torch(table: TrainingData, clock: str, in_place: bool, **params: Any) -> Any:
    """Build Horovod's TorchEstimator, with a step that notes when an epoch's first begins and its last ends."""
    import torch
    from horovod.spark.torch import TorchEstimator
    from horovod.spark.torch.remote import _train_minibatch_fn

    from aslspark.models.torch_network import build
    from aslspark.training.torch_data_module import InPlaceTorchData

    params["loss"] = torch.nn.CrossEntropyLoss()
    if in_place:
        params["data_module"] = partial(InPlaceTorchData, labels=table.labels, shape=table.shape, stretch=False)
        params["loss"] = lambda outputs, labels: torch.nn.functional.cross_entropy(outputs, labels.long())
    train_minibatch = _train_minibatch_fn()
    last = sum(table.rows_of_source.values()) // STOCK_BATCH // 2 - 1

    def noted_step(*given: Any) -> Any:
        def note() -> None:
            with open(f"{clock}/rank{os.environ['HOROVOD_RANK']}", "a") as file:
                file.write(f"{time.monotonic()}\n")

        step = given[-1]
        if step == 0:
            note()
        result = train_minibatch(*given)
        if step == last:
            note()
        return result

    height, width, channels = table.shape
    model = build("cnn", table.shape, len(table.labels), 0.15)
    return TorchEstimator(
        model=model,
        input_shapes=[[-1, channels, height, width]],
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        train_minibatch_fn=noted_step,
        **params,
    )


def main() -> None:
    """Measure and write the results."""
    chosen = options("Our feed against petastorm's reader.", rows=4096)
    lines: list[Comparison] = []
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_feed") as spark:
        folder = Path(name)
        sources: list[Any] = chosen.data or [drawn_samples(spark, count=int(chosen.rows / 0.95), seed=1).persist()]
        split = SplitOptions(kind="random", validation=0.03, test=0.02)
        ingest_sources(spark, sources, str(folder / "ingested"), split=split)
        table = look_at(spark, str(folder / "ingested"))
        flat = flat_rows(spark, table).persist()
        # Every fit starts processes of its own, and its first epoch does not count: no turn has to warm up.
        measured = partial(compare, unit="rows/s", runs=chosen.runs, warm_up=0)
        for framework in FRAMEWORKS:
            for batch in (256, 64):
                lines.append(
                    measured(
                        f"{framework}, batch {batch}: our estimator, files read in place",
                        "our estimator, petastorm's reader on a flat copy",
                        ours=partial(our_rate, table, folder, framework, batch, "in_place"),
                        theirs=partial(our_rate, table, folder, framework, batch, "petastorm"),
                        aim="1.0 or more",
                    )
                )
            horovods = partial(stock_rate, table, folder, framework, flat)
            lines.append(
                measured(
                    f"{framework}, batch {STOCK_BATCH}: our estimator, files read in place",
                    "Horovod's estimator, petastorm's reader",
                    ours=partial(our_rate, table, folder, framework, STOCK_BATCH, "in_place"),
                    theirs=horovods,
                    aim="1.0 or more",
                )
            )
            lines.append(
                measured(
                    f"{framework}, batch {STOCK_BATCH}: Horovod's estimator, our data module",
                    "Horovod's estimator, petastorm's reader",
                    ours=partial(stock_rate, table, folder, framework, None),
                    theirs=horovods,
                    aim="1.0 or more",
                )
            )
    notes = [
        "rates: rows that two processes train in a second, median over the epochs after the first and over the runs",
        "petastorm in Horovod's estimators reads arrays of float32, two reader threads, a step's batch always full",
        "not in the rates: what fit writes before it trains (the flat copy, or Horovod's own preparation)",
    ]
    write(f"feed{chosen.size}", lines, notes)


if __name__ == "__main__":
    main()

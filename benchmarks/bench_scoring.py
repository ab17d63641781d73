"""Scoring 28x28 rows from Parquet in two tasks: against two bare onnxruntime processes, and Horovod's transform.

python benchmarks/bench_scoring.py [--runs 3] [--rows 40000] [--data CSV ...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from base import compare, options, write
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import DenseVector
from pyspark.sql import functions as F

from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import read_samples
from aslspark.data.synthetic import drawn_samples
from aslspark.features.pipeline import feature_pipeline
from aslspark.models.keras_network import build, to_onnx
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel

SHAPE = (28, 28, 1)
BARE = """
import sys, time, numpy as np, onnxruntime
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
pictures = np.load(sys.argv[2])
session.run(None, {"picture": pictures[:256]}); print("ready", flush=True); sys.stdin.readline()
started = time.perf_counter()
for first in range(0, len(pictures), 256): session.run(None, {"picture": pictures[first : first + 256]})
print(time.perf_counter() - started)
"""


def main() -> None:
    """Measure and write the results."""
    chosen = options("Scoring speed.", rows=40_000)
    rows = chosen.rows
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_scoring") as spark:
        folder = Path(name)
        if chosen.data:
            ingest_sources(spark, chosen.data, str(folder / "ingested"))
            some = read_samples(spark, str(folder / "ingested")).persist()
        else:
            some = drawn_samples(spark, count=2400, seed=1).persist()
        copies = spark.range(-(-rows // some.count())).withColumnRenamed("id", "copy")
        some.crossJoin(copies).limit(rows).repartition(2).write.parquet(str(folder / "rows"))
        table = spark.read.parquet(str(folder / "rows"))
        network = build("cnn", SHAPE, 24, 0.3)
        onnx = to_onnx(network, True)
        (folder / "network.onnx").write_bytes(onnx)
        model = SignClassifierModel(OnnxClassifier(onnx, STATIC_LETTERS, SHAPE))
        data = np.frombuffer(b"".join(row[0] for row in table.select("picture.data").collect()), np.uint8)
        halves = np.array_split(data.reshape(-1, *SHAPE), 2)
        for n, half in enumerate(halves):
            np.save(folder / f"half{n}.npy", half)

        def ours() -> float:
            started = time.perf_counter()
            model.transform(table).write.format("noop").mode("overwrite").save()
            return rows / (time.perf_counter() - started)

        def bare() -> float:
            processes = [
                subprocess.Popen(
                    [sys.executable, "-c", BARE, str(folder / "network.onnx"), str(folder / f"half{n}.npy")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for n in range(2)
            ]
            for process in processes:
                assert process.stdout is not None
                process.stdout.readline()
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            return rows / max(float(process.communicate()[0]) for process in processes)

        few = table.limit(1000).repartition(2).persist()
        features = feature_pipeline(spark, STATIC_LETTERS, True).fit(few).transform(few)
        stock_input = features.select(vector_to_array("scaled_features", "float32").alias("x"), F.lit(0.0).alias("y"))
        stock_input = stock_input.persist()
        stock_rows = stock_input.count()

        def stock() -> float:
            from horovod.spark.keras import KerasModel

            metadata = {"y": {"spark_data_type": DenseVector}}
            transformer = KerasModel(
                model=network, feature_columns=["x"], label_columns=["y"], _floatx="float32", _metadata=metadata
            )
            started = time.perf_counter()
            transformer.transform(stock_input).write.format("noop").mode("overwrite").save()
            return stock_rows / (time.perf_counter() - started)

        lines = [
            compare(
                f"scoring {rows:,} rows of 28x28 from Parquet, two tasks",
                "two bare onnxruntime processes, arrays in memory",
                "rows/s",
                ours,
                bare,
                aim="0.7 or more",
                runs=chosen.runs,
            ),
        ]
        if keras.__version__ < "3":
            lines.append(
                compare(
                    f"scoring {rows:,} rows of 28x28 from Parquet, two tasks",
                    f"Horovod's KerasModel.transform ({stock_rows:,} rows)",
                    "rows/s",
                    ours,
                    stock,
                    aim="100 or more",
                    runs=1,
                    warm_up=0,
                )
            )
    write(
        f"scoring{chosen.size}", lines, [] if keras.__version__ < "3" else ["Horovod's KerasModel knows Keras 2 alone"]
    )


if __name__ == "__main__":
    main()

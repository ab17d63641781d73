"""Pictures in files, in two tasks: scoring and ingest, against two bare processes.

python benchmarks/bench_pictures.py [--runs 3] [--rows 4060] [--data FOLDER ...]

Without --data, hands are drawn, enlarged to 224 pixels and saved as JPEG. The bare processes open files by a list that
they are given, decode them at the scale of the JPEG format that is enough, resize, and (for scoring) run the network
in batches of 64; they write nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from base import compare, cpu_seconds, options, write
from PIL import Image

from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.synthetic import draw_hand
from aslspark.models.keras_network import build, to_onnx
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.unlabelled import FILE, rows_to_score

SIDE, JPEG_SIDE, BATCH = 64, 224, 64
BARE = """
import json, sys, time, numpy as np
from PIL import Image, ImageOps
paths, network, side, batch = json.load(open(sys.argv[1])), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def decoded(path):
    image = Image.open(path)
    image.draft("RGB", (2 * side, 2 * side))
    return np.asarray(ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BILINEAR))
if network:
    import onnxruntime
    options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
decoded(paths[0]); print("ready", flush=True); sys.stdin.readline()
started, spent = time.perf_counter(), time.process_time()
for first in range(0, len(paths), batch):
    pictures = np.stack([decoded(path) for path in paths[first : first + batch]])
    if network: session.run(None, {"picture": pictures})
print(time.perf_counter() - started, time.process_time() - spent)
"""


def jpegs(count: int, data: list[str], folder: Path) -> list[str]:
    """Return the folders of pictures to measure on: those given, or one of drawn hands."""
    if data:
        return data
    for n in range(count):
        letter = STATIC_LETTERS[n % len(STATIC_LETTERS)]
        picture = Image.fromarray(np.reshape(draw_hand(letter, seed=1, index=n, signer=n % 9), (28, 28)))
        path = folder / "drawn" / letter / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.resize((JPEG_SIDE, JPEG_SIDE)).convert("RGB").save(path, quality=90)
    return [str(folder / "drawn")]


def main() -> None:
    """Measure and write the results."""
    chosen = options("Scoring and ingest of JPEG files.", rows=4060, of="folders")
    with tempfile.TemporaryDirectory() as name, spark_session("aslspark bench_pictures") as spark:
        folder = Path(name)
        folders = jpegs(chosen.rows, chosen.data, folder)
        paths = sorted(
            str(path) for top in folders for path in Path(top).rglob("*") if path.suffix in (".jpg", ".jpeg")
        )
        for n in range(2):
            (folder / f"half{n}.json").write_text(json.dumps(paths[n::2]))
        onnx = to_onnx(build("small_cnn", (SIDE, SIDE, 3), len(STATIC_LETTERS), 0.15), True)
        network = folder / "network.onnx"
        network.write_bytes(onnx)
        model = SignClassifierModel(OnnxClassifier(onnx, STATIC_LETTERS, (SIDE, SIDE, 3)))

        cpu: dict[str, str] = {}

        def bare(network: str) -> float:
            processes = [
                subprocess.Popen(
                    [sys.executable, "-c", BARE, str(folder / f"half{n}.json"), network, str(SIDE), str(BATCH)],
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
            seconds, spent = zip(*(map(float, process.communicate()[0].split()) for process in processes), strict=True)
            cpu["bare processes that infer" if network else "bare processes"] = f"{sum(spent):.1f}"
            return len(paths) / max(seconds)

        def rate(what: str, work: Callable[[], object]) -> float:
            before, started = cpu_seconds(), time.perf_counter()
            work()
            seconds = time.perf_counter() - started
            spent = cpu_seconds()
            cpu[what] = ", ".join(f"{spent[name] - before[name]:.1f} {name}" for name in spent)
            return len(paths) / seconds

        def score() -> None:
            rows, column = rows_to_score(spark, folders, with_contents=False)
            model.are_paths = column == FILE
            model.setInputCol(column).transform(rows).drop(column).write.format("noop").mode("overwrite").save()

        def ingested() -> None:
            ingest_sources(spark, folders, tempfile.mkdtemp(dir=folder) + "/out")

        lines = [
            compare(
                f"scoring {len(paths):,} JPEG files",
                "two bare processes of decode, resize, infer",
                "pictures/s",
                lambda: rate("scoring", score),
                lambda: bare(str(network)),
                aim="0.85 or more",
                runs=chosen.runs,
            ),
            compare(
                f"ingest of {len(paths):,} JPEG files, to Parquet",
                "two bare decoding processes",
                "pictures/s",
                lambda: rate("ingest", ingested),
                lambda: bare(""),
                aim="0.85 or more",
                runs=chosen.runs,
            ),
        ]
    notes = [
        "ingest and scoring list the files first; the bare processes are given their names, and write nothing",
        "listing, counts, near duplicates and Spark's jobs weigh less the more pictures there are",
        *(f"CPU seconds of the last turn, {what}: {spent}" for what, spent in cpu.items()),
    ]
    write(f"pictures{chosen.size}", lines, notes)


if __name__ == "__main__":
    main()

"""How long the service takes to answer: 25 requests a second from 8 clients, a picture each.

spark-submit benchmarks/bench_service.py [--data FOLDER_OF_PICTURES ...] [--runs 3]

Clients ask by the clock, and time counts from when a request was due. The network is a `two_branch` of random weights:
it takes as long as a trained one.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import base
import torch
from PIL import Image

from aslspark.bundle.files import seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.labels import STATIC_LETTERS
from aslspark.data.synthetic import draw_hand
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel

CLIENTS, RATE, SECONDS = 8, 25.0, 20.0
SHAPE = (64, 64, 3)
AIM = 100.0
"""Milliseconds of the median."""


def write_bundle(folder: Path) -> str:
    """Write the bundle that is served."""
    inputs = (PICTURE, LANDMARKS)
    network = torch_network.build("two_branch", SHAPE, len(STATIC_LETTERS), 0.0).eval()
    onnx = torch_network.to_onnx(network, SHAPE, True, inputs)
    classifier = OnnxClassifier(onnx, STATIC_LETTERS, SHAPE, inputs=inputs)
    model = SignClassifierModel(classifier, hands=HandDetector(HandOptions(), installed_networks("bench_service")))
    with whole_folder(folder) as scratch:
        write_model(model, None, scratch)
        seal(scratch)
    return str(folder)


def measure(host: str, bodies: list[bytes], kind: str) -> tuple[list[float], dict[int, int]]:
    """Ask for so many seconds; return milliseconds of each request, and how often each status came."""
    times: list[float] = []
    statuses: dict[int, int] = {}
    lock, begin = threading.Lock(), time.perf_counter() + 0.2

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        for turn in range(int(RATE * SECONDS / CLIENTS)):
            due = begin + (turn * CLIENTS + number) / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            body = bodies[(turn * CLIENTS + number) % len(bodies)]
            connection.request("POST", "/predict", body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            with lock:
                times.append(1000 * (time.perf_counter() - due))
                statuses[answer.status] = statuses.get(answer.status, 0) + 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, statuses


def photographs(folders: list[str], count: int) -> list[bytes]:
    """Read files from the folders, evenly spread."""
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.jp*g"))
    return [path.read_bytes() for path in files[:: max(1, len(files) // count)][:count]]


def drawn_pictures() -> list[bytes]:
    """Draw a hand for each letter."""
    files = []
    for number, letter in enumerate(STATIC_LETTERS):
        file = io.BytesIO()
        Image.fromarray(draw_hand(letter, seed=1, index=number, signer=number % 6, size=256, channels=3)).save(
            file, "JPEG"
        )
        files.append(file.getvalue())
    return files


def main() -> None:
    """Measure, and write the results."""
    chosen = base.options("Time the service.", rows=64, of="folders")
    pictures = photographs(chosen.data, chosen.rows) if chosen.data else drawn_pictures()
    torch.manual_seed(1)
    crops = [torch.randint(0, 256, SHAPE, dtype=torch.uint8).numpy().tobytes() for _ in range(16)]
    lines, notes = (
        [],
        [f"{len(pictures)} pictures; {RATE:g} requests a second from {CLIENTS} clients, {SECONDS:g} s a run"],
    )
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        bundle = write_bundle(Path(folder) / "two")
        for what, words, bodies, kind in (
            ("photograph, one look at the hand", ["--looks", "1"], pictures, "image/jpeg"),
            ("photograph, four looks at the hand", [], pictures, "image/jpeg"),
            ("crop, no hand looked for", [], crops, "application/octet-stream"),
        ):
            command = [sys.executable, "-m", "aslspark", "serve", "--model", bundle, "--port", "0", *words]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                assert process.stdout is not None
                found = next(at for line in process.stdout if (at := re.search(r"http://(\S+)", line)))
                for body in bodies[:4]:  # the first of a process are slower
                    connection = http.client.HTTPConnection(found[1], timeout=60)
                    connection.request("POST", "/predict", body, {"Content-Type": kind})
                    connection.getresponse().read()
                runs = [measure(found[1], bodies, kind) for _ in range(chosen.runs)]
            finally:
                process.terminate()
                _, _, used = os.wait4(process.pid, 0)
            medians = [statistics.median(times) for times, _ in runs]
            slow = statistics.median(statistics.quantiles(times, n=20)[-1] for times, _ in runs)
            median = statistics.median(medians)
            statuses = json.dumps(
                {status: sum(seen.get(status, 0) for _, seen in runs) for _, seen in runs for status in seen}
            )
            lines.append(base.Comparison(what, "the aim", "ms", median, AIM, chosen.runs, median / AIM, "1 or less"))
            cpu = 1000 * (used.ru_utime + used.ru_stime) / sum(len(times) for times, _ in runs)
            notes.append(
                f"{what}: 95 % within {slow:.0f} ms; {cpu:.0f} ms of CPU a picture; answers by status {statuses}"
            )
            print(notes[-1], flush=True)
    notes.append(f"load average at the end: {os.getloadavg()[0]:.1f}")
    base.write(f"service{chosen.size}", lines, notes)


if __name__ == "__main__":
    main()

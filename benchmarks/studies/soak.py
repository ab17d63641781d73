"""Runs the service for some minutes under good, bad and hostile clients together, and says whether it holds.

python benchmarks/studies/soak.py --minutes 5 [--out runs/soak]

All clients are on this machine, few, and end by themselves. In the end OUT holds `soak.json` and `soak.png`: how long
good requests took, how much memory the service and its children held, which statuses came. The exit code is 1 where
one of the aims is missed. The network is a small CNN of random weights: it costs as much as a trained one.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import io
import itertools
import json
import multiprocessing
import os
import random
import re
import secrets
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

SHAPE, LABELS = (28, 28, 1), ("A", "B", "C", "L")
P95_MS, GROWTH = 200.0, 1.15
"""The aims: 95 % of good requests are quicker; memory at the end is at most so many times that after a quarter."""
PACE = 0.5
"""Seconds between two requests of a good client."""
TIMEOUT = 30
IDLE_SOCKETS, SLOW_HEADS, SILENT_CAMERAS = 150, 60, 8
Address = tuple[str, int]


def write_bundle(folder: Path) -> str:
    """Write the bundle that is served."""
    import torch

    from aslspark.bundle.files import seal, whole_folder
    from aslspark.bundle.write import write_model
    from aslspark.models import torch_network
    from aslspark.models.onnx_classifier import OnnxClassifier
    from aslspark.scoring.model import SignClassifierModel

    torch.manual_seed(1)
    network = torch_network.build("small_cnn", SHAPE, len(LABELS), 0.0).eval()
    model = SignClassifierModel(OnnxClassifier(torch_network.to_onnx(network, SHAPE, True), LABELS, SHAPE))
    with whole_folder(folder) as scratch:
        write_model(model, None, scratch)
        seal(scratch)
    return str(folder)


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> bytes:
    """Make a picture file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, "JPEG")
    return file.getvalue()


def flat(width: int, height: int) -> bytes:
    """Make a PNG of some kB that unpacks to very many pixels."""
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def many_scans(count: int) -> bytes:
    """Make a progressive JPEG whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("L", (1600, 1200), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[last:end] * count + data[end:]


def form(*files: bytes) -> bytes:
    """Make a multipart form of files."""
    head = '--edge\r\nContent-Disposition: form-data; name="pictures"; filename="{}.jpg"\r\n\r\n'
    return b"".join(head.format(n).encode() + file + b"\r\n" for n, file in enumerate(files)) + b"--edge--\r\n"


class Ended(Exception):  # noqa: N818
    """The time is up."""


# Good clients ------------------------------------------------------------------------------------------------------


def bodies_of(kind: str) -> list[tuple[bytes, str]]:
    """Return what a good client of a kind sends by turns."""
    files = [picture(seed) for seed in range(8)]
    numbers = np.random.default_rng(2).integers(0, 256, SHAPE[0] * SHAPE[1]).tolist()
    return {
        "jpeg": [(file, "image/jpeg") for file in files],
        "form": [(form(*files[:3]), "multipart/form-data; boundary=edge")],
        "json": [
            (json.dumps({"pictures": [numbers, base64.b64encode(files[0]).decode()]}).encode(), "application/json")
        ],
        "csv": [(",".join(map(str, numbers)).encode(), "text/csv")],
    }[kind]


def good_client(address: Address, kind: str, until: float, told: Any) -> None:
    """Ask by the clock; tell (when, kind, milliseconds, status, whether a 503 said when to come again)."""
    bodies = itertools.cycle(bodies_of(kind))
    connection, due = None, time.time()
    while (due := due + PACE) < until:
        time.sleep(max(0.0, due - time.time()))
        body, content_type = next(bodies)
        began, status, again = time.perf_counter(), 0, True
        try:
            connection = connection or http.client.HTTPConnection(*address, timeout=TIMEOUT)
            connection.request("POST", "/predict", body, {"Content-Type": content_type})
            answer = connection.getresponse()
            answer.read()
            status, again = answer.status, answer.status != 503 or answer.headers.get("retry-after") is not None
            if answer.headers.get("connection") == "close":
                connection = None
        except (OSError, http.client.HTTPException):
            connection = None
        told.append((time.time(), kind, 1000 * (time.perf_counter() - began), status, again))


def good_camera(address: Address, until: float, told: Any) -> None:
    """Send frames as the live page does."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    frames = itertools.cycle(picture(seed) for seed in range(4))
    while time.time() < until:
        with contextlib.suppress(OSError, WebSocketException), connect(f"ws://{address[0]}:{address[1]}/live") as live:
            while time.time() < until:
                began = time.perf_counter()
                live.send(next(frames))
                answer = json.loads(live.recv(TIMEOUT))
                status = 429 if "busy" in answer else 200
                told.append((time.time(), "camera", 1000 * (time.perf_counter() - began), status, True))
                time.sleep(PACE)
        time.sleep(0.1)


def good_clients(address: Address, until: float, results: Any) -> None:
    """Run all good clients, in a process of their own: what the hostile ones compute must not be measured."""
    told: list[tuple[float, str, float, int, bool]] = []
    threads = [
        threading.Thread(target=good_client, args=(address, kind, until, told), daemon=True)
        for kind in ("jpeg", "form", "json", "csv")
    ]
    threads.append(threading.Thread(target=good_camera, args=(address, until, told), daemon=True))
    run_until(threads, until)
    results.put(list(told))


# Hostile clients: each is called again and again, and yields a status or what became of it ---------------------------


def posted(
    body: bytes, content_type: str, path: str = "/predict", **headers: str
) -> Callable[[Address], Iterator[str]]:
    """Make a client that sends a body and reads the answer."""

    def client(address: Address) -> Iterator[str]:
        connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
        try:
            connection.request("POST", path, body, {"Content-Type": content_type, **headers})
            answer = connection.getresponse()
            answer.read()
            bare = answer.status == 503 and answer.headers.get("retry-after") is None
            yield f"{answer.status}{' without Retry-After' if bare else ''}"
        finally:
            connection.close()

    return client


def sent(data: bytes) -> Callable[[Address], Iterator[str]]:
    """Make a client that sends bytes of no special kind."""

    def client(address: Address) -> Iterator[str]:
        with socket.create_connection(address, timeout=TIMEOUT) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            yield status_of(connection.recv(200))

    return client


def status_of(head: bytes) -> str:
    """Read the status of an answer's first bytes."""
    found = re.match(rb"HTTP/1.1 (\d+)", head)
    return found[1].decode() if found else "closed"


def invented(address: Address) -> Iterator[str]:
    """Ask with a method, a path and a header that nobody knows."""
    name = secrets.token_hex(6)
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
    try:
        connection.request(
            f"M{name}", random.choice((f"/{name}", "/predict", f"/chart/{name}.png")), None, {f"X-{name}": "1"}
        )
        yield str(connection.getresponse().status)
    finally:
        connection.close()


def reset_in_body(address: Address) -> Iterator[str]:
    """Send half a body, and cut the connection."""
    connection = socket.create_connection(address, timeout=TIMEOUT)
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 4000000\r\n\r\n"
    connection.sendall(head.encode() + b"x" * 2_000_000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    yield "reset by us"


def idle_sockets(address: Address) -> Iterator[str]:
    """Hold connections that say nothing, until they are closed."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(address, timeout=TIMEOUT)) for _ in range(IDLE_SOCKETS)]
        for connection in held:
            yield status_of(connection.recv(200))


def slow_heads(address: Address) -> Iterator[str]:
    """Send heads a byte a second, on many connections."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(address, timeout=TIMEOUT)) for _ in range(SLOW_HEADS)]
        for connection in held:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        while held:
            time.sleep(1)
            for connection in list(held):
                try:
                    connection.sendall(b"a")
                except OSError:
                    held.remove(connection)
                    yield "closed"


def slow_body(address: Address) -> Iterator[str]:
    """Send a body a byte at a time."""
    with socket.create_connection(address, timeout=TIMEOUT) as connection:
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 4000\r\n\r\n"
        connection.sendall(head.encode())
        connection.settimeout(0.5)
        while True:
            connection.sendall(b"a")
            with contextlib.suppress(TimeoutError):
                yield status_of(connection.recv(200))
                return


def unread_answers(address: Address) -> Iterator[str]:
    """Ask for the page again and again, and read nothing."""
    with socket.create_connection(address, timeout=5) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            for _ in range(2000):
                connection.sendall(b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n")
        yield "unread"


def silent_cameras(address: Address) -> Iterator[str]:
    """Open conversations, and say nothing, or nonsense."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    with contextlib.ExitStack() as stack:
        held = []
        for number in range(SILENT_CAMERAS):
            try:
                held.append(stack.enter_context(connect(f"ws://{address[0]}:{address[1]}/live")))
                if number % 2:
                    held[-1].send("words")
                yield "accepted"
            except (OSError, WebSocketException):
                yield "refused"
        for live in held:
            try:
                live.recv(TIMEOUT)
            except (OSError, WebSocketException):
                yield "closed"


def hostile() -> dict[str, tuple[Callable[[Address], Iterator[str]], float]]:
    """Return every hostile client, and the seconds between two of its turns."""
    limit, head = 47_900_000, "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    lists = b'{"pictures":[' + b",".join([b"[]"] * (limit // 3)) + b"]}"
    deep = b'{"pictures":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    allowed = "\n".join([",".join(["255.000000000000001"] * 784)] * 32).encode()
    many = form(*[picture(seed, (1200, 900)) for seed in range(32)])
    headers = b"--edge\r\n" + b"X: y\r\n" * 100_000
    paths = (
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/chart/..%2f..%2fA.png",
        "/a%00b",
        "/" + "a" * 9000,
    )
    tricks = [sent(f"GET {path} {head}\r\n".encode()) for path in paths]

    def path_tricks(address: Address) -> Iterator[str]:
        for trick in tricks:
            yield from trick(address)

    return {
        "json of 16 million lists": (posted(lists, "application/json"), 3.0),
        "json that is deep": (posted(deep, "application/json"), 1.0),
        "csv of 40 MB": (posted(b"1," * 20_000_000, "text/csv"), 3.0),
        "csv as long as allowed": (posted(allowed, "text/csv"), 0.5),
        "jpeg of 24,000 scans": (posted(many_scans(24_000), "image/jpeg"), 1.0),
        "png of 49 million pixels": (posted(flat(7000, 7000), "image/png"), 0.5),
        "png of 10 billion pixels": (
            posted(flat(100, 100)[:16] + struct.pack(">II", 100_000, 100_000) + flat(100, 100)[24:], "image/png"),
            0.5,
        ),
        "32 pictures in a form": (posted(many, "multipart/form-data; boundary=edge"), 5.0),
        "form of 100,000 headers": (posted(headers, "multipart/form-data; boundary=edge"), 1.0),
        "form without an end": (
            posted(b"--edge\r\nContent-Disposition: form-data; name=", "multipart/form-data; boundary=edge"),
            0.5,
        ),
        "form without a boundary": (posted(b"x" * 1000, "multipart/form-data"), 0.5),
        "60 MB": (posted(b"x" * 60_000_000, "image/jpeg"), 3.0),
        "unknown types": (posted(b"x", "application/x-unknown"), 0.5),
        "packed body": (posted(b"x", "application/json", **{"Content-Encoding": "gzip"}), 0.5),
        "no picture": (posted(os.urandom(5000), "image/png"), 0.2),
        "cut jpeg": (posted(picture(1)[:-900], "image/jpeg"), 0.2),
        "reload without the token": (posted(b"", "", "/model/reload"), 0.5),
        "reload with a wrong token": (posted(b"", "", "/model/reload", Authorization="Bearer nonsense"), 0.5),
        "recording": (posted(picture(1), "image/jpeg", "/recordings/..%2f/A"), 0.5),
        "no HTTP": (sent(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"), 0.1),
        "head of 64 kB": (sent(b"GET / HTTP/1.1\r\nX: " + b"a" * 65_536), 0.5),
        "two lengths": (
            sent(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
            0.5,
        ),
        "path tricks": (path_tricks, 0.5),
        "invented methods": (invented, 0.05),
        "half a body, then reset": (reset_in_body, 0.5),
        "idle sockets": (idle_sockets, 0.5),
        "slow heads": (slow_heads, 0.5),
        "slow body": (slow_body, 0.5),
        "unread answers": (unread_answers, 2.0),
        "silent cameras": (silent_cameras, 0.5),
    }


def hostile_clients(address: Address, until: float, results: Any) -> None:
    """Run a thread for each hostile client."""
    counts: dict[str, Counter[str]] = {}

    def go_on(name: str, client: Callable[[Address], Iterator[str]], pause: float) -> None:
        seen = counts.setdefault(name, Counter())
        while time.time() < until:
            try:
                for status in client(address):
                    seen[status] += 1
            except (OSError, http.client.HTTPException) as error:
                seen[type(error).__name__] += 1
            time.sleep(min(pause, max(0.0, until - time.time())))

    run_until(
        [threading.Thread(target=go_on, args=(name, *what), daemon=True) for name, what in hostile().items()], until
    )
    results.put({name: dict(seen) for name, seen in counts.items()})


def run_until(threads: list[threading.Thread], until: float) -> None:
    """Run threads to their end, or to a time when they should have ended."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until + TIMEOUT + 5 - time.time()))


# Measuring ----------------------------------------------------------------------------------------------------------


class Memory(threading.Thread):
    """Notes once a second what the service and its children hold, and how many files they have open."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process, self.ended = process, threading.Event()
        self.seen: list[tuple[float, float, int]] = []
        """When, MiB, open files of the service."""

    def run(self) -> None:
        """Note until ended."""
        while not self.ended.wait(1.0):
            held = 0
            for one in [self._process, *self._process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    held += one.memory_info().rss
            with contextlib.suppress(psutil.Error):
                self.seen.append((time.time(), held / 2**20, self._process.num_fds()))


@contextlib.contextmanager
def service(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Address]]:
    """Run the service on a free port until the block ends."""
    bundle, log = write_bundle(folder / "bundle"), folder / "log"
    command = [
        sys.executable,
        "-m",
        "aslspark",
        "serve",
        "--model",
        bundle,
        "--port",
        "0",
        "--record",
        str(folder / "kept"),
    ]
    environment = {**os.environ, "ASLSPARK_TOKEN": secrets.token_hex(16)}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        found = None
        while found is None:
            if process.poll() is not None:
                raise SystemExit(f"the service did not start: {log.read_text()}")
            time.sleep(0.1)
            found = re.search(r"http://[^:]+:(\d+)", log.read_text())
        yield process, ("127.0.0.1", int(found[1]))
    finally:
        process.terminate()
        process.wait(60)


def summary(
    good: list[tuple[float, str, float, int, bool]], seen: list[tuple[float, float, int]], began: float
) -> dict[str, Any]:
    """Put the figures together."""
    answered = [one for one in good if one[3] == 200]

    def share(times: list[float], place: float) -> float:
        return round(float(np.quantile(times, place)), 1) if times else float("nan")

    kinds = sorted({one[1] for one in good})
    quarter = len(seen) // 4
    return {
        "requests": len(good),
        "statuses": dict(Counter(str(one[3]) for one in good)),
        "503_without_retry_after": sum(not one[4] for one in good),
        "milliseconds": {
            kind: {
                name: share([one[2] for one in answered if kind in (one[1], "all")], place)
                for name, place in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
            }
            for kind in ("all", *kinds)
        },
        "memory_mib": {
            "after_a_quarter": round(
                statistics.median(held for _, held, _ in seen[quarter : quarter + max(1, quarter)]), 1
            ),
            "in_the_last_quarter": round(statistics.median(held for _, held, _ in seen[-max(1, quarter) :]), 1),
            "most": round(max(held for _, held, _ in seen), 1),
        },
        "most_open_files": max(files for _, _, files in seen),
        "over_time": [
            {
                "second": second,
                "p50": share([one[2] for one in answered if second <= one[0] - began < second + 10], 0.5),
                "p95": share([one[2] for one in answered if second <= one[0] - began < second + 10], 0.95),
                "memory_mib": round(
                    max([held for when, held, _ in seen if second <= when - began < second + 10] or [0]), 1
                ),
            }
            for second in range(0, int(seen[-1][0] - began), 10)
        ],
    }


def plot(figures: dict[str, Any], path: Path) -> None:
    """Draw latency and memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = figures["over_time"]
    minutes = [row["second"] / 60 for row in rows]
    drawn, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 5))
    above.plot(minutes, [row["p50"] for row in rows], label="median")
    above.plot(minutes, [row["p95"] for row in rows], label="95 %")
    above.axhline(P95_MS, color="grey", linestyle=":", label="aim for 95 %")
    above.set_yscale("log")
    above.set_ylabel("good requests, ms")
    above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    below.plot(minutes, [row["memory_mib"] for row in rows])
    below.set_ylim(0)
    below.set_ylabel("service and children, MiB")
    below.set_xlabel("minutes")
    drawn.tight_layout()
    drawn.savefig(path, dpi=100)


def main() -> None:
    """Run, measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, metavar="N", help="default %(default)s")
    parser.add_argument("--out", default="runs/soak", metavar="DIR", help="default %(default)s")
    parser.add_argument("--calm", action="store_true", help="without hostile clients, to compare")
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    spawned = multiprocessing.get_context("spawn")
    results = {"good": spawned.Queue(), "hostile": spawned.Queue()}
    with tempfile.TemporaryDirectory(prefix="aslspark-soak-") as folder, service(Path(folder)) as (process, address):
        while next(posted(picture(1), "image/jpeg")(address)) != "200":
            time.sleep(0.1)
        began = time.time()
        until = began + 60 * options.minutes
        memory = Memory(psutil.Process(process.pid))
        memory.start()
        clients = [spawned.Process(target=good_clients, args=(address, until, results["good"]))]
        if not options.calm:
            clients.append(spawned.Process(target=hostile_clients, args=(address, until, results["hostile"])))
        for client in clients:
            client.start()
        good = results["good"].get(timeout=60 * options.minutes + 120)
        bad = {} if options.calm else results["hostile"].get(timeout=120)
        for client in clients:
            client.join(30)
        memory.ended.set()
        memory.join()
        metrics = http.client.HTTPConnection(*address, timeout=TIMEOUT)
        metrics.request("GET", "/metrics")
        page = metrics.getresponse().read()
        alive = process.poll() is None
        ending = time.monotonic()
        process.terminate()
        process.wait(60)
        ending = time.monotonic() - ending
        log_bytes = (Path(folder) / "log").stat().st_size
    figures = {
        "minutes": options.minutes,
        "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
        **summary(good, memory.seen, began),
        "hostile": bad,
        "metrics_bytes": len(page),
        "log_bytes": log_bytes,
        "seconds_to_end": round(ending, 2),
    }
    held = figures["memory_mib"]
    faults = [name for name, seen in bad.items() for status in seen if status[:1] == "5" and status != "503"]
    aims = {
        "95 % of good requests within 200 ms": figures["milliseconds"]["all"]["p95"] < P95_MS,
        "memory is flat": held["in_the_last_quarter"] <= GROWTH * held["after_a_quarter"],
        "no 5xx but 503 with Retry-After": not faults
        and figures["503_without_retry_after"] == 0
        and not any(status[0] == "5" and status != "503" for status in figures["statuses"]),
        "the service is there at the end": alive,
        "it ends in time": ending < 15,
        "log and /metrics stay small": log_bytes < 1_000_000 and len(page) < 100_000,
    }
    figures["aims"] = aims
    (out / "soak.json").write_text(json.dumps(figures, indent=1) + "\n")
    plot(figures, out / "soak.png")
    print(json.dumps({key: value for key, value in figures.items() if key != "over_time"}, indent=1))
    sys.exit(not all(aims.values()))


if __name__ == "__main__":
    main()

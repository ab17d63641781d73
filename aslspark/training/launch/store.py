"""Where the ranks find each other: keys and values over HTTP, for those who know the fit's secret.

In: requests for /SECRET:PORT/KEY. Out: values. Horovod's own client (gloo's) asks http://ADDRESS:PORT/SCOPE/KEY, and
HOST:PORT/SECRET does for its ADDRESS: so it knows a secret without a word of Horovod's about one.
"""

from __future__ import annotations

import hmac
import http.client
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

ADDRESS, PORT = "ASLSPARK_STORE", "ASLSPARK_STORE_PORT"
"""Environment variables of a worker, for `ask`."""
REQUEST_SECONDS = 5.0
"""That somebody who has connected may take to ask."""
LARGEST_VALUE = 1 << 20


def ask(
    address: str, port: int, method: str, key: str, content: bytes = b"", seconds: float = 2 * REQUEST_SECONDS
) -> bytes | None:
    """Ask a store: GET a value, PUT one, POST a number that is added to it, or DELETE it; None: there is none.

    Raises
    ------
    OSError
        Where nobody answers, or the secret in the address is another.
    """
    host, _, secret = address.partition("/")
    # Not by urllib, which would go through the proxy that the environment names.
    connection = http.client.HTTPConnection(host, timeout=seconds)
    try:
        connection.request(method, f"/{secret}:{port}/{key}", content)
        answer = connection.getresponse()
        found = answer.read()
    finally:
        connection.close()
    if answer.status not in (200, 404):
        raise OSError(f"the store at {host} answers {method} with {answer.status}")
    return found if answer.status == 200 else None


class StoreServer(socketserver.ThreadingTCPServer):
    """Serves at one of this host's addresses, in threads, until it is closed.

    Not by http.server's own, which would ask the name service for this host's name.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, host: str, secret: str) -> None:
        super().__init__((host, 0), _Handler)
        self.port = int(self.server_address[1])
        self.start_of_paths = f"/{secret}:{self.port}/"
        self.values: dict[str, bytes] = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.1,), name="store", daemon=True).start()

    def close(self) -> None:
        """Give the port back."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *request: Any) -> None:
        """Say nothing of those that break off."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS
    server: StoreServer

    def do_GET(self) -> None:
        start, length = self.server.start_of_paths, self.headers.get("Content-Length", "0")
        if not hmac.compare_digest(self.path[: len(start)].encode(), start.encode()):
            self._send(403)
            return
        if not length.isdecimal() or int(length) > LARGEST_VALUE:
            self._send(400)
            return
        key, content, values = self.path[len(start) :], self.rfile.read(int(length)), self.server.values
        with self.server.lock:
            if self.command == "PUT":
                values[key] = content
            elif self.command == "POST":
                values[key] = str(int(values.get(key, b"0")) + int(content)).encode()
            found = values.pop(key, b"") if self.command == "DELETE" else values.get(key)
        self._send(404 if found is None else 200, found or b"")

    do_PUT = do_POST = do_DELETE = do_GET  # the names that the base class looks for

    def _send(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: Any) -> None:
        """Say nothing of requests."""

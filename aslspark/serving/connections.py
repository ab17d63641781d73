"""Limits the number of connections and the time that each may be idle.

In: the calls of uvicorn to its protocol. Out: the same connections, of which idle ones are closed in time, or earlier
to make room for new ones.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from aslspark.serving.limits import Limits

ANSWER_SECONDS = 10.0
"""Time for the client to take its answer, beyond the times for arriving and reading."""
FRESH_SECONDS = 0.25
"""How long a new connection without a request keeps its place, since its request may be on the way."""
LINGER_SECONDS, MOST_LINGERING = 1.0, 64
"""How long refused connections may go on sending, and how many of them."""
SWEEP_SECONDS = 1.0
OTHER_FILES = 128
"""Files that the service opens beside its connections: children, the bundle, the page, temporary files."""
IDLE, SLOW, FULL = "idle", "slow", "full"
CLOSED = (IDLE, SLOW, FULL)
"""Why connections are closed: no request came, a request did not end in time, there was no room."""


class Connections:
    """All open connections."""

    def __init__(self, limits: Limits) -> None:
        self.most, self._head_seconds = limits.connections, limits.seconds
        self._request_seconds = 2 * limits.seconds + ANSWER_SECONDS
        self._open: dict[Connection, None] = {}
        self.closed = dict.fromkeys(CLOSED, 0)
        """Reason to the number of closed connections."""
        self.lingering = 0
        """Refused connections that are still sending."""

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Admit a connection; where there is no room, the one that has been idle for longest is closed for it."""
        if len(self._open) >= self.most:
            self.sweep()
        if len(self._open) >= self.most:
            now = time.monotonic()
            idle = [other for other in self._open if not other.busy and now - other.since > FRESH_SECONDS]
            if not idle:
                self.closed[FULL] += 1
                return False
            self._close(min(idle, key=lambda other: other.since), IDLE)
        self._open[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """Remove a connection."""
        self._open.pop(connection, None)

    def sweep(self) -> None:
        """Close connections that have been idle or busy for too long."""
        now = time.monotonic()
        for connection in list(self._open):
            if connection.transport.is_closing():
                self.leave(connection)
                continue
            longest = self._request_seconds if connection.busy else self._head_seconds
            if not connection.talks and now - connection.since > longest:
                self._close(connection, SLOW if connection.busy else IDLE)

    async def watch(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    def protocol(self) -> type[Connection]:
        """Return the class that uvicorn instantiates for each connection."""
        return type("Connection", (Connection,), {"all": self})

    def _close(self, connection: Connection, why: str) -> None:
        self.closed[why] += 1
        self.leave(connection)
        # `close` would wait until all is written.
        connection.transport.abort()


class Connection(H11Protocol):
    """A connection over which uvicorn speaks HTTP."""

    all: Connections
    since = 0.0
    """When its last request began or ended, by `time.monotonic`."""
    _admitted = False
    _lingers = False

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or the connection has become a WebSocket."""
        return self.talks or (self.cycle is not None and not self.cycle.response_complete)

    @property
    def talks(self) -> bool:
        """Whether it has become a WebSocket, which `live` closes when it is silent."""
        return self.transport.get_protocol() is not self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or answer that there is no room."""
        self.since = time.monotonic()
        self.transport = cast(asyncio.Transport, transport)
        if self.all.admit(self):
            self._admitted = True
            super().connection_made(self.transport)
            return
        reason = json.dumps({"reason": f"{self.all.most} connections are open: try again soon"}).encode()
        head = (
            f"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(reason)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + reason)
        if self.all.lingering < MOST_LINGERING and self.transport.can_write_eof():
            # If it were closed at once while the client still sends, the client would not get the answer.
            self.transport.write_eof()
            self.all.lingering += 1
            self._lingers = True
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Handle received data, and note when a request begins."""
        if not self._admitted:
            return
        before = self.busy
        super().data_received(data)
        if self.busy and not before:
            self.since = time.monotonic()

    def on_response_complete(self) -> None:
        """Note when a request ends."""
        self.since = time.monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self.all.leave(self)
        self.all.lingering -= self._lingers
        if self._admitted:
            super().connection_lost(exc)


def open_files(most: int) -> int:
    """Raise this process' limit of open files for so many connections, and return how many it then allows.

    Parameters
    ----------
    most : int
        Connections.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = most + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return most if soft == resource.RLIM_INFINITY else min(most, soft - OTHER_FILES)

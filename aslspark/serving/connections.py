"""The connections of the service: how many there may be, and how long one may do nothing.

In: what uvicorn tells its protocol. Out: the same connections, of which the idle ones are closed in time, and
make room for new ones where all are taken.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from aslspark.serving.limits import Limits

ANSWER_SECONDS = 10.0
"""Beyond those of arriving and reading, for the client to take its answer."""
FRESH_SECONDS = 0.25
"""That a connection keeps its place for, though nothing has come yet: its request may be on the way."""
LINGER_SECONDS, MOST_LINGERING = 1.0, 64
"""How long refused connections may go on sending, and how many."""
SWEEP_SECONDS = 1.0
OTHER_FILES = 128
"""That the service opens beside its connections: children, the bundle, the page, temporary files."""
IDLE, SLOW, FULL = "idle", "slow", "full"
CLOSED = (IDLE, SLOW, FULL)
"""Why connections are closed: no request came, a request did not end, there was no room."""


class Connections:
    """All connections that are open.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self.most, self._head_seconds = limits.connections, limits.seconds
        self._request_seconds = 2 * limits.seconds + ANSWER_SECONDS
        self._open: dict[Connection, None] = {}
        self.closed = dict.fromkeys(CLOSED, 0)
        """How many were closed, and why."""
        self.lingering = 0
        """Refused ones that are still sending."""

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Take a connection in; where all are taken, the one that does nothing for longest makes room."""
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
        """Forget a connection."""
        self._open.pop(connection, None)

    def sweep(self) -> None:
        """Close what has done nothing for too long."""
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
        """Return the class that uvicorn makes of each connection."""
        return type("Connection", (Connection,), {"all": self})

    def _close(self, connection: Connection, why: str) -> None:
        self.closed[why] += 1
        self.leave(connection)
        # What is still to be written would be waited for.
        connection.transport.abort()


class Connection(H11Protocol):
    """One connection, as uvicorn speaks HTTP over it."""

    all: Connections
    since = 0.0
    """Of its last request's beginning or end, by `time.monotonic`."""
    _admitted = False
    _lingers = False

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or the connection has become a WebSocket."""
        return self.talks or (self.cycle is not None and not self.cycle.response_complete)

    @property
    def talks(self) -> bool:
        """Whether it has become a WebSocket, whose silence `live` limits."""
        return self.transport.get_protocol() is not self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or say that there is no room."""
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
            # Closed at once, what it is still sending would take the answer from it.
            self.transport.write_eof()
            self.all.lingering += 1
            self._lingers = True
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass on what came, and note when a request begins."""
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
        """Forget the connection."""
        self.all.leave(self)
        self.all.lingering -= self._lingers
        if self._admitted:
            super().connection_lost(exc)


def open_files(most: int) -> int:
    """Let this process open enough files for so many connections, and return for how many it may.

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

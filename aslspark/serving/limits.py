"""The limits of the service, and the refusal of a request that exceeds them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from aslspark.images.image_spec import MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """The most that the service takes on."""

    bytes: int = 12_000_000
    """Of one picture's file."""
    pixels: int = MAX_PIXELS
    """Of one picture, as its header says."""
    pictures: int = 32
    """In one request."""
    seconds: float = 10.0
    """For a request's head to arrive, for its body, and from then to the answer; half of it to decode one picture."""
    waiting: int = 64
    """Pictures of all requests that wait for their turn."""
    connections: int = 256
    """Open at once, idle ones included."""
    held: int = 200_000_000
    """Bytes of all bodies and frames together, while they arrive, wait and are read."""

    @property
    def body(self) -> int:
        """Bytes of one request, as many as four of the largest files."""
        return 4 * self.bytes


class Refused(Exception):  # noqa: N818  (it ends in an answer, not in a traceback)
    """A request is refused, with an HTTP status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Held:
    """Counts the bytes that the service holds for all requests together."""

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """Count what one request holds until the block ends."""
        share = Share(self)
        try:
            yield share
        finally:
            share.give_back()


class Share:
    """The bytes that one request holds."""

    def __init__(self, held: Held) -> None:
        self._held, self._size = held, 0

    def take(self, size: int) -> None:
        """Add bytes.

        Raises
        ------
        Refused
            503 where the service holds too much already.
        """
        if self._held.now + size > self._held.most:
            raise Refused(503, f"the service holds {self._held.now:,} bytes of other requests: try again soon")
        self._held.now += size
        self._size += size

    def give_back(self) -> None:
        """Release all bytes."""
        self._held.now -= self._size
        self._size = 0

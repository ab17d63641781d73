"""What a request may ask of the service, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass

from aslspark.decoding import MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """What the service takes on.

    Parameters
    ----------
    bytes : int
        Of one picture's file.
    pixels : int
        Of one picture, as its header says.
    pictures : int
        In one request.
    seconds : float
        For one request, waiting included.
    waiting : int
        Pictures that may wait for their turn, of all requests together.
    """

    bytes: int = 12_000_000
    pixels: int = MAX_PIXELS
    pictures: int = 32
    seconds: float = 10.0
    waiting: int = 64

    @property
    def body(self) -> int:
        """Bytes of a whole request: four of the largest files, or many small ones."""
        return 4 * self.bytes


class Refused(Exception):  # noqa: N818  (it ends in an answer, not in a traceback)
    """A request that is not served: the status of its answer, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason

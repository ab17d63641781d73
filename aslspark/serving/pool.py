"""Threads that read pictures: few at once, few waiting, none for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aslspark.reading import Answer
from aslspark.serving.champion import Champion, Served
from aslspark.serving.limits import Limits, Refused


class Pool:
    """Reads the pictures of all requests.

    Parameters
    ----------
    champion : Champion
    limits : Limits
    workers : int
    """

    def __init__(self, champion: Champion, limits: Limits, workers: int) -> None:
        self.champion, self.limits, self._workers = champion, limits, workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="reading")
        self.inside = 0
        """Pictures that wait or are being read."""

    def start_detectors(self) -> None:
        """Let each thread start a detector; pictures that come meanwhile wait for the first."""
        detectors = self.champion.now.detectors
        for _ in range(self._workers if detectors is not None else 0):
            self._threads.submit(detectors.start)  # type: ignore[union-attr]

    async def read(self, pictures: Sequence[tuple[Any, str]]) -> tuple[Served, list[Answer]]:
        """Read pictures with the model of this moment.

        Parameters
        ----------
        pictures : sequence of (value, kind)
            As `Reader.read` takes them.

        Raises
        ------
        Refused
            429 where too many wait already, 503 where the time is up.
        """
        if self.inside + len(pictures) > self.limits.waiting + self._workers:
            raise Refused(429, f"{self.inside} pictures are waiting; at most {self.limits.waiting} may: try again soon")
        served = self.champion.now
        loop = asyncio.get_running_loop()
        self.inside += len(pictures)
        futures = []
        for value, kind in pictures:
            future = self._threads.submit(served.read, value, kind)
            future.add_done_callback(partial(_tell, loop, self._done))
            futures.append(asyncio.wrap_future(future))
        try:
            return served, await asyncio.wait_for(asyncio.gather(*futures), self.limits.seconds)
        except asyncio.TimeoutError:
            raise Refused(503, f"not read within {self.limits.seconds:g} s; send fewer or smaller pictures") from None

    def close(self) -> None:
        """End the threads; what they are at is done first, what waits is not."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _done(self) -> None:
        self.inside -= 1


def _tell(loop: asyncio.AbstractEventLoop, done: Any, _: Any) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(done)

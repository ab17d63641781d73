"""Reads the pictures of all requests: a limited number at once and in the queue, each for a limited time.

Pictures are decoded in child processes that can be ended. Heavy ones have a lane of their own, so that the others do
not wait behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from aslspark.common.catalog import PICTURE
from aslspark.common.child_process import ChildDied, ChildNotStarted, ChildProcess, ChildTimedOut
from aslspark.common.counted import counted
from aslspark.scoring.answers import Answer
from aslspark.serving.decoder import LIGHT_BODY, Parse, Wrong, is_heavy
from aslspark.serving.isolated_reader import decoder_process, read_isolated
from aslspark.serving.limits import Held, Limits, Refused
from aslspark.serving.model_holder import Served
from aslspark.serving.payload import Picture, is_file, most_bytes, plain_pictures

log = logging.getLogger("aslspark.serving")

HEAVY_NICENESS = 10
"""Niceness of the heavy lane, so that on few cores it does not slow the light one."""
T = TypeVar("T")


class PictureExecutor:
    """Reads the pictures of all requests.

    Parameters
    ----------
    workers : int
        Light pictures read at once, beside one heavy one.
    """

    def __init__(self, limits: Limits, workers: int) -> None:
        self.limits, self._workers = limits, workers
        self._light, self._heavy = Lane(workers, "light", 0), Lane(1, "heavy", HEAVY_NICENESS)
        # Half of a request's time, so that a picture that hangs gets that reason, and not that the time was over.
        self._work_seconds = limits.seconds / 2
        self.held = Held(limits.held)
        self.inside = 0
        """Pictures and bodies that wait or are worked on."""

    @property
    def ready(self) -> bool:
        """Whether a process that decodes has started."""
        return self._light.started and not self._light.closed

    @property
    def replaced(self) -> int:
        """The number of children that hung or died."""
        return self._light.replaced + self._heavy.replaced

    def start(self) -> None:
        """Start the light lane's children, without waiting for them; the heavy one's first picture starts its own."""
        self._light.start()

    def most_bytes(self, content_type: str, served: Served) -> int:
        """Return how many bytes a body may have; see `payload.most_bytes`."""
        return most_bytes(content_type, self.limits, _values(served))

    async def pictures_of(self, content_type: str, body: bytes, served: Served) -> list[Picture]:
        """Return the pictures of a body that a model is to read; see `payload.pictures_of`.

        Raises
        ------
        Refused
        """
        if is_file(content_type):
            return plain_pictures(content_type, body, self.limits)
        message = Parse(content_type, body, self.limits, _values(served))
        lane = self._light if len(body) <= LIGHT_BODY else self._heavy
        return await self._in_time(self._counted(self._parsed(lane, message)))

    async def read(self, pictures: Sequence[tuple[Any, str]], served: Served) -> list[Answer]:
        """Read pictures.

        Parameters
        ----------
        pictures : sequence of (value, kind)
            As for `Reader.read`.
        served : Served
            The model that reads them.

        Raises
        ------
        Refused
            429 where too many wait already, 503 where the time is over.
        """
        if self.inside + len(pictures) > self.limits.waiting + self._workers:
            raise Refused(
                429,
                f"{counted(self.inside, 'picture is', 'pictures are')} waiting; at most {self.limits.waiting} may: "
                "try again soon",
            )
        jobs = [self._counted(self._answered(served, value, kind)) for value, kind in pictures]
        return await self._in_time(_all(jobs))

    def close(self) -> None:
        """End the children at once; requests that wait for one are refused."""
        self._light.close()
        self._heavy.close()

    async def _in_time(self, job: Coroutine[Any, Any, T]) -> T:
        try:
            return await asyncio.wait_for(job, self.limits.seconds)
        except asyncio.TimeoutError:
            seconds = f"{self.limits.seconds:g} s"
            raise Refused(503, f"not read within {seconds}; send fewer or smaller pictures") from None
        except ChildNotStarted as error:
            log.error("%s", error)
            raise Refused(503, "no picture can be read now; see the service's log") from error

    async def _counted(self, job: Coroutine[Any, Any, T]) -> T:
        self.inside += 1
        try:
            return await job
        finally:
            self.inside -= 1
            job.close()

    async def _parsed(self, lane: Lane, message: Parse) -> list[Picture]:
        try:
            parsed = await lane.run(lambda child: child.ask(message, self._work_seconds))
        except ChildTimedOut:
            raise Refused(
                413, f"the body was not parsed within {self._work_seconds:g} s; send fewer pictures"
            ) from None
        except ChildDied:
            raise Refused(400, "the body ended the process that parses") from None
        if isinstance(parsed, Wrong):
            raise Refused(parsed.status, parsed.reason)
        pictures: list[Picture] = parsed
        return pictures

    async def _answered(self, served: Served, value: Any, kind: str) -> Answer:
        if not is_heavy(value, kind):
            answer = await self._light.run(partial(self._read, served, value, kind, only_light=True))
            if answer is not None:
                return answer
        answer = await self._heavy.run(partial(self._read, served, value, kind, only_light=False))
        assert answer is not None
        return answer

    def _read(self, served: Served, value: Any, kind: str, child: ChildProcess, *, only_light: bool) -> Answer | None:
        return read_isolated(child, served.reader, value, kind, seconds=self._work_seconds, only_light=only_light)


class Lane:
    """A few threads, each with a child process; jobs wait for their turn without occupying a thread.

    Parameters
    ----------
    niceness : int
        Of the children, relative to the service's.
    """

    def __init__(self, count: int, name: str, niceness: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._turns = asyncio.Semaphore(count)
        self._children = [decoder_process(niceness) for _ in range(count)]
        self._free: queue.LifoQueue[ChildProcess] = queue.LifoQueue()
        for child in self._children:
            self._free.put(child)
        self.started, self.closed, self.replaced = False, False, 0

    def start(self) -> None:
        """Start the children side by side, without waiting for them."""
        for _ in self._children:
            self._threads.submit(self._with_child, ChildProcess.start)

    async def run(self, job: Callable[[ChildProcess], T]) -> T:
        """Run a job in a thread, with a child.

        Raises
        ------
        Refused
            503 where the service is ending.
        ChildTimedOut, ChildDied, ChildNotStarted
        """
        await self._turns.acquire()
        if self.closed:
            self._turns.release()
            raise Refused(503, "the service ends")
        loop = asyncio.get_running_loop()

        def release(_: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._turns.release)

        # The turn ends with the thread's work, even if the request was given up before.
        future = self._threads.submit(self._with_child, job)
        future.add_done_callback(release)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the children, so that threads which wait for them go on at once."""
        self.closed = True
        for child in self._children:
            child.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _with_child(self, job: Callable[[ChildProcess], T]) -> T:
        child = self._free.get()
        try:
            result = job(child)
            self.started = True
            return result
        except (ChildTimedOut, ChildDied):
            self.replaced += 1
            raise
        except ChildNotStarted:
            self.started = False
            raise
        finally:
            self._free.put(child)
            if self.closed:
                child.close()


def _values(served: Served) -> int:
    """Return how many numbers a picture has that the model takes as it is; 0 where it takes hands, and no picture."""
    if PICTURE not in served.reader.network.inputs:
        return 0
    height, width, channels = served.reader.form.shape
    return height * width * channels


async def _all(jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    return list(await asyncio.gather(*jobs))

"""Frames of a camera over a WebSocket: the newest is read, those that it overtook are not.

In: binary messages, a JPEG or PNG file each. Out: a text message for each frame that was read: `schemas.Reading` as
JSON, with `skipped`, the frames that were overtaken since the last.
"""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import WebSocket, WebSocketDisconnect

from aslspark.reading import BYTES
from aslspark.serving.limits import Refused
from aslspark.serving.metrics import Metrics
from aslspark.serving.pool import Pool
from aslspark.serving.schemas import reading_of

TOO_LARGE, TRY_AGAIN = 1009, 1013
"""Codes with which a WebSocket is closed (RFC 6455 and its registry)."""


class Slot:
    """Holds one frame: a newer one takes the place of an older one."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._there = asyncio.Event()
        self._overtaken = 0

    def put(self, frame: bytes) -> None:
        """Lay a frame in."""
        self._overtaken += self._frame is not None
        self._frame = frame
        self._there.set()

    async def take(self) -> tuple[bytes, int]:
        """Wait for a frame, and take it out, with how many it overtook."""
        await self._there.wait()
        self._there.clear()
        frame, overtaken = self._frame, self._overtaken
        self._frame, self._overtaken = None, 0
        assert frame is not None
        return frame, overtaken


async def converse(socket: WebSocket, pool: Pool, metrics: Metrics) -> None:
    """Answer frames until the other end leaves.

    Parameters
    ----------
    socket : WebSocket
        Accepted.
    pool : Pool
    metrics : Metrics
    """
    slot = Slot()
    answering = asyncio.create_task(_answer(socket, slot, pool, metrics))
    try:
        while not answering.done():
            receiving = asyncio.create_task(socket.receive())
            await asyncio.wait({receiving, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                receiving.cancel()
                break
            message = receiving.result()
            if message["type"] == "websocket.disconnect":
                break
            frame = message.get("bytes")
            if not frame:
                continue
            if len(frame) > pool.limits.bytes:
                await socket.close(TOO_LARGE, "the frame is too large")
                break
            slot.put(frame)
    finally:
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await answering


async def _answer(socket: WebSocket, slot: Slot, pool: Pool, metrics: Metrics) -> None:
    while True:
        frame, skipped = await slot.take()
        if skipped:
            metrics.skipped.inc(skipped)
        try:
            _, [answer] = await pool.read([(frame, BYTES)])
        except Refused as refused:
            await socket.send_json({"busy": refused.reason})
            continue
        metrics.count(answer)
        await socket.send_json({**reading_of(answer).model_dump(), "skipped": skipped})

"""Reads a camera's frames over a WebSocket; frames that newer ones overtake are skipped.

In: binary messages, each a JPEG or PNG file. Out: a text message for each frame that was read: `schemas.Reading` as
JSON, with `skipped`, the number of frames skipped since the last answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from aslspark.scoring.reader import BYTES
from aslspark.serving.executor import PictureExecutor
from aslspark.serving.limits import Refused, Share
from aslspark.serving.metrics import Metrics
from aslspark.serving.model_holder import ModelHolder
from aslspark.serving.schemas import reading_of

POLICY, TOO_LARGE, TRY_AGAIN = 1008, 1009, 1013
"""Codes with which a WebSocket is closed (RFC 6455 and its registry)."""
MOST_CAMERAS = 8
SILENT_SECONDS = 30.0
"""A camera without a frame for so long is disconnected; the page sends the next frame when the last is answered."""
MOST_STRANGE = 100
"""Messages that are no frames, after which a camera is disconnected."""
ROOM_SECONDS = 2.0
"""A camera without a frame for so long makes room for another one."""


class Slot:
    """Holds the newest frame; an older one that was not taken is dropped."""

    def __init__(self) -> None:
        self._frame: tuple[bytes, Share] | None = None
        self._there = asyncio.Event()
        self._overtaken = 0

    def put(self, frame: bytes, share: Share) -> None:
        """Put in a frame, with the share in which its bytes are counted."""
        if self._frame is not None:
            self._overtaken += 1
            self._frame[1].give_back()
        self._frame = frame, share
        self._there.set()

    async def take(self) -> tuple[bytes, Share, int]:
        """Wait for a frame and take it out, with its share and the number of frames that it overtook."""
        await self._there.wait()
        self._there.clear()
        assert self._frame is not None
        (frame, share), overtaken = self._frame, self._overtaken
        self._frame, self._overtaken = None, 0
        return frame, share, overtaken

    def empty(self) -> None:
        """Drop the frame."""
        if self._frame is not None:
            self._frame[1].give_back()
            self._frame = None


class Cameras:
    """The connected cameras; a silent one makes room for a new one."""

    def __init__(self, executor: PictureExecutor, metrics: Metrics) -> None:
        self._executor, self._metrics = executor, metrics
        self._open: dict[WebSocket, float] = {}
        """Camera to when its last frame came, by `time.monotonic`."""

    async def admit(self, socket: WebSocket, holder: ModelHolder) -> None:
        """Serve a camera, by the model that is held when each frame comes, until it leaves; or refuse it."""
        if len(self._open) >= MOST_CAMERAS:
            longest = min(self._open, key=lambda other: self._open[other])
            if time.monotonic() - self._open[longest] < ROOM_SECONDS:
                await socket.close(TRY_AGAIN, "too many cameras")
                return
            del self._open[longest]  # its own `_converse` then ends
        self._open[socket] = time.monotonic()
        try:
            await socket.accept()
            await self._converse(socket, holder)
        finally:
            self._open.pop(socket, None)

    async def _converse(self, socket: WebSocket, holder: ModelHolder) -> None:
        """Answer frames until the camera leaves, is silent or has to make room."""
        slot = Slot()
        answering = asyncio.create_task(self._answer(socket, slot, holder))
        receiving: asyncio.Task[Any] | None = None
        strange = 0
        try:
            while not answering.done():
                receiving = receiving or asyncio.create_task(socket.receive())
                await asyncio.wait({receiving, answering}, timeout=ROOM_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    last = self._open.get(socket)
                    if last is None or time.monotonic() - last > SILENT_SECONDS:
                        await socket.close(TRY_AGAIN, "no frame came; connect again to go on")
                        break
                    continue
                message, receiving = receiving.result(), None
                if message["type"] == "websocket.disconnect":
                    break
                frame = message.get("bytes")
                if not frame:
                    strange += 1
                    if strange > MOST_STRANGE:
                        await socket.close(POLICY, "send pictures, as binary messages")
                        break
                    continue
                if len(frame) > self._executor.limits.bytes:
                    await socket.close(TOO_LARGE, "the frame is too large")
                    break
                if socket in self._open:
                    self._open[socket] = time.monotonic()
                await self._put(socket, slot, frame)
        finally:
            for task in (answering, receiving):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, TimeoutError):
                        await task
            slot.empty()

    async def _put(self, socket: WebSocket, slot: Slot, frame: bytes) -> None:
        share = Share(self._executor.held)
        try:
            share.take(len(frame))
        except Refused as refused:
            await self._send(socket, {"busy": refused.reason})
            return
        slot.put(frame, share)

    async def _answer(self, socket: WebSocket, slot: Slot, holder: ModelHolder) -> None:
        while True:
            frame, share, skipped = await slot.take()
            if skipped:
                self._metrics.skipped.inc(skipped)
            served = holder.current
            try:
                [answer] = await self._executor.read([(frame, BYTES)], served)
            except Refused as refused:
                await self._send(socket, {"busy": refused.reason})
                continue
            finally:
                share.give_back()
            self._metrics.count(answer, served.name)
            await self._send(socket, {**reading_of(answer).model_dump(), "skipped": skipped})

    async def _send(self, socket: WebSocket, message: dict[str, Any]) -> None:
        # Without a limit, a client that does not take its answers would be waited for without an end.
        await asyncio.wait_for(socket.send_json(message), self._executor.limits.seconds)

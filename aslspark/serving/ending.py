"""Requests that are still being answered when the service has to end: they are told so, and leave no traceback."""

from __future__ import annotations

import asyncio
from typing import Any

from aslspark.serving.http_middleware import HttpMiddleware

_BODY = b'{"detail":"the service ends"}'
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"retry-after", b"5"),
]


class Ending(HttpMiddleware):
    """Outside of all others: answers 503 where the server cancels a request to end in time."""

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and answer it where it is cancelled before an answer began."""
        has_begun = False

        async def note(message: Any) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            if has_begun:
                raise  # what was sent cannot be taken back
            await send({"type": "http.response.start", "status": 503, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": _BODY})

"""ASGI middleware of HTTP requests: a WebSocket, and what the server says of its own start and end, pass by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class HttpMiddleware(ABC):
    """ASGI middleware that has `answer` for each HTTP request."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        await (self.answer if scope["type"] == "http" else self._app)(scope, receive, send)

    @abstractmethod
    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass an HTTP request on to `self._app`."""

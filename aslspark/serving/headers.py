"""The security headers of every answer: a browser loads nothing from elsewhere and embeds the page nowhere."""

from __future__ import annotations

from typing import Any

from aslspark.serving.http_middleware import HttpMiddleware

_SAFE = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class SafeHeaders(HttpMiddleware):
    """Adds the security headers."""

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and its answer with the headers."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in _SAFE.items()]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        await self._app(scope, receive, with_headers)

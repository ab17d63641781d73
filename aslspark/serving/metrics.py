"""What Prometheus reads at `/metrics`."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from aslspark.reading import NO_HAND, Answer
from aslspark.serving.champion import Champion
from aslspark.serving.pool import Pool

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The service's counters, in a registry of their own."""

    def __init__(self, champion: Champion, pool: Pool) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "aslspark_requests", "Requests answered", ("path", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "aslspark_request_seconds", "Time to the answer", ("path",), buckets=SECONDS, registry=self.registry
        )
        self.pictures = Counter(
            "aslspark_pictures", "Pictures by what came of them", ("outcome",), registry=self.registry
        )
        self.skipped = Counter(
            "aslspark_live_frames_skipped", "Frames that newer ones overtook", registry=self.registry
        )
        self._gauge("aslspark_pictures_inside", "Pictures that wait or are being read", lambda: pool.inside)
        self._gauge("aslspark_model_since_seconds", "When the model was loaded", lambda: champion.now.since)
        self._gauge("aslspark_model_switches", "Exchanges of the model", lambda: champion.switches)
        self._gauge("aslspark_model_failures", "Bundles that could not be switched to", lambda: champion.failures)

    def _gauge(self, name: str, about: str, value: Any) -> None:
        Gauge(name, about, registry=self.registry).set_function(value)

    def count(self, answer: Answer) -> None:
        """Count a picture."""
        outcome = "read" if answer.letter else "no hand" if answer.reason == NO_HAND else "not sure"
        self.pictures.labels(outcome if answer.usable else "unusable").inc()

    def text(self) -> bytes:
        """Return everything, in Prometheus' text format."""
        return generate_latest(self.registry)


class Counting:
    """ASGI middleware that counts requests by the route that answers them, and times them."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), [500]

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            # Only paths that exist become labels: what a client makes up must not fill the memory.
            route = scope.get("route")
            path = getattr(route, "path", "other")
            self._metrics.requests.labels(path, scope["method"] if route else "other", str(status[0])).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - started)

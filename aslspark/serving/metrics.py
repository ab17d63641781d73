"""The counters at `/metrics`, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from aslspark.models.onnx_classifier import NO_HAND_FOUND
from aslspark.scoring.answers import Answer
from aslspark.serving.connections import Connections
from aslspark.serving.executor import PictureExecutor
from aslspark.serving.http_middleware import HttpMiddleware
from aslspark.serving.model_holder import STATES
from aslspark.serving.served_models import ServedModels

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE")
OTHER = "other"
"""Stands for all unknown paths and methods, so that what clients make up does not fill the memory."""


class Metrics:
    """The service's counters, in a registry of their own."""

    def __init__(self, models: ServedModels, executor: PictureExecutor, connections: Connections) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "aslspark_requests", "Requests answered", ("path", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "aslspark_request_seconds", "Time to the answer", ("path",), buckets=SECONDS, registry=self.registry
        )
        self.pictures = Counter(
            "aslspark_pictures", "Pictures by what came of them", ("model", "outcome"), registry=self.registry
        )
        self.skipped = Counter(
            "aslspark_live_frames_skipped", "Frames that newer ones overtook", registry=self.registry
        )
        self._gauge("aslspark_pictures_inside", "Pictures that wait or are being read", lambda: executor.inside)
        self._gauge("aslspark_model_since_seconds", "When the latest model was loaded", lambda: models.since)
        self._gauge("aslspark_model_switches", "Exchanges of models", lambda: models.switches)
        self._gauge("aslspark_model_failures", "Tries of bundles that could not be read", lambda: models.failures)
        self._gauge(
            "aslspark_model_look_age_seconds",
            "Since a bundle's path was last looked at",
            lambda: time.monotonic() - models.looked,
        )
        state = Gauge("aslspark_model_watcher", "1 for what the watcher is doing", ("state",), registry=self.registry)
        for name in STATES:
            state.labels(name).set_function(partial(_is_state, models, name))
        self._gauge("aslspark_connections_open", "Connections, idle ones included", lambda: len(connections))
        self._gauge("aslspark_bytes_held", "Of bodies and frames of all requests together", lambda: executor.held.now)
        self._gauge("aslspark_children_replaced", "Processes that hung or died at a picture", lambda: executor.replaced)
        self.registry.register(_Closed(connections))

    def _gauge(self, name: str, description: str, value: Any) -> None:
        Gauge(name, description, registry=self.registry).set_function(value)

    def count(self, answer: Answer, model: str) -> None:
        """Count a picture by the name of the model that read it, and by its outcome."""
        outcome = "read" if answer.letter else "no hand" if answer.reason == NO_HAND_FOUND else "not sure"
        self.pictures.labels(model, outcome if answer.usable else "unusable").inc()

    def text(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        return generate_latest(self.registry)


def _is_state(models: ServedModels, name: str) -> float:
    return float(models.state == name)


class _Closed(Collector):
    """Counts the connections that the service closed, by reason."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the counts."""
        family = CounterMetricFamily("aslspark_connections_closed", "Connections closed by this end", labels=("why",))
        for why, count in self._connections.closed.items():
            family.add_metric((why,), count)
        yield family


class Counting(HttpMiddleware):
    """Counts and times requests by their route."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        super().__init__(app)
        self._metrics = metrics

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and count it when it has ended."""
        started, status = time.perf_counter(), [500]

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            path = getattr(scope.get("route"), "path", OTHER)
            method = scope["method"] if path != OTHER and scope["method"] in METHODS else OTHER
            self._metrics.requests.labels(path, method, str(status[0])).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - started)

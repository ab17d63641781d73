"""The service: its routes over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from aslspark.common.counted import counted
from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.package import VERSION
from aslspark.serving.chart import chart_of, drawn, lessons
from aslspark.serving.connections import Connections
from aslspark.serving.executor import PictureExecutor
from aslspark.serving.headers import SafeHeaders
from aslspark.serving.installable import SHELL, icons, shell_of
from aslspark.serving.limits import Limits, Refused, Share
from aslspark.serving.live import POLICY, Cameras
from aslspark.serving.metrics import Counting, Metrics
from aslspark.serving.origins import Keys, of_another_site
from aslspark.serving.payload import body_of, refusals
from aslspark.serving.recording import Recorder
from aslspark.serving.schemas import (
    MODEL,
    MODEL_PARAMETER,
    NOT_SERVED,
    PREDICT_BODY,
    Health,
    ModelFacts,
    Readiness,
    Readings,
    Refusal,
    Switched,
    Watcher,
    readings_of,
)
from aslspark.serving.served_models import ServedModels

PAGE = Path(__file__).parent / "page"
STALLED_SECONDS = 60.0
"""The watcher is stalled if its last look is older than its interval and this: the bundle's disk does not answer."""
PASSED_OVER = 8
"""Times the bytes of the largest request: a request that sends more is cut off, one that sends less gets an answer."""
_RETRY_LATER = {429, 503}

log = logging.getLogger("aslspark.serving")


@dataclass(frozen=True)
class Service:
    """What the routes share."""

    models: ServedModels
    executor: PictureExecutor
    metrics: Metrics
    limits: Limits
    keys: Keys
    """Who may reload and record."""
    every: float
    """Seconds between looks for another bundle."""
    recorder: Recorder | None
    """Keeps the page's recordings; None: the page has no recording mode."""


def create_app(
    models: ServedModels,
    limits: Limits,
    workers: int,
    *,
    record: str | None,
    every: float,
    keys: Keys,
    connections: Connections,
) -> FastAPI:
    """Build the service.

    Parameters
    ----------
    workers : int
        Threads that read.
    record : str, optional
        Folder in which the page's recording mode keeps pictures; None: the page has no such mode.
    every : float
        Seconds between looks for another bundle.
    keys : Keys
        Who may reload and record.
    connections : Connections
        The connections that uvicorn's protocol counts.
    """
    executor = PictureExecutor(limits, workers)
    metrics = Metrics(models, executor, connections)
    recorder = Recorder(record, limits) if record is not None else None
    service = Service(models, executor, metrics, limits, keys, every, recorder)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        executor.start()
        tasks = [asyncio.create_task(_watch(models, every)), asyncio.create_task(connections.watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            executor.close()

    app = FastAPI(
        title="aslspark",
        version=VERSION,
        description="Reads letters of the American manual alphabet from pictures of hands. It reads fingerspelled "
        "letters, not sign language. Pictures are not stored.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from other hosts
        redoc_url=None,
    )
    app.state.models = models
    app.add_middleware(SafeHeaders)
    app.add_middleware(Counting, metrics=metrics)
    _add_refusals(app)
    _add_status(app, service)
    _add_model(app, service)
    _add_page(app, service)
    _add_live(app, service)
    _add_predict(app, service)
    return app


async def _watch(models: ServedModels, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(models.check, at_once=False)
        except Refused:  # another look goes on
            continue
        except Exception:
            log.exception("the bundle's path could not be looked at; it will be again")


def _add_refusals(app: FastAPI) -> None:
    """Give every refusal the same form."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        headers = {"retry-after": "1"} if error.status in _RETRY_LATER else None
        return JSONResponse({"reason": error.reason}, error.status, headers)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        allowed = Headers(error.headers).get("allow")
        reason = f"{request.method} is not taken here; send {allowed}" if allowed else error.detail
        if reason == HTTPStatus.NOT_FOUND.phrase:  # the router's own word
            reason = "there is nothing at this address; GET /openapi.json says what is asked where"
        return JSONResponse({"reason": reason}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(request: Request, error: ClientDisconnect) -> Response:
        return JSONResponse({"reason": "the client left"}, 400)


def _add_status(app: FastAPI, service: Service) -> None:
    """Add the routes that say how the service is."""
    models, executor = service.models, service.executor

    @app.get("/health", summary="Whether the service is there", response_model=Health)
    async def health() -> Health:
        """Answer as long as the service lives; whether it reads pictures now, `/ready` says."""
        age = time.monotonic() - models.looked
        state = "stalled" if age > service.every + STALLED_SECONDS else models.state
        watcher = Watcher(state=state, failures=models.failures, seconds=round(age, 1))
        return Health(status="ok", model=models.holder().current.name, waiting=executor.inside, watcher=watcher)

    @app.get(
        "/ready",
        summary="Whether pictures are read now",
        response_model=Readiness,
        responses={503: {"model": Refusal, "description": "not yet, not any more, or too many wait"}},
    )
    async def ready() -> Readiness:
        if not executor.ready:
            raise Refused(503, "no process that decodes pictures is there yet")
        if executor.inside >= service.limits.waiting:
            raise Refused(503, f"{counted(executor.inside, 'picture is', 'pictures are')} waiting")
        return Readiness(ready=True, model=models.holder().current.name)

    @app.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def numbers() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_model(app: FastAPI, service: Service) -> None:
    """Add the routes of the model that is served."""
    models, keys = service.models, service.keys

    @app.get(
        "/model",
        summary="What is served",
        response_model=ModelFacts,
        responses=NOT_SERVED,
        openapi_extra={"parameters": [MODEL_PARAMETER]},
    )
    async def model(request: Request) -> ModelFacts:
        holder = models.holder(request.query_params.get(MODEL))
        served = holder.current
        reader = served.reader
        return ModelFacts(
            model=served.name,
            digest=reader.digest,
            labels=list(reader.labels),
            shape=list(reader.form.shape),
            inputs=list(reader.network.inputs),
            finds_hands=reader.hands is not None,
            threshold=reader.threshold,
            temperature=reader.temperature,
            switches=holder.switches,
            models=models.names,
        )

    @app.post(
        "/model/reload",
        summary="Look now whether the bundles' paths lead to others",
        response_model=Switched,
        responses={
            403: {"model": Refusal, "description": "asked from another machine or site, or without the token"},
            503: {"model": Refusal, "description": "another look has not ended"},
        },
    )
    async def reload(request: Request) -> Switched:
        """Exchange each model whose path leads to another bundle, for this machine or who has the token."""
        if not _may(keys, request):
            raise Refused(403, f"only {_who(keys)} may ask for another model")
        switched = await asyncio.to_thread(models.check)
        return Switched(switched=switched, model=models.holder().current.name)


def _add_predict(app: FastAPI, service: Service) -> None:
    executor, metrics = service.executor, service.metrics

    @app.post(
        "/predict",
        summary="Read the letters of pictures",
        response_model=Readings,
        responses={
            400: {"model": Refusal, "description": "the body cannot be read"},
            **NOT_SERVED,
            408: {"model": Refusal, "description": "the body did not come in time"},
            413: {"model": Refusal, "description": "too many bytes or pictures"},
            415: {"model": Refusal, "description": "a content type that is not known"},
            422: {"model": Refusal, "description": "nothing in it is a picture that can be used"},
            429: {"model": Refusal, "description": "too many pictures wait"},
            503: {"model": Refusal, "description": "not read in time"},
        },
        openapi_extra={"requestBody": PREDICT_BODY, "parameters": [MODEL_PARAMETER]},
    )
    async def predict(request: Request) -> Readings:
        """Read pictures. One that cannot be used has a reason in its place; where none can, the status is 422."""
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "send the body without a content-encoding")
        served = service.models.holder(request.query_params.get(MODEL)).current
        with executor.held.share() as share:
            kind = request.headers.get("content-type", "")
            body = await _body(request, executor.most_bytes(kind, served), service.limits, share)
            pictures = await executor.pictures_of(kind, body, served)
            del body
            answers = await executor.read([(picture.value, picture.kind) for picture in pictures], served)
        for answer in answers:
            metrics.count(answer, served.name)
        if not any(answer.usable for answer in answers):
            pairs = zip(pictures, answers, strict=True)
            raise Refused(422, refusals([(picture.name, str(answer.reason)) for picture, answer in pairs]))
        return readings_of(served, answers, [picture.name for picture in pictures])


def _add_page(app: FastAPI, service: Service) -> None:
    """Add the live page's files and the facts that it asks for."""
    files = {file.name: file for file in PAGE.iterdir() if file.is_file()}
    for name, file in files.items():
        # Each file has a route of its own: a mount would answer to wrong methods at any path.
        path = "/" if name == "index.html" else f"/{name}"
        app.router.routes.append(Route(path, partial(_file, file)))
    made = icons()
    made[SHELL] = shell_of({name: file.read_bytes() for name, file in files.items()} | made | {"page.json": b""})
    for name, content in made.items():
        app.router.routes.append(Route(f"/{name}", partial(_made, content, guess_type(name)[0])))

    @app.get("/page.json", include_in_schema=False)
    async def facts(request: Request) -> dict[str, Any]:
        served = service.models.holder(request.query_params.get(MODEL)).current
        labels = list(served.reader.labels)
        return {
            "labels": labels,
            "model": served.name,
            "models": service.models.names,
            "chart": chart_of(labels),
            "lessons": lessons(),
            "record": service.recorder is not None and _may(service.keys, request),
        }

    @app.get("/chart/{letter}.png", include_in_schema=False)
    async def chart(letter: str) -> Response:
        if letter not in STATIC_LETTERS:
            raise Refused(404, f"{letter!r} is not drawn")
        picture = await asyncio.to_thread(drawn, letter)
        return Response(picture, media_type="image/png", headers={"cache-control": "max-age=86400"})


def _add_live(app: FastAPI, service: Service) -> None:
    """Add the WebSocket of the page's camera, and its recordings."""
    cameras = Cameras(service.executor, service.metrics)

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        if of_another_site(socket.headers):
            await socket.close(POLICY, "another site's page")
            return
        try:
            holder = service.models.holder(socket.query_params.get(MODEL))
        except Refused as refused:
            await socket.close(POLICY, refused.reason)
            return
        await cameras.admit(socket, holder)

    @app.post("/recordings/{signer}/{label}", include_in_schema=False, status_code=201)
    async def keep(request: Request, signer: str, label: str) -> dict[str, str]:
        if service.recorder is None or not _may(service.keys, request):
            raise Refused(
                403, f"pictures are kept for {_who(service.keys)} alone, and where the service runs with --record DIR"
            )
        with service.executor.held.share() as share:
            body = await _body(request, service.limits.bytes, service.limits, share)
            return {"path": await asyncio.to_thread(service.recorder.keep, body, label, signer)}


def _may(keys: Keys, request: Request) -> bool:
    return keys.open_to(request.client.host if request.client else None, request.headers)


def _who(keys: Keys) -> str:
    return "this machine" if keys.token is None else "who sends the token (Authorization: Bearer ...)"


async def _body(request: Request, most: int, limits: Limits, share: Share) -> bytes:
    """Read a request's body within the limits."""
    seconds, passed_over = limits.seconds, PASSED_OVER * limits.body
    length = request.headers.get("content-length")
    try:
        return await asyncio.wait_for(body_of(request.stream(), length, most, share, passed_over), seconds)
    except asyncio.TimeoutError:
        raise Refused(408, f"the body was not sent within {seconds:g} s") from None


async def _file(path: Path, request: Request) -> Response:
    return FileResponse(path)


async def _made(content: bytes, media_type: str | None, request: Request) -> Response:
    return Response(content, media_type=media_type)

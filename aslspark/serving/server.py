"""`aslspark serve --model BUNDLE`: the service on a port of this machine, until it is ended."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aslspark.bundle.boxed import LETTERS
from aslspark.bundle.files import require_folder
from aslspark.common.command_line import ArgumentParser
from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing, endless

if TYPE_CHECKING:
    from types import FrameType

    import uvicorn
    from fastapi import FastAPI

    from aslspark.serving.connections import Connections
    from aslspark.serving.limits import Limits
    from aslspark.serving.served_models import ServedModels

SHUTDOWN_SECONDS = 10
"""Time for requests to end when the service is asked to end."""
FORCED_SECONDS = SHUTDOWN_SECONDS + 5
"""Time after which the kernel ends the process, whatever hangs in it."""
BACKLOG = 128
"""Connections that the kernel keeps until they are accepted."""
KEEP_ALIVE_SECONDS = 10
"""How long a connection may be idle between two requests."""
HEAD_BYTES = 16_384
"""The most bytes of a request's head."""
MOST_WORKERS = 4
"""Default for many cores, since each worker keeps a hand detector in memory."""
_LIMITS = {
    "bytes": "of a picture's file",
    "pixels": "of a picture",
    "pictures": "of a request",
    "seconds": "for a request",
    "waiting": "pictures that may wait",
    "connections": "open at once",
    "held": "bytes of all bodies together",
}
"""Fields of `limits.Limits`, each an option --max-NAME, and their help."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from aslspark.images.hands.hand import MOST_LOOKS
    from aslspark.serving.limits import Limits

    made = ArgumentParser(
        prog="aslspark serve",
        usage="aslspark serve [--model BUNDLE ...] [options]",
        description="Read letters over HTTP, and live at http://localhost:8000.",
    )
    workers, looks = min(MOST_WORKERS, os.cpu_count() or 1), f"1-{MOST_LOOKS}"
    made.add_argument(
        "--model", action="append", metavar="BUNDLE", help=f"folder or link; again for more (default: {LETTERS})"
    )
    made.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="0.0.0.0: all (default %(default)s)")
    made.add_argument("--port", type=int, default=8000, metavar="N", help="0: any that is free (default %(default)s)")
    made.add_argument(
        "--workers", type=int, default=workers, metavar="N", help="pictures read at once (default %(default)s)"
    )
    made.add_argument(
        "--looks", type=int, metavar="N", help=f"at each hand, {looks}; 1 is fastest (default: the bundle's)"
    )
    made.add_argument("--record", metavar="DIR", help="let the page, on this machine, keep pictures there")
    made.add_argument("--every", type=float, default=2.0, metavar="S", help="seconds between looks for another bundle")
    for name, meaning in _LIMITS.items():
        default = getattr(Limits(), name)
        in_words = f"{default:,}" if isinstance(default, int) else f"{default:g}"
        made.add_argument(
            f"--max-{name}",
            type=type(default),
            default=default,
            metavar="N" if isinstance(default, int) else "S",
            help=f"{meaning} (default {in_words})",
        )
    made.add_argument("--token-file", metavar="FILE", help="who knows it may reload, record (or $ASLSPARK_TOKEN)")
    made.add_argument("--proxy", metavar="ADDRESS", help="of a proxy, whose X-Forwarded-For is believed")
    made.add_argument("--tls-cert", metavar="FILE", help="certificate and chain, PEM: the service speaks https")
    made.add_argument("--tls-key", metavar="FILE", help="its key, PEM (default: in the certificate's file)")
    return made


def main(argv: Sequence[str]) -> None:
    """Serve until SIGTERM or Ctrl-C; SIGHUP looks for another bundle at once.

    Raises
    ------
    AslsparkError
        Where the bundle cannot be served, a setting is wrong or the port is taken.
    """
    options = parser().parse_args(argv)
    _check_numbers(options)
    with doing("starting the service"):
        # What is mistyped is said before what takes seconds is imported and read.
        options.model = options.model or [LETTERS]  # a default in the parser would be added to
        for model in options.model:
            require_folder(model)
        listening = _bind(options)
        settings, models = _made(options)
        _listen(listening, options)
    reading = [holder.current.name for holder in models.holders]
    logging.getLogger("aslspark").info(
        "%s %s at %s", " and ".join(reading), "reads" if len(reading) == 1 else "read", _address(options, listening)
    )
    with endless(), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, listening, models))


def _made(options: argparse.Namespace) -> tuple[uvicorn.Config, ServedModels]:
    """Make all that serves."""
    try:
        import uvicorn  # noqa: F401

        from aslspark.serving.app import create_app
    except ModuleNotFoundError as error:
        raise AslsparkError(f"serve: {error.name} is not installed; pip install aslspark[serve]") from error
    from aslspark.serving.connections import Connections
    from aslspark.serving.logs import spare_logs
    from aslspark.serving.origins import Keys, token_of
    from aslspark.serving.served_models import ServedModels

    limits = _limits(options)
    keys = Keys(token_of(options.token_file), proxied=options.proxy is not None)
    _check_tls(options.tls_cert, options.tls_key)
    _check_proxy(options.proxy)
    limits = _within_open_files(limits)
    models = ServedModels(options.model, pixels=limits.pixels, looks=options.looks)
    connections = Connections(limits)
    app = create_app(
        models,
        limits,
        options.workers,
        record=options.record,
        every=options.every,
        keys=keys,
        connections=connections,
    )
    settings = _uvicorn_settings(app, connections, limits, options)
    spare_logs()
    return settings, models


def _check_numbers(options: argparse.Namespace) -> None:
    from aslspark.images.hands.hand import MOST_LOOKS

    for name in ("workers", "looks", "every", *(f"max_{name}" for name in _LIMITS)):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise AslsparkError(f"--{name.replace('_', '-')} {value}: give a number above 0")
    if options.looks is not None and options.looks > MOST_LOOKS:
        raise AslsparkError(f"--looks {options.looks}: give 1 to {MOST_LOOKS}")


def _limits(options: argparse.Namespace) -> Limits:
    from aslspark.serving.limits import Limits

    limits = Limits(**{name: getattr(options, f"max_{name}") for name in _LIMITS})
    if limits.held < limits.body:
        raise AslsparkError(f"--max-held {limits.held}: one request may have {limits.body} bytes; give that or more")
    return limits


def _within_open_files(limits: Limits) -> Limits:
    """Lower the limit of connections to the files that this process may open."""
    from aslspark.serving.connections import open_files

    connections = open_files(limits.connections)
    if connections < 1:
        raise AslsparkError(f"--max-connections {limits.connections}: ulimit -n leaves none; raise it to 512 or more")
    return replace(limits, connections=connections)


def _uvicorn_settings(
    app: FastAPI, connections: Connections, limits: Limits, options: argparse.Namespace
) -> uvicorn.Config:
    import uvicorn

    from aslspark.serving.ending import Ending

    return uvicorn.Config(
        Ending(app),
        http=connections.protocol(),
        log_level="warning",
        log_config=None,  # through the handlers of the job, which mask
        access_log=False,
        ws_max_size=limits.bytes + 1,
        ws_per_message_deflate=False,  # pictures are compressed already
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
        proxy_headers=options.proxy is not None,
        forwarded_allow_ips=options.proxy,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )


def _address(options: argparse.Namespace, listening: socket.socket) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    scheme = "http" if options.tls_cert is None else "https"
    return f"{scheme}://{'localhost' if host == '127.0.0.1' else host}:{listening.getsockname()[1]}"


async def _serve(settings: uvicorn.Config, listening: socket.socket, models: ServedModels) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """End in time, even where something hangs that Python cannot interrupt."""
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(FORCED_SECONDS)
            super().handle_exit(sig, frame)

    loop = asyncio.get_running_loop()
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, _check_quietly, models))
    await Server(settings).serve(sockets=[listening])


def _check_quietly(models: ServedModels) -> None:
    from aslspark.serving.limits import Refused

    with contextlib.suppress(Refused):  # another look goes on
        models.check()


def _check_proxy(address: str | None) -> None:
    import ipaddress

    try:
        ipaddress.ip_network(address or "127.0.0.1", strict=False)
    except ValueError as error:
        raise AslsparkError(f"--proxy {address}: {error}; give the address of the proxy, such as 127.0.0.1") from error


def _check_tls(certificate: str | None, key: str | None) -> None:
    import ssl

    if certificate is None:
        if key is not None:
            raise AslsparkError(f"--tls-key {key}: give --tls-cert too")
        return
    try:
        # An empty password, since OpenSSL would otherwise ask for one on the terminal and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise AslsparkError(
            f"--tls-cert {certificate}: {cause}; give a certificate and its key, both PEM and without a password"
        ) from error


def _bind(options: argparse.Namespace) -> socket.socket:
    """Take the port; an error names the one that is taken."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise _not_free(options, error) from error
    return listening


def _listen(listening: socket.socket, options: argparse.Namespace) -> None:
    """Have clients answered from now on."""
    try:
        listening.listen(BACKLOG)
    except OSError as error:  # another one took the port at the same time: until one listens, several may
        raise _not_free(options, error) from error


def _not_free(options: argparse.Namespace, error: Exception) -> AslsparkError:
    why = getattr(error, "strerror", None) or error
    return AslsparkError(f"--host {options.host} --port {options.port}: {why}; choose another port, or 0 for any")

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

from aslspark.common.errors import AslsparkError

if TYPE_CHECKING:
    from types import FrameType

    import uvicorn

    from aslspark.serving.model_holder import ModelHolder

SHUTDOWN_SECONDS = 10
"""That requests have to end in, when the service is asked to."""
BACKLOG = 128
"""Connections that the kernel keeps until they are taken."""
KEEP_ALIVE_SECONDS = 10
"""That a connection may be idle between two requests."""
HEAD_BYTES = 16_384
"""Of a request's head."""
FORCED_SECONDS = SHUTDOWN_SECONDS + 5
"""After which the kernel ends the process, whatever hangs in it."""


_LIMITS = ("bytes", "pixels", "pictures", "seconds", "waiting", "connections", "held")
MOST_WORKERS = 4
"""Unless more are asked for: each keeps a hand detector in memory."""


def _workers() -> int:
    return min(MOST_WORKERS, os.cpu_count() or 1)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="aslspark serve",
        usage="aslspark serve --model BUNDLE [options]",
        description="Read letters over HTTP, and live at http://localhost:8000.",
    )
    made.add_argument("--model", required=True, metavar="BUNDLE", help="folder, or a link that may be moved to another")
    made.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="0.0.0.0: all (default %(default)s)")
    made.add_argument("--port", type=int, default=8000, metavar="N", help="0: any that is free (default %(default)s)")
    made.add_argument(
        "--workers", type=int, default=_workers(), metavar="N", help="pictures read at once (default %(default)s)"
    )
    made.add_argument("--looks", type=int, metavar="N", help="at each hand, 1-4; 1 is fastest (default: the bundle's)")
    made.add_argument("--record", metavar="DIR", help="let the page, on this machine, keep pictures there")
    made.add_argument("--every", type=float, default=2.0, metavar="S", help="seconds between looks for another bundle")
    made.add_argument("--max-bytes", type=int, metavar="N", help="of a picture's file (default 12,000,000)")
    made.add_argument("--max-pixels", type=int, metavar="N", help="of a picture (default 50,000,000)")
    made.add_argument("--max-pictures", type=int, metavar="N", help="of a request (default 32)")
    made.add_argument("--max-seconds", type=float, metavar="S", help="for a request (default 10)")
    made.add_argument("--max-waiting", type=int, metavar="N", help="pictures that may wait (default 64)")
    made.add_argument("--max-connections", type=int, metavar="N", help="open at once (default 256)")
    made.add_argument("--max-held", type=int, metavar="N", help="bytes of all bodies together (default 200,000,000)")
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
    for name in ("workers", "looks", "every", *(f"max_{name}" for name in _LIMITS)):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise AslsparkError(f"--{name.replace('_', '-')} {value}: give a number above 0")
    if options.looks is not None and options.looks > 4:
        raise AslsparkError(f"--looks {options.looks}: give 1 to 4")
    try:
        import uvicorn

        from aslspark.serving.app import create_app
    except ModuleNotFoundError as error:
        raise AslsparkError(f"serve: {error.name} is not installed; pip install aslspark[serve]") from error
    from aslspark.serving.connections import Connections, open_files
    from aslspark.serving.limits import Limits
    from aslspark.serving.logs import spare_logs
    from aslspark.serving.model_holder import ModelHolder
    from aslspark.serving.origins import Keys, token_of

    given = {name: getattr(options, f"max_{name}") for name in _LIMITS}
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    if limits.held < limits.body:
        raise AslsparkError(f"--max-held {limits.held}: one request may have {limits.body} bytes; give that or more")
    keys = Keys(token_of(options.token_file), proxied=options.proxy is not None)
    _check_tls(options.tls_cert, options.tls_key)
    _check_proxy(options.proxy)
    may_open = open_files(limits.connections)
    if may_open < 1:
        raise AslsparkError(f"--max-connections {limits.connections}: ulimit -n leaves none; raise it to 512 or more")
    limits = replace(limits, connections=may_open)
    holder = ModelHolder(options.model, workers=options.workers, pixels=limits.pixels, looks=options.looks)
    connections = Connections(limits)
    app = create_app(
        holder,
        limits,
        options.workers,
        record=options.record,
        every=options.every,
        keys=keys,
        connections=connections,
    )
    listening = _listen(options.host, options.port)
    settings = uvicorn.Config(
        app,
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
    spare_logs()
    name = f"[{options.host}]" if ":" in options.host else options.host
    scheme = "http" if options.tls_cert is None else "https"
    address = f"{scheme}://{'localhost' if name == '127.0.0.1' else name}:{listening.getsockname()[1]}"
    logging.getLogger("aslspark").info("%s reads at %s", holder.current.name, address)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, listening, holder))


async def _serve(settings: uvicorn.Config, listening: socket.socket, holder: ModelHolder) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """End in time, also where something hangs that no thread of Python gets at."""
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(FORCED_SECONDS)
            super().handle_exit(sig, frame)

    loop = asyncio.get_running_loop()
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, _check_quietly, holder))
    await Server(settings).serve(sockets=[listening])


def _check_quietly(holder: ModelHolder) -> None:
    from aslspark.serving.limits import Refused

    with contextlib.suppress(Refused):  # somebody else is looking
        holder.check()


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
        # An empty password: one that is asked for on a terminal would be waited for.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise AslsparkError(
            f"--tls-cert {certificate}: {why}; give a certificate and its key, both PEM and without a password"
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else is said: the one that is taken is named."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)  # who asks from now on is answered
    except (OSError, OverflowError) as error:
        listening.close()
        raise AslsparkError(f"--host {host} --port {port}: {error}; choose another port, or 0 for any") from error
    return listening

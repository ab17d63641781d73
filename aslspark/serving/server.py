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
from typing import TYPE_CHECKING

from aslspark.errors import AslsparkError

if TYPE_CHECKING:
    import uvicorn

    from aslspark.serving.champion import Champion

SHUTDOWN_SECONDS = 10
"""That requests have to end in, when the service is asked to."""


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
    return made


def main(argv: Sequence[str]) -> None:
    """Serve until SIGTERM or Ctrl-C; SIGHUP looks for another bundle at once.

    Raises
    ------
    AslsparkError
        Where the bundle cannot be served, a setting is wrong or the port is taken.
    """
    options = parser().parse_args(argv)
    for name in ("workers", "looks", "every", "max_bytes", "max_pixels", "max_pictures", "max_seconds", "max_waiting"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise AslsparkError(f"--{name.replace('_', '-')} {value}: give a number above 0")
    if options.looks is not None and options.looks > 4:
        raise AslsparkError(f"--looks {options.looks}: give 1 to 4")
    try:
        import uvicorn

        from aslspark.serving.app import create_app
    except ModuleNotFoundError as error:
        raise AslsparkError(f"serve: {error.name} is not installed; pip install aslspark[serve]") from error
    from aslspark.serving.champion import Champion
    from aslspark.serving.limits import Limits

    given = {name: getattr(options, f"max_{name}") for name in ("bytes", "pixels", "pictures", "seconds", "waiting")}
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    champion = Champion(options.model, workers=options.workers, pixels=limits.pixels, looks=options.looks)
    app = create_app(champion, limits, options.workers, record=options.record, every=options.every)
    listening = _listen(options.host, options.port)
    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws_max_size=limits.bytes + 1,
        ws_max_queue=4,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
    )
    name = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{'localhost' if name == '127.0.0.1' else name}:{listening.getsockname()[1]}"
    logging.getLogger("aslspark").info("%s reads at %s", champion.now.name, address)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(uvicorn.Server(settings), listening, champion))


async def _serve(server: uvicorn.Server, listening: socket.socket, champion: Champion) -> None:
    loop = asyncio.get_running_loop()
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, champion.check))
    await server.serve(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else is said: the one that is taken is named."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # who asks from now on is answered
    except (OSError, OverflowError) as error:
        listening.close()
        raise AslsparkError(f"--host {host} --port {port}: {error}; choose another port, or 0 for any") from error
    return listening

"""How workers speak to the driver: marked lines on their standard output, whoever carries it there.

In, on the driver: pieces of the workers' output. Out: what they report, who failed, who is silent, last words.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

_MARK, _MORE = "@aslspark ", "@aslspark+"
_PIECE = 3500
"""Characters of a line: TorchDistributor cuts what is longer than 4,000 off."""
_PREFIX = re.compile(r"^\[(\d+)\]<std(?:out|err)>:")
KEPT_LINES = 200

SIGN_OF_LIFE_SECONDS = 2.0
"""Between two of a worker's signs of life, from a thread of its own."""
SILENCE_SECONDS = 20.0
"""After which a worker that gave one is taken for lost: its host is cut off, or the process is stopped."""
GOODBYE_SECONDS = 60.0
"""That a worker's silence may last when its work is done, until its process has ended."""


def reporter() -> Callable[[dict[str, Any]], None]:
    """Make the function that tells the driver something, from a worker.

    Nested, so that cloudpickle takes it by value: it works before the package is on a worker's path.
    """
    mark, more, length = _MARK, _MORE, _PIECE

    def report(event: dict[str, Any]) -> None:
        """Tell the driver something, from a worker."""
        import json
        import sys

        words = json.dumps(event)
        last = (len(words) - 1) // length * length
        # Closed by a sign, since TorchDistributor takes the spaces at the end of a line away.
        lines = [f"{more}{words[start : start + length]}+\n" for start in range(0, last, length)]
        sys.stdout.write("".join([*lines, f"{mark}{words[last:]}\n"]))  # at once: other threads write too
        sys.stdout.flush()

    return report


report = reporter()


class Ear(io.TextIOBase):
    """Hears the workers' output: each worker's is written from a thread of its own, in pieces of any length.

    Parameters
    ----------
    on_event : callable
        Gets what the workers report.
    """

    def __init__(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._on_event = on_event
        self._pieces: dict[int, str] = {}
        self._begun: dict[int, str] = {}
        """By writer, the first pieces of a long event."""
        self._lock = threading.Lock()
        self._heard: dict[int, tuple[float, str]] = {}
        """When the next sign of life of a rank is awaited at the latest, and its host."""
        self.failures: list[dict[str, Any]] = []
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)

    def writable(self) -> bool:
        """Tell that it is."""
        return True

    def write(self, text: str) -> int:
        """Hear a piece from the worker that this thread listens to."""
        with self._lock:
            writer = threading.get_ident()
            *lines, self._pieces[writer] = (self._pieces.get(writer, "") + text).split("\n")
            for line in lines:
                self._hear(line, writer)
        return len(text)

    def close(self) -> None:
        """Hear what came without an end of line."""
        with self._lock:
            for writer, rest in self._pieces.items():
                self._hear(rest, writer)
            self._pieces.clear()

    @property
    def ranks(self) -> int:
        """How many have been heard."""
        return len(self._heard)

    def host_of(self, rank: int) -> str:
        """Return ' on ' and the host of a rank; empty where it was never heard."""
        return f" on {self._heard[rank][1]}" if rank in self._heard else ""

    def silent(self) -> str | None:
        """Say which worker has been silent for too long; None: none has."""
        with self._lock:
            for rank, (until, host) in sorted(self._heard.items()):
                if time.monotonic() > until:
                    return f"worker {rank} on {host} was not heard from for {SILENCE_SECONDS:g} s"
        return None

    def _hear(self, line: str, writer: int) -> None:
        words = _PREFIX.sub("", line)
        if words.startswith(_MORE):
            self._begun[writer] = self._begun.get(writer, "") + words[len(_MORE) : -1]
            return
        if not words.startswith(_MARK):
            if words.strip():
                self.last_lines.append(line)
            return
        event = json.loads(self._begun.pop(writer, "") + words[len(_MARK) :])
        if event["event"] in ("alive", "ended"):
            seconds = SILENCE_SECONDS if event["event"] == "alive" else GOODBYE_SECONDS
            self._heard[event["rank"]] = (time.monotonic() + seconds, event["host"])
            return
        if event["event"] == "failed":
            self.failures.append(event)
            return
        try:
            self._on_event(event)
        except Exception:  # a broken display must not end the training
            traceback.print_exc(file=sys.stderr)

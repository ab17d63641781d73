"""Limits log lines: of each kind the first few of a minute are written, the others counted."""

from __future__ import annotations

import logging
import threading
import time

A_MINUTE = 10
"""Lines of one kind that are written in a minute."""
_KINDS = 200
"""Kinds that are told apart; all further ones are one kind."""


class Sparing(logging.Filter):
    """Filter of a logger, so that an attack on the service does not fill its disk."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._kinds: dict[str, list[float]] = {}
        """Kind to the start of its minute, the lines in it and those left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written, and add to it how many like it were left out before."""
        now = time.monotonic()
        with self._lock:
            kind = f"{record.levelno} {str(record.msg)[:80]}"
            if kind not in self._kinds and len(self._kinds) >= _KINDS:
                kind = "other"
            state = self._kinds.setdefault(kind, [now, 0, 0])
            left_out = 0
            if now - state[0] > 60:
                left_out = int(state[2])
                state[:] = [now, 0, 0]
            state[1] += 1
            if state[1] > A_MINUTE:
                state[2] += 1
                return False
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it before)", ()
        return True


def spare_logs() -> None:
    """Add the filter to the loggers whose lines clients can cause."""
    for name in ("aslspark.serving", "asyncio", "concurrent.futures", "uvicorn.error", "websockets.server"):
        logging.getLogger(name).addFilter(Sparing())

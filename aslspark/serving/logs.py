"""Log lines of one kind: the first few of a minute are written, the others counted."""

from __future__ import annotations

import logging
import threading
import time

A_MINUTE = 10
"""Lines of one kind."""
_KINDS = 200
"""That are told apart; any further ones count as one."""


class Sparing(logging.Filter):
    """Filter of a logger: who attacks the service must not fill its disk."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._kinds: dict[str, list[float]] = {}
        """Kind to the beginning of its minute, lines in it, lines left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written; one that is says how many like it were left out before."""
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
    """Let the loggers that strangers can make write be sparing."""
    for name in ("aslspark.serving", "asyncio", "concurrent.futures", "uvicorn.error", "websockets.server"):
        logging.getLogger(name).addFilter(Sparing())

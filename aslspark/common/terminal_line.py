"""One line of a terminal that renews itself, drawn by tqdm, and the order between it and what else is printed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_shown: list[TerminalLine] = []
"""The line that is on the terminal, if any."""


def on_terminal() -> bool:
    """Tell whether this process can renew a line of a terminal."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # there is none, it is closed, or no file
        return False


def take_terminal_of_spark_submit() -> None:
    """Print to the terminal that spark-submit prints to, if it does.

    It starts Python with a pipe and copies what comes out of it, so that no line could renew itself. What is redirected
    to a file, or piped on, stays as it is.
    """
    if "PYSPARK_GATEWAY_PORT" not in os.environ or on_terminal():
        return
    try:
        ours, theirs = os.readlink("/proc/self/fd/1"), f"/proc/{os.getppid()}/fd/1"
        if not ours.startswith("pipe:") or not os.readlink(theirs).startswith(("/dev/pts/", "/dev/tty")):
            return
        terminal = os.open(theirs, os.O_WRONLY | os.O_NOCTTY)
    except OSError:  # another system, or a parent of another user
        return
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in (1, 2):
        os.dup2(terminal, stream)
    os.close(terminal)


class TerminalLine:
    """A line below all else that is printed, until it is closed."""

    def __init__(self) -> None:
        from tqdm import tqdm

        tqdm.set_lock(threading.RLock())  # its own is for processes, too: a semaphore that is kept until Python ends
        self._tqdm: Any = tqdm
        self._line: Any = tqdm(total=1, leave=False, file=sys.stderr, dynamic_ncols=True, bar_format="{desc}")
        _shown.append(self)

    def show(self, what: str, words: str, done: int, total: int | None) -> None:
        """Renew the line; with `total`, with a bar."""
        words = words.replace("{", "{{").replace("}", "}}")
        bar = "{percentage:3.0f}% |{bar:20}| " if total else ""
        self._line.bar_format = f"{{desc}}: {bar}{words}"
        self._line.total, self._line.n = total or 1, done
        self._line.set_description_str(what, refresh=False)
        self._line.refresh()

    def hide(self) -> None:
        """Take the line off the terminal until it is shown again."""
        self._line.clear()

    def close(self) -> None:
        """Take the line off the terminal."""
        _shown.remove(self)
        self._line.close()

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Take the line off the terminal for as long as the block prints."""
        with self._tqdm.external_write_mode(file=sys.stdout):
            yield


@contextmanager
def line_set_aside() -> Iterator[None]:
    """Take the line, if there is one, off the terminal for as long as the block prints."""
    if not _shown:
        yield
        return
    with _shown[-1].set_aside():
        yield

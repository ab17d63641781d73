"""Imports TensorFlow without the lines that it writes to standard error as it starts, which say nothing about a job."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module

START_LINES = re.compile(rb"before absl::InitializeLog\(\) is called|oneDNN custom operations are on")
"""TensorFlow 2.21 writes them whatever ``TF_CPP_MIN_LOG_LEVEL`` is."""
_IMPORTING = threading.Lock()
"""Two threads that ask at once would each put standard error back to what the other had made of it."""
CHILD_SECONDS = 1.0
"""That is waited for the last lines, where another process has taken over this one's standard error meanwhile."""


def import_tensorflow() -> None:
    """Import TensorFlow and the part of Keras that it loads only when it is asked for.

    On a terminal its lines are left: standard error would be none meanwhile, and the line of progress is drawn there.
    """
    with _IMPORTING:
        if "tensorflow" not in sys.modules:
            with nullcontext() if os.isatty(2) else standard_error_without(START_LINES):
                import_module("tensorflow").keras.Model  # noqa: B018


@contextmanager
def standard_error_without(unwanted: re.Pattern[bytes]) -> Iterator[None]:
    """Leave out lines that this process writes to file descriptor 2, as libraries in C++ do; all others pass."""
    sys.stderr.flush()
    error = os.dup(2)
    reading, writing = os.pipe()
    passing = threading.Thread(target=_pass, args=(reading, error, unwanted), daemon=True)
    passing.start()
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(error, 2)
        passing.join(CHILD_SECONDS)


def _pass(reading: int, error: int, unwanted: re.Pattern[bytes]) -> None:
    with open(reading, "rb") as lines, open(error, "wb", buffering=0) as out:
        for line in lines:
            if not unwanted.search(line):
                out.write(line)

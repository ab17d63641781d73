"""All that is changed in other libraries: what a few of them find installed while they are imported.

They import others for parts of theirs which nothing here uses. Nothing is replaced in any: while they are imported,
those others seem not to be installed. Another version than the one that this was tried with is imported as it is, and a
line of the log says so. Seconds below are of CPU, medians of turns without and with it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

log = logging.getLogger("aslspark")


class Unused(NamedTuple):
    """What a library imports for nothing."""

    distributions: tuple[str, ...]
    """Names under which the library is installed."""
    tried: str
    """The beginning of its version."""
    modules: tuple[str, ...]
    """What it is not to find."""


UNUSED = {
    # For a converter, and for a kind of input: 0.9 s of 3.9.
    "tensorflow": Unused(("tensorflow", "tensorflow-cpu"), "2.15.", ("jax", "scipy")),
    # Which Horovod's TorchEstimator imports for a log of its own, and which imports all of TensorFlow: 3.4 s of 5.6.
    "tensorboard": Unused(("tensorboard",), "2.15.", ("tensorflow",)),
    # For its documentation: 3.6 s of 4.3, and 500 MB.
    "mediapipe": Unused(("mediapipe",), "0.10.", ("tensorflow",)),
}


@contextmanager
def imported_without_unused(library: str) -> Iterator[None]:
    """Let a library that is imported meanwhile find nothing of what it does not need; see `UNUSED`.

    Who needs that later can still import it.
    """
    unused = UNUSED[library]
    here = next(filter(None, map(_version, unused.distributions)), "")
    hidden = [name for name in unused.modules if name not in sys.modules] if here.startswith(unused.tried) else []
    if here and not here.startswith(unused.tried):
        log.info(
            "%s %s is imported with %s, which nothing here needs: to leave that out was tried with %sx alone",
            library,
            here,
            " and ".join(unused.modules),
            unused.tried,
        )
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: as if it were not installed
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""

"""The one change to other libraries: which modules two of them can import while they are imported themselves.

These libraries import others for features that this package does not use. No attribute is replaced: the unused modules
seem not to be installed meanwhile. A version that was not tried is imported as it is, and the log says so. The seconds
below are CPU time, medians of alternating runs with and without.
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
    """Modules that a library imports for features that are not used here."""

    distributions: tuple[str, ...]
    """The library's names as a distribution."""
    tried: tuple[str, ...]
    """How the versions begin that were tried."""
    modules: tuple[str, ...]
    """What it must not find."""


UNUSED = {
    # For an input type: 0.2 of 2.2 s.
    "tensorflow": Unused(("tensorflow", "tensorflow-cpu"), ("2.15.", "2.21."), ("scipy",)),
    # Horovod's TorchEstimator imports it for a log, and it imports all of TensorFlow: 3.4 of 5.6 s.
    "tensorboard": Unused(("tensorboard",), ("2.15.", "2.21."), ("tensorflow",)),
}


@contextmanager
def imported_without_unused(library: str) -> Iterator[None]:
    """Hide the unused modules of a library while it is imported; see `UNUSED`. They can be imported later."""
    unused = UNUSED[library]
    installed = next(filter(None, map(_version, unused.distributions)), "")
    is_tried = installed.startswith(unused.tried)
    hidden = [name for name in unused.modules if name not in sys.modules] if is_tried else []
    if installed and not is_tried:
        log.info(
            "%s %s is imported with %s, which is not used here: leaving that out was tried with %s alone",
            library,
            installed,
            " and ".join(unused.modules),
            " and ".join(f"{begin}x" for begin in unused.tried),
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

"""Which steps of a run are traced, whatever the framework. In: how many. Out: the trace's files."""

from __future__ import annotations

from typing import Protocol

FIRST_STEPS = 5
"""Are left out: they trace the graph, choose algorithms and fill caches."""


class Traceable(Protocol):
    """A network whose framework can trace what a process does."""

    def start_trace(self) -> None:
        """Begin."""

    def stop_trace(self) -> dict[str, bytes]:
        """End, and return the trace's files by their paths."""


class Recording:
    """Traces some steps in a row, after the first few where the run is long enough.

    Parameters
    ----------
    wanted : int
        Steps to trace; 0: none.
    steps : int
        Of the whole run.
    """

    def __init__(self, network: Traceable, wanted: int, steps: int) -> None:
        first = max(min(FIRST_STEPS, steps - wanted), 0) + 1
        self._network = network
        self._first, self._last = (first, min(first + wanted - 1, steps)) if wanted else (0, 0)
        self._on = False
        self.files: dict[str, bytes] = {}

    def before(self, step: int) -> None:
        """Begin, if this is the first step to trace; steps are counted from 1 over the whole run."""
        if step == self._first:
            self._network.start_trace()
            self._on = True

    def after(self, step: int) -> None:
        """End, if this was the last."""
        if step == self._last:
            self.end()

    def end(self) -> None:
        """End at the latest here, where the run was stopped early."""
        if self._on:
            self.files = self._network.stop_trace()
            self._on = False

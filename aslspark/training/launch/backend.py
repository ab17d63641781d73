"""The launcher behind the interface that Horovod has for one, so that its own estimators run on it as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from horovod.spark.common.backend import Backend

from aslspark.training.launch.run import run_workers


class BarrierBackend(Backend):  # type: ignore[misc]
    """Runs the function of a Horovod estimator, as in ``KerasEstimator(backend=BarrierBackend(4), ...)``.

    Parameters
    ----------
    env : mapping, optional
        Environment variables of the workers.
    folder : str or Path, optional
        On a file system or in a store that the driver and all workers share; None: the temporary one, where all are
        on one host.
    """

    def __init__(self, num_proc: int, env: Mapping[str, str] | None = None, folder: str | Path | None = None) -> None:
        self._num_proc, self._env, self._folder = num_proc, dict(env or {}), folder

    def run(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """Run `fn(*args, **kwargs)` in every process, and return what each rank returned, by rank."""
        return run_workers(
            self._num_proc,
            lambda job: fn(*job[0], **job[1]),
            (args, dict(kwargs or {})),
            env={**self._env, **(env or {})},
            on_event=lambda event: None,
            folder=str(self._folder) if self._folder else None,
        )

    def num_processes(self) -> int:
        """Return how many there are."""
        return self._num_proc

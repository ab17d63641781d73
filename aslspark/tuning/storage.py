"""A study's database, from which each trial is taken once, by whatever number of threads and processes."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy.engine import make_url


class StudyStorage(optuna.storages.RDBStorage):
    """Optuna's database, whose trials change their state one at a time.

    Optuna reads a trial's state and then sets it, with a lock of the row in between. SQLite has no such lock: two that
    ask at once both find the trial waiting, and both get it. A file beside SQLite's is locked for that moment.

    Parameters
    ----------
    url : str
        Of the database.
    **named
        As for `optuna.storages.RDBStorage`.
    """

    def __init__(self, url: str, **named: Any) -> None:
        parts = make_url(url)
        is_file = parts.get_backend_name() == "sqlite" and parts.database not in (None, "", ":memory:")
        self._claims = Path(f"{parts.database}.lock") if is_file else None
        with self.one_at_a_time():  # tables that are missing are made
            super().__init__(url, **named)

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Hold the study for what is looked up and then written; other databases than SQLite see to that themselves."""
        with contextlib.ExitStack() as stack:
            if self._claims is not None:
                file = stack.enter_context(self._claims.open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def set_trial_state_values(
        self, trial_id: int, state: optuna.trial.TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set a trial's state; False where it is to run and another has taken it."""
        with self.one_at_a_time():
            return super().set_trial_state_values(trial_id, state, values)

"""A study's database, from which each trial is taken once, however many threads and processes ask."""

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

    Optuna reads a trial's state and then sets it while the row is locked. SQLite has no locks of rows: two processes
    that ask at once both find the trial waiting, and both get it. So a file beside SQLite's is locked meanwhile.

    Parameters
    ----------
    url : str
        Of the database.
    **options
        As for `optuna.storages.RDBStorage`.
    """

    def __init__(self, url: str, **options: Any) -> None:
        parts = make_url(url)
        is_file = parts.get_backend_name() == "sqlite" and parts.database not in (None, "", ":memory:")
        self._lock_file = Path(f"{parts.database}.lock") if is_file else None
        with self.one_at_a_time():  # Optuna makes the missing tables
            super().__init__(url, **options)

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Lock the study while it is read and then written; databases other than SQLite lock by themselves."""
        with contextlib.ExitStack() as stack:
            if self._lock_file is not None:
                file = stack.enter_context(self._lock_file.open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def set_trial_state_values(
        self, trial_id: int, state: optuna.trial.TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set a trial's state; return False where it should run and another process has taken it."""
        with self.one_at_a_time():
            return super().set_trial_state_values(trial_id, state, values)

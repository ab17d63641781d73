"""The options of a search and the budget of `automl`; needs neither Spark nor Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aslspark.common.errors import AslsparkError

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "hyperband", "none")


@dataclass(frozen=True)
class SearchOptions:
    """The options of a search."""

    trials: int = 20
    """Trials in the study at the end, those of earlier calls included."""
    minutes: float = 0.0
    """No trial begins after so many; 0: no limit."""
    failures: int = 5
    """The search ends after so many failed trials of this call."""
    sampler: str = "tpe"
    """'tpe', 'random' or 'grid'."""
    pruner: str = "median"
    """'median', 'hyperband' or 'none'."""
    storage: str = ""
    """URL of a database; empty: SQLite in the search's folder."""
    study: str = "aslspark"
    """Its name in the database."""
    seed: int = 0
    at_once: int = 1
    """Trials side by side, each a torch network fitted by one process in one Spark task, with the batch size and
    learning rate of one process; none is stopped early. 1: one trial after another, each in all processes."""

    def __post_init__(self) -> None:
        """Refuse what is none of the options."""
        if self.trials < 1 or self.minutes < 0 or self.failures < 1:
            raise AslsparkError(
                f"--trials {self.trials}, --minutes {self.minutes:g}, --failures {self.failures}: give 1 or more "
                "trials and failures, and 0 minutes or more"
            )
        for option, value, allowed in (("--sampler", self.sampler, SAMPLERS), ("--pruner", self.pruner, PRUNERS)):
            if value not in allowed:
                raise AslsparkError(f"{option} {value}: choose {', '.join(allowed)}")


@dataclass(frozen=True)
class Budget:
    """The limits of `automl`, and the models that it tries."""

    minutes: float = 0.0
    """For all trials and the winner's last training; 0: no limit."""
    trials: int = 3
    """The most trials of a kind. After each round the better half of the kinds goes on, at least two."""
    models: Sequence[str] = ()
    """Kinds to try; empty: all that fit the data."""
    onnx: bool = False
    """Try only models that leave an ONNX file, which are networks."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no budget."""
        if self.minutes < 0 or self.trials < 1:
            raise AslsparkError(f"--minutes {self.minutes:g}, --trials {self.trials}: give 0 or more, and 1 or more")

"""How to search, and how long to try: what the command line asks for, without Spark or Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "hyperband", "none")


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Parameters
    ----------
    trials : int
        That are to be in the study at the end, those of earlier calls counted.
    minutes : float
        After which no trial is begun; 0: any.
    failures : int
        Failed trials of this call after which it ends.
    sampler : {'tpe', 'random', 'grid'}
    pruner : {'median', 'hyperband', 'none'}
    storage : str
        URL of a database; empty: SQLite in the search's folder.
    study : str
        Name within the database.
    seed : int
    at_once : int
        Trials side by side, each a fit of a torch network in one process, in one Spark task, with batch size and
        learning rate of one process. They are not stopped early. 1: one trial after another, in all processes.
    """

    trials: int = 20
    minutes: float = 0.0
    failures: int = 5
    sampler: str = "tpe"
    pruner: str = "median"
    storage: str = ""
    study: str = "aslspark"
    seed: int = 0
    at_once: int = 1


@dataclass(frozen=True)
class Budget:
    """How long to try.

    Parameters
    ----------
    minutes : float
        For all, the winner's last training too; 0: without end.
    trials : int
        Of a kind, at most. Each round the better half of the kinds goes on, two at least.
    models : sequence of str
        Kinds to try; empty: all that fit the data.
    onnx : bool
        Only what leaves an ONNX file: networks.
    seed : int
    """

    minutes: float = 0.0
    trials: int = 3
    models: Sequence[str] = ()
    onnx: bool = False
    seed: int = 0

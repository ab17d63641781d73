"""What a search may change: settings with a range or a list of choices, from YAML.

In: a YAML file. Out: a `Space`, each of whose settings has been held against the schema of `aslspark.common.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import check_setting

if TYPE_CHECKING:
    import optuna

GRID_POINTS = 5
"""Of a range, in a grid search that does not say `points`."""


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, whole where both are."""

    low: float
    high: float
    log: bool = False
    points: int = GRID_POINTS

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def grid(self) -> list[float]:
        """Return so many points, evenly, in steps or in factors."""
        shares = [place / max(self.points - 1, 1) for place in range(self.points)]
        if self.log:
            values = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            values = [self.low + (self.high - self.low) * share for share in shares]
        return sorted({round(value) for value in values}) if self.whole else values


@dataclass(frozen=True)
class Space:
    """Settings by name, each with what it may be."""

    settings: Mapping[str, Range | tuple[Any, ...]]

    def draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """Let a trial choose."""
        found: dict[str, Any] = {}
        for name, of in self.settings.items():
            if not isinstance(of, Range):
                found[name] = trial.suggest_categorical(name, list(of))
            elif of.whole:
                found[name] = trial.suggest_int(name, int(of.low), int(of.high), log=of.log)
            else:
                found[name] = trial.suggest_float(name, of.low, of.high, log=of.log)
        return found

    def grid(self) -> dict[str, list[Any]]:
        """Return what a grid search goes through."""
        return {name: of.grid() if isinstance(of, Range) else list(of) for name, of in self.settings.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, by setting."""
        return {name: asdict(of) if isinstance(of, Range) else list(of) for name, of in self.settings.items()}

    def holds(self, name: str, value: Any) -> bool:
        """Say whether a value could be drawn."""
        of = self.settings[name]
        return of.low <= value <= of.high if isinstance(of, Range) else value in of


def read_space(path: str) -> Space:
    """Read a space.

    Parameters
    ----------
    path : str
        YAML: a setting's name to a list of choices, or to `low`, `high` and perhaps `log` and `points`.

    Raises
    ------
    AslsparkError
        Where a setting is unknown, a value is not allowed, or a range is none.
    """
    import yaml

    if not Path(path).is_file():
        raise AslsparkError(f"--space {path}: no such file")
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AslsparkError(f"--space {path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict) or not tree:
        raise AslsparkError(f"--space {path}: no settings: write training.learning_rate: {{low: 0.0001, high: 0.01}}")
    return Space({str(name): _read(path, str(name), of) for name, of in tree.items()})


def _read(path: str, name: str, of: Any) -> Range | tuple[Any, ...]:
    where = f"--space {path}: {name}"
    if isinstance(of, list) and of:
        for value in of:
            check_setting(name, value)
        return tuple(of)
    if not isinstance(of, dict) or not {"low", "high"} <= of.keys() <= {"low", "high", "log", "points"}:
        raise AslsparkError(f"{where}: {of}: give a list of choices, or low and high (and log: true, points: N)")
    try:
        low, high = (value if isinstance(value := of[end], int) else float(value) for end in ("low", "high"))
    except (TypeError, ValueError) as error:
        raise AslsparkError(f"{where}: low={of['low']}, high={of['high']}: give numbers") from error
    log = bool(of.get("log", False))
    if not low < high or (log and low <= 0):
        raise AslsparkError(f"{where}: low={low}, high={high}: give low below high{', above 0 with log' * log}")
    for value in (low, high):
        check_setting(name, value)
    return Range(low, high, log, int(of.get("points", GRID_POINTS)))

"""The space of a search: settings with a range or a list of choices.

In: a YAML file, or what it would hold. Out: a `Space`, whose settings are checked against the schema of
`aslspark.common.settings`.
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
"""Points of a range in a grid search, where the range does not say."""


@dataclass(frozen=True)
class Range:
    """Numbers from low to high; whole numbers where both are whole."""

    low: float
    high: float
    log: bool = False
    points: int = GRID_POINTS

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def grid(self) -> list[float]:
        """Return `points` numbers with equal steps between them, or equal factors where `log`."""
        shares = [place / max(self.points - 1, 1) for place in range(self.points)]
        if self.log:
            values = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            values = [self.low + (self.high - self.low) * share for share in shares]
        return sorted({round(value) for value in values}) if self.whole else values


@dataclass(frozen=True)
class Space:
    """Settings with the values that each may take."""

    settings: Mapping[str, Range | tuple[Any, ...]]

    def draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw a value of each setting for a trial."""
        drawn: dict[str, Any] = {}
        for name, values in self.settings.items():
            if not isinstance(values, Range):
                drawn[name] = trial.suggest_categorical(name, list(values))
            elif values.whole:
                drawn[name] = trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
            else:
                drawn[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
        return drawn

    def grid(self) -> dict[str, list[Any]]:
        """Return the values of each setting in a grid search."""
        return {
            name: values.grid() if isinstance(values, Range) else list(values) for name, values in self.settings.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the space as plain values."""
        return {
            name: asdict(values) if isinstance(values, Range) else list(values)
            for name, values in self.settings.items()
        }

    def holds(self, name: str, value: Any) -> bool:
        """Tell whether a value could be drawn."""
        values = self.settings[name]
        return values.low <= value <= values.high if isinstance(values, Range) else value in values


def read_space(given: str | Mapping[str, Any]) -> Space:
    """Read a space.

    Parameters
    ----------
    given : str or mapping
        A YAML file, or what it would hold: setting to a list of choices, or to `low`, `high` and perhaps `log` and
        `points`.

    Raises
    ------
    AslsparkError
        Where a setting is unknown, a value is not allowed, or a range is none.
    """
    where = f"--space {given}" if isinstance(given, str) else "space"
    tree = _tree_of(given, where) if isinstance(given, str) else given
    if not isinstance(tree, Mapping) or not tree:
        raise AslsparkError(f"{where}: no settings: write training.learning_rate: {{low: 0.0001, high: 0.01}}")
    return Space({str(name): _values_of(f"{where}: {name}", str(name), node) for name, node in tree.items()})


def _tree_of(path: str, where: str) -> Any:
    import yaml

    if not Path(path).is_file():
        raise AslsparkError(f"{where}: no such file")
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AslsparkError(f"{where}: not YAML: {' '.join(str(error).split())}") from error


def _values_of(where: str, name: str, node: Any) -> Range | tuple[Any, ...]:
    if isinstance(node, (list, tuple)) and node:
        for value in node:
            check_setting(name, value)
        return tuple(node)
    if not isinstance(node, dict) or not {"low", "high"} <= node.keys() <= {"low", "high", "log", "points"}:
        raise AslsparkError(f"{where}: {node}: give a list of choices, or low and high (and log: true, points: N)")
    try:
        low, high = (value if isinstance(value := node[end], int) else float(value) for end in ("low", "high"))
    except (TypeError, ValueError) as error:
        raise AslsparkError(f"{where}: low={node['low']}, high={node['high']}: give numbers") from error
    log = bool(node.get("log", False))
    if not low < high or (log and low <= 0):
        raise AslsparkError(f"{where}: low={low}, high={high}: give low below high{', above 0 with log' * log}")
    for value in (low, high):
        check_setting(name, value)
    return Range(low, high, log, int(node.get("points", GRID_POINTS)))

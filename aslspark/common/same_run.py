"""What a run began with, and what it is given when it is resumed -> nothing, or an error that names what differs.

A resumed run goes on with what it has: ingested samples, trials, folds, epochs. What must not change in between is
recorded when the run begins, and compared here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact_all
from aslspark.common.setting_values import leaves
from aslspark.common.settings import FORMER_SETTINGS, declarations


def require_same_run(
    run: str,
    recorded: Mapping[str, Any],
    current: Mapping[str, Any],
    advice: str,
    *,
    options: Mapping[str, str] | None = None,
    may_differ: Collection[str] = (),
) -> None:
    """Refuse to resume a run that began with something else.

    Parameters
    ----------
    run : str
        Opens the error, such as '--resume: the run'.
    recorded, current : mapping
        Values by name, perhaps nested; secrets are masked before the comparison.
    advice : str
        Closes the error: what would work.
    options : mapping of str to str, optional
        The command-line option for a name that is no setting, such as `data`: `--data`.
    may_differ : collection of str
        Names that are not compared: settings, such as `training.num_proc`, or sections, such as `tracking`.

    Raises
    ------
    AslsparkError
        Naming the first difference, with both values.
    """
    before, now = _flattened(recorded), _flattened(current)
    # A setting that is newer than the record had its default.
    before = {**{name: s.default for name, s in declarations().items() if name in now}, **before}
    before = {name: value for name, value in before.items() if name.removeprefix("settings.") not in FORMER_SETTINGS}
    option_of = {
        name: next((key for key in options or {} if name == key or name.startswith(f"{key}.")), None)
        for name in before.keys() | now.keys()
    }
    # What has an option is named before what follows from it, such as the settings of data of another kind.
    for name, option in sorted(option_of.items(), key=lambda item: (item[1] is None, item[0])):
        if name in may_differ or name.partition(".")[0] in may_differ or before.get(name) == now.get(name):
            continue
        difference = f"{name}={before.get(name)}, not {now.get(name)}"
        if option is not None and options is not None:
            below = f" {name[len(option) + 1 :]}=" if name != option else " "
            difference = f"{options[option]}{below}{_as_text(before.get(name))}, not {_as_text(now.get(name))}"
        raise AslsparkError(f"{run} was begun with {difference}; {advice}")


def _flattened(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return redacted values by their dotted names, as JSON gives them back."""
    return dict(leaves(json.loads(json.dumps(redact_all(dict(tree))))))


def _as_text(value: Any) -> str:
    return (", ".join(map(str, value)) or "(none)") if isinstance(value, list) else str(value)

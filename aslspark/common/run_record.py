"""What a run was begun with, and what it is given now -> nothing, or one line that names what differs.

A run that is taken up again goes on with what it has: samples that were ingested, trials, folds, epochs. What may not
change in between is written down when it begins, and compared here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import write_json
from aslspark.common.redaction import redact_all


def require_same_run(
    run: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    mend: str,
    *,
    options: Mapping[str, str] | None = None,
    may_differ: Collection[str] = (),
) -> None:
    """Refuse to go on with a run that was begun with something else.

    Parameters
    ----------
    run : str
        Opens the error, such as '--resume: the run'.
    before, now : mapping
        Values by name, also below one another; keys in them are masked before they are compared.
    mend : str
        What would work.
    options : mapping of str to str, optional
        What people call a name that is none of the settings, or stands above some, such as `data`: `--data`.
    may_differ : collection of str
        Names, with those that they are below: `training.num_proc`; or sections: `tracking`.

    Raises
    ------
    AslsparkError
        Naming the first that differs, and both its values.
    """
    was, given = flattened(before), flattened(now)
    for name in sorted(was.keys() | given.keys()):
        if name in may_differ or name.partition(".")[0] in may_differ or was.get(name) == given.get(name):
            continue
        option = next((of for of in options or {} if name == of or name.startswith(f"{of}.")), None)
        called = f"{name}={was.get(name)}, not {given.get(name)}"
        if option is not None and options is not None:
            below = f" {name[len(option) + 1 :]}=" if name != option else " "
            called = f"{options[option]}{below}{_in_words(was.get(name))}, not {_in_words(given.get(name))}"
        raise AslsparkError(f"{run} was begun with {called}; {mend}")


def flattened(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Lay values that stand below one another side by side, as JSON would give them back, with keys masked.

    Returns
    -------
    dict of str to object
        By their names from the top, joined by dots.
    """
    return dict(_leaves(json.loads(json.dumps(redact_all(dict(tree))))))


def write_run_record(path: Path, given: Mapping[str, Any]) -> None:
    """Write down what a run is begun with, whole or not at all, with keys masked."""
    half = path.with_name(f".{path.name}.tmp")
    write_json(half, dict(given))
    os.replace(half, path)


def _leaves(tree: Any, name: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        return [(name, tree)]
    return [leaf for key, value in tree.items() for leaf in _leaves(value, f"{name}.{key}" if name else key)]


def _in_words(value: Any) -> str:
    return (", ".join(map(str, value)) or "(none)") if isinstance(value, list) else str(value)

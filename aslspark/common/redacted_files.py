"""Reports, pages and settings -> files that show no secret: every text that the package leaves is written here.

In: words, or what JSON takes. Out: a file in UTF-8, with keys and passwords masked; see `aslspark.common.redaction`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aslspark.common.redaction import redact, redact_all


def write_text(path: Path, text: str) -> None:
    """Write words, masked."""
    path.write_text(redact(text), encoding="utf-8")


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write what JSON takes, every text in it masked.

    Parameters
    ----------
    path : Path
    value : anything that JSON takes
    indent : int, optional
        None: as short as it can be.
    """
    separators = (",", ":") if indent is None else None
    path.write_text(redacted_json(value, indent=indent, separators=separators), encoding="utf-8")


def redacted_json(value: Any, **how: Any) -> str:
    """Return JSON in which every text is masked; `how` is for `json.dumps`."""
    return json.dumps(redact_all(value), **how)


def write_settings(path: Path, settings: dict[str, dict[str, Any]], about: str) -> None:
    """Write settings as YAML that `--config` takes.

    A setting that holds a secret is left out, with a line that names it: masked, it could not be used.

    Parameters
    ----------
    path : Path
    settings : dict
        By section and name.
    about : str
        Lines that stand before it, as comments.
    """
    import yaml

    usable: dict[str, dict[str, Any]] = {}
    lines = [f"# {line}" for line in about.splitlines()]
    for section, values in settings.items():
        masked = redact_all(values)
        usable[section] = {name: value for name, value in values.items() if masked[name] == value}
        lines += [
            f"# {section}.{name} holds a secret and is left out: give it by --set or in the library's own environment"
            for name in values
            if masked[name] != values[name]
        ]
    path.write_text("\n".join([*lines, yaml.safe_dump(usable, sort_keys=False)]), encoding="utf-8")

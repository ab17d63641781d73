"""Reports, pages and settings -> files without secrets. The package writes its text files here.

In: text, or a value that JSON can hold. Out: a file in UTF-8 with keys and passwords masked; see
`aslspark.common.redaction`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aslspark.common.atomic_file import replace_file
from aslspark.common.redaction import redact, redact_all
from aslspark.common.store_path import AnyPath


def write_text(path: Path, text: str) -> None:
    """Write a redacted text."""
    path.write_text(redact(text), encoding="utf-8")


def write_json(path: AnyPath, value: Any, *, indent: int | None = 1) -> None:
    """Write a redacted value as JSON, whole or not at all.

    Parameters
    ----------
    value : anything that JSON can hold
    indent : int, optional
        None: on one line, without spaces.
    """
    separators = (",", ":") if indent is None else None
    replace_file(path, redacted_json(value, indent=indent, separators=separators).encode())


def redacted_json(value: Any, **options: Any) -> str:
    """Return a redacted value as JSON; `options` are those of `json.dumps`."""
    return json.dumps(redact_all(value), **options)


def write_settings(path: Path, settings: dict[str, dict[str, Any]], header: str) -> None:
    """Write settings as YAML that `--config` takes.

    A setting that holds a secret is left out, and a comment names it: a masked value could not be used.

    Parameters
    ----------
    settings : dict
        By section and name.
    header : str
        Lines that open the file, as comments.
    """
    import yaml

    usable: dict[str, dict[str, Any]] = {}
    comments = [f"# {line}" for line in header.splitlines()]
    for section, values in settings.items():
        redacted = redact_all(values)
        usable[section] = {name: value for name, value in values.items() if redacted[name] == value}
        comments += [
            f"# {section}.{name} holds a secret and is left out: give it by --set or in the library's own environment"
            for name in values
            if redacted[name] != values[name]
        ]
    path.write_text("\n".join([*comments, yaml.safe_dump(usable, sort_keys=False)]), encoding="utf-8")

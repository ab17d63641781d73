"""`aslspark settings [PART]`: lists the settings from their declarations: default, what they may be, what they mean."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any, NamedTuple

from aslspark.cli.jobs_support import add_json_option, print_result
from aslspark.common.command_line import ArgumentParser, nearest
from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import say
from aslspark.common.settings import Config, declarations

PARTS = tuple(part.name for part in fields(Config))
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "words"}


class Setting(NamedTuple):
    """One setting, in words."""

    name: str
    """Its part and its name, as `--set` takes it."""
    default: str
    values: str
    """What it may be."""
    meaning: str


def main(argv: Sequence[str]) -> None:
    """Print the settings of a part, of one setting, or all.

    Raises
    ------
    AslsparkError
        Where there is no such part or setting.
    """
    parser = ArgumentParser(
        prog="aslspark settings",
        description="List the settings, for --set PART.NAME=VALUE and for files that --config names.",
    )
    parser.add_argument("part", nargs="?", metavar="PART", help=f"one of {', '.join(PARTS)}, or PART.NAME")
    add_json_option(parser)
    options = parser.parse_args(argv)
    found = settings_of(options.part)
    if not options.json:
        say("\n".join(map(in_lines, found)))
    defaults = {name: setting.default for name, setting in declarations().items()}
    print_result(
        options,
        {
            setting.name: {"default": defaults[setting.name], "values": setting.values, "meaning": setting.meaning}
            for setting in found
        },
    )


def settings_of(part: str | None = None) -> list[Setting]:
    """Return the settings of a part, or the one that is named; None: all.

    Raises
    ------
    AslsparkError
        Where there is no such part or setting.
    """
    declared = declarations()
    chosen = [name for name in declared if part is None or name == part or name.startswith(f"{part}.")]
    if not chosen:
        hint = nearest(part or "", [*PARTS, *declared]) or f"; the parts are {', '.join(PARTS)}"
        raise AslsparkError(f"{part}: there is no such part or setting{hint}")
    return [
        Setting(name, _default(setting), values_of(setting), str(setting.metadata["meaning"]))
        for name, setting in ((name, declared[name]) for name in chosen)
    ]


def in_lines(setting: Setting) -> str:
    """Put a setting into lines as wide as the terminal."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    first = f"{setting.name} = {setting.default}"
    about = f"{setting.meaning} [{setting.values}]"
    return "\n".join([first, *textwrap.wrap(about, width, initial_indent="    ", subsequent_indent="    ")])


def values_of(setting: Field[Any]) -> str:
    """Say what a setting may be."""
    about = setting.metadata
    if choices := about.get("choices"):
        return ", ".join(map(str, choices))
    kind, least, most = _KINDS[type(setting.default)], about.get("least"), about.get("most")
    bounds = ""
    if least is not None and most is not None:
        bounds = f" from {least:g} to {most:,}" if most >= 1000 else f" from {least:g} to {most:g}"
    elif least is not None:
        bounds = f", {least:g} or more"
    elif most is not None:
        bounds = f", at most {most:g}"
    return kind + bounds + (f", at most {about['upto']}" if about.get("upto") else "")


def _default(setting: Field[Any]) -> str:
    if isinstance(setting.default, bool):
        return str(setting.default).lower()
    return str(setting.default) if setting.default != "" else '""'

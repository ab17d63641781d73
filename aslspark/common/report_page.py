"""A job's result -> `report.html`, one page that needs nothing beside it, by the job's template in `templates/`."""

from __future__ import annotations

import base64
import datetime
import io
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from aslspark.common.counted import counted
from aslspark.common.package import library_versions
from aslspark.common.redaction import redact
from aslspark.common.settings import declarations

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE = "report.html"
SPOTS = "spots"
"""The text of a PNG that says where what can be pointed at lies in it; see `aslspark.common.plot_style`."""


def write_page(folder: Path, template: str, **result: Any) -> None:
    """Write the page beside the plots that it shows, which are in the folder already.

    Parameters
    ----------
    template : str
        A file of `templates/`.
    **result
        See `page`.
    """

    def read(name: str) -> bytes | None:
        return (folder / name).read_bytes() if (folder / name).is_file() else None

    (folder / PAGE).write_bytes(page(template, read, **result))


def page(
    template: str,
    read: Callable[[str], bytes | None],
    *,
    warnings: Sequence[str] = (),
    made: Mapping[str, str],
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    **result: Any,
) -> bytes:
    """Return the page in UTF-8, in which all text shows as the words that it is, and keys and passwords are masked.

    Parameters
    ----------
    template : str
        A file of `templates/`.
    read : callable
        Gives a PNG by its name, or None where there is none.
    warnings : sequence of str
        Sentences that stand first.
    made : mapping of str to str
        How the result was made, such as ``{"data": "letters.csv"}``; the command, the time and the versions are added.
    settings : mapping, optional
        By section and name; those that are not as by default are shown.
    **result
        What the template shows.
    """

    @cache  # templates ask whether there is a picture before they show it
    def png(name: str) -> dict[str, Any] | None:
        data = read(name)
        if not data:
            return None
        with Image.open(io.BytesIO(data)) as image:
            image.load()  # text may stand behind the pixels
            spots = json.loads(image.info.get(SPOTS, "[]"))
            for spot in spots:
                spot["box"] = [float(part) for part in spot["box"]]  # it is written into a style
            return {"base64": base64.b64encode(data).decode("ascii"), "width": image.width, "spots": spots}

    written = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    about = {**made, **_changed(settings or {}), "written": written, "versions": versions}
    template_of_job = _environment().get_template(template)
    text = template_of_job.render(result, png=png, warnings=warnings, made=about, command=command_line())
    return text.encode("utf-8", "backslashreplace")  # names of files may hold what is no UTF-8


def command_line() -> str:
    """Return the command line of this process; of a notebook the program alone."""
    words = sys.argv or ["python"]
    program = words[0].split() if words[0].startswith("aslspark ") else [Path(words[0]).name]
    return shlex.join([*program, *words[1:]]) if program[0] != "ipykernel_launcher.py" else "a notebook"


def _changed(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the settings that are not as by default."""
    changed = {}
    for name, declared in declarations().items():
        section, key = name.split(".")
        value = settings.get(section, {}).get(key, declared.default)
        if value != declared.default:
            changed[name] = f"{value}"
    return changed


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("aslspark.common"),
        autoescape=True,
        undefined=StrictUndefined,
        # Before it is escaped, since a quote that has become an entity no longer ends a password.
        finalize=lambda value: redact(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["counted"] = counted
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment


def _percent(share: float, decimals: int = 2) -> str:
    # + 0.0: rounding may leave -0.0, which is written with its sign.
    return f"{round(100 * share, decimals) + 0.0:.{decimals}f}%"

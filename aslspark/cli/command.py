"""`aslspark COMMAND ...`: runs the `main` of a command on the arguments that follow it.

Every job in `jobs/` is a command called like its file. It runs in this process, with Spark on this machine unless
Spark's own settings say otherwise; spark-submit runs the same files on a cluster.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from aslspark.cli.jobs_support import run_job
from aslspark.common.command_line import nearest
from aslspark.common.errors import AslsparkError
from aslspark.common.package import HOME, VERSION
from aslspark.common.redaction import say

Main = Callable[[Sequence[str]], None]

OWN = {
    "serve": ("aslspark.serving.server", "Read letters over HTTP, and live in the browser."),
    "watch-folder": ("aslspark.serving.folder_watch", "Read each picture that comes into a folder, once."),
    "export": ("aslspark.cli.export", "Write a network for other runtimes, or hands as landmarks."),
    "export-web": ("aslspark.cli.export_web", "Write the live page with its networks, for a static server."),
    "settings": ("aslspark.cli.settings", "List every setting: default, range and meaning."),
    "doctor": ("aslspark.cli.doctor", "Look whether this machine has what the jobs need."),
    "fetch": ("aslspark.cli.fetch", "Fetch data sets, and the networks that find hands."),
    "completion": ("aslspark.cli.completion", "Print what makes a shell complete commands and options."),
}
"""Commands that are not jobs: name -> module and description."""


def jobs_folder() -> Path | None:
    """Return the folder of the jobs: beside the package in a checkout, inside it where it is installed."""
    package = Path(HOME, "aslspark")
    return next((folder for folder in (package / "jobs", package.parent / "jobs") if folder.is_dir()), None)


def commands() -> dict[str, str]:
    """Return every command with its description, jobs first."""
    folder = jobs_folder()
    jobs = {}
    for path in sorted(folder.glob("*.py")) if folder else []:
        if not path.stem.startswith("_"):
            jobs[path.stem.replace("_", "-")] = _about(path)
    return {**jobs, **{name: about for name, (_, about) in OWN.items()}}


def main_of(name: str) -> Main:
    """Import the `main` of a command.

    Raises
    ------
    AslsparkError
        Where there is no such command.
    """
    if name in OWN:
        main: Main = importlib.import_module(OWN[name][0]).main
        return main
    if name not in commands():
        alike = [known for known in commands() if known.startswith(name[:4])]
        meant = f"; did you mean {' or '.join(alike)}?" if alike else nearest(name, commands())
        raise AslsparkError(f"{name}: there is no such command{meant or '; choose ' + ', '.join(commands())}")
    folder = jobs_folder()
    assert folder is not None
    path = folder / f"{name.replace('-', '_')}.py"
    spec = importlib.util.spec_from_file_location(f"aslspark_job_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    job: Main = module.main
    return job


def main(argv: Sequence[str]) -> None:
    """Run a command.

    Raises
    ------
    AslsparkError
        Where there is no such command, or from the command.
    """
    if not argv or argv[0] in ("-h", "--help"):
        say(_help())
    elif argv[0] in ("-V", "--version"):
        say(f"aslspark {VERSION}")
    else:
        name, *rest = argv
        command = main_of(name)
        sys.argv = [f"aslspark {name}", *rest]
        command(rest)


def entry() -> None:
    """Run the command line of this process, with errors as one line."""
    run_job(main)


def _help() -> str:
    lines = [f"  {name:<16}{about}" for name, about in commands().items()]
    return "\n".join(
        [
            "usage: aslspark COMMAND [options]        aslspark COMMAND --help",
            "Reads the letters of the American manual alphabet from pictures of hands.",
            "",
            *lines,
        ]
    )


def _about(path: Path) -> str:
    """Return a job's description: the first sentence of its docstring that is not a command line."""
    paragraphs = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")
    description = next((part for part in paragraphs if not part.startswith("spark-submit")), "")
    short = " ".join(description.split()).partition(":")[0].partition(". ")[0].rstrip(".")
    return textwrap.shorten(f"{short}." if short else "", 62, placeholder=" ...")

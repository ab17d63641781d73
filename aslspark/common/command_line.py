"""The command line of jobs and commands: what is wrong with it in one line, with what was probably meant."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

from aslspark.common.terminal_line import line_set_aside

_CHOICES = re.compile(r"argument (?P<option>.+): invalid choice: '(?P<given>.*)' \(choose from (?P<choices>.+)\)")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what was probably meant, as ``; did you mean WORD?``; empty where nothing is near."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose errors are one line, which names what was probably meant, and exit code 2."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Read the words of a command line; see `argparse.ArgumentParser.parse_args`."""
        words = [*(sys.argv[1:] if args is None else args)]
        names = {"--help", *re.findall(r"(?<![\w-])--[a-z][a-z-]*", self.format_help())}
        for word in (word.partition("=")[0] for word in words):
            # Before argparse, which would first name the options that are missing, such as the one that is meant.
            if re.match(r"--\w", word) and not any(name.startswith(word) for name in names):
                self.error(f"{word}: there is no such option{nearest(word, names)}")
        options, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self.error(f"{unknown[0]}: it belongs to no option")
        return options

    def print_help(self, file: Any = None) -> None:
        """Print the help above the line that says how far the work is."""
        with line_set_aside():
            super().print_help(file)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End, with a message above the line that says how far the work is."""
        with line_set_aside():
            super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and end with exit code 2."""
        if match := _CHOICES.match(message):
            choices = [choice.strip().strip("'") for choice in match["choices"].split(",")]
            hint = nearest(match["given"], choices) or f"; choose one of {', '.join(choices)}"
            message = f"{match['option']} {match['given']}: there is no such choice{hint}"
        self.exit(2, f"error: {message}; {self.prog} --help names all\n")


def next_command(job: str, *words: str) -> str:
    """Return the command line of another job, spelled as the one that runs now was; empty where none runs.

    What has no file among the jobs, such as ``serve``, is of the command alone.

    Parameters
    ----------
    job : str
        As the command `aslspark` calls it, such as ``train-cnn``.
    *words : str
        Its options; words in capitals stand for what the reader has to give.
    """
    script = Path(sys.argv[0] if sys.argv else "")
    is_file = script.suffix == ".py" and script.parent.name == "jobs"
    file = script.parent / f"{job.replace('-', '_')}.py"
    if is_file and file.exists():
        begin = " ".join(["spark-submit", *map(quote, _given_to_spark_submit()), f"{file}"])
    elif is_file or script.name.startswith("aslspark "):
        begin = f"aslspark {job}"
    else:
        return ""  # Python, or a notebook
    return " ".join([begin, *map(quote, words)])


_SPARK_SUBMIT = "org.apache.spark.deploy.SparkSubmit"


def _given_to_spark_submit() -> list[str]:
    """Return the options before the job's file, from the command line of the JVM that started this process."""
    try:
        words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        words = words[words.index(_SPARK_SUBMIT) + 1 :]
    except (OSError, ValueError):  # another system, or Python runs the job itself
        return []
    own = Path(sys.argv[0]).name
    options = iter(words[: next((place for place, word in enumerate(words) if Path(word).name == own), 0)])
    kept = []
    for word in options:
        if word == "--name":  # of one run alone, with its value
            next(options, None)
        elif word not in ("--verbose", "-v"):
            kept.append(word)
    return kept

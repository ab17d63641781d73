"""`aslspark completion bash|zsh`: prints a script that completes the commands and their options in the shell."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Sequence

from aslspark.common.command_line import ArgumentParser
from aslspark.common.settings import declarations

SHELLS = ("bash", "zsh")
_SCRIPT = """# aslspark {shell} completion
{begin}_aslspark() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" options=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands}" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  local last="" place
  for ((place = COMP_CWORD; place > 1; place--)); do
    case "${{COMP_WORDS[place]}}" in -*) last="${{COMP_WORDS[place]}}"; break ;; esac
  done
  if [ "$last" = --set ] && [ "$word" != --set ]; then
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -S = -W "{settings}" -- "$word"))
    return
  fi
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _aslspark aslspark
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def main(argv: Sequence[str]) -> None:
    """Print the script."""
    from aslspark.cli.command import commands

    parser = ArgumentParser(
        prog="aslspark completion",
        description="Print a completion script. bash: aslspark completion bash > "
        "~/.local/share/bash-completion/completions/aslspark; zsh: source it in ~/.zshrc.",
    )
    parser.add_argument("shell", choices=SHELLS)
    shell = parser.parse_args(argv).shell
    cases = "\n".join(f'    {name}) options="{" ".join(options_of(name))}" ;;' for name in commands())
    begin = _ZSH if shell == "zsh" else ""
    print(
        _SCRIPT.format(
            shell=shell, begin=begin, commands=" ".join(commands()), cases=cases, settings=" ".join(declarations())
        ),
        end="",
    )


def options_of(name: str) -> list[str]:
    """Return the options that a command's --help lists."""
    from aslspark.cli.command import main_of

    if name == "completion":
        return ["--help"]
    output, before = io.StringIO(), sys.argv
    try:
        sys.argv = [f"aslspark {name}"]
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main_of(name)(["--help"])
    finally:
        sys.argv = before
    return list(dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][a-z-]*", output.getvalue())))

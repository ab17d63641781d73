"""Makes the reference: the command line, the Python API, the bundle's manifest, the service's requests.

In: the parsers, docstrings, types and OpenAPI of the package. Out: Markdown, which `generated_docs.py` puts into docs/.
"""

from __future__ import annotations

import argparse
import ast
import html
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from moments import ENTERED, whenever

import aslspark
from aslspark.bundle.manifest import Manifest, Preprocessing, Provenance
from aslspark.cli.command import commands, main_of
from aslspark.common.command_line import ArgumentParser
from aslspark.common.markdown import code, text
from aslspark.images.image_spec import Fitting
from aslspark.serving import server
from aslspark.serving.app import create_app
from aslspark.serving.connections import Connections
from aslspark.serving.limits import Limits
from aslspark.serving.origins import Keys
from aslspark.serving.served_models import ServedModels

BUNDLE = Path(__file__).parent / "fixtures" / "bundles" / "format-1-network"
BY_MACHINE = {("serve", "workers"): f"one a core, {server.MOST_WORKERS} at most"}
"""By command and option: defaults that differ from machine to machine."""
SECTION = re.compile(r"(?m)^(\w[\w ]*)\n-{3,}\n")
ITEM = re.compile(r"(?m)^(?=\S)")


class _Found(BaseException):
    """Ends a command at its parser, before it does anything; no `except Exception` keeps it."""

    def __init__(self, parser: ArgumentParser) -> None:
        self.parser = parser


@cache
def parser_of(command: str) -> ArgumentParser:
    """Return the parser with which a command reads its options."""

    def found(arguments: dict[str, Any]) -> None:
        raise _Found(arguments["self"])

    before = sys.argv
    sys.argv = [f"aslspark {command}"]
    try:
        with whenever(ArgumentParser.parse_args, ENTERED, found):
            main_of(command)([])
    except _Found as end:
        return end.parser
    finally:
        sys.argv = before
    raise ValueError(f"aslspark {command} has no parser")


def command_line() -> str:
    """Tabulate the options of every command."""
    return "\n\n".join(_command(name) for name in commands())


def _command(name: str) -> str:
    parser = parser_of(name)
    alone = {
        action.dest: group
        for group in parser._mutually_exclusive_groups  # argparse has no public way to ask
        for action in group._group_actions
    }
    lines = [f"## {name}", "", f"{text(' '.join((parser.description or '').split()))}", ""]
    shown = [action for action in parser._actions if action.dest != "help"]
    if not shown:
        return "\n".join([*lines, "No options."])
    lines += ["| option | | meaning |", "|---|---|---|"]
    for action in shown:
        group = alone.get(action.dest)
        needed = "required" if action.required and group is None else ""
        if group is not None:
            others = [_name(other) for other in group._group_actions if other is not action]
            needed = (
                f"{'this' if group.required else 'not with'} {'or ' if group.required else ''}{' or '.join(others)}"
            )
        lines.append(f"| {_usage(action)} | {needed} | {_meaning(name, action)} |")
    return "\n".join(lines)


def _name(action: argparse.Action) -> str:
    return f"`{action.option_strings[-1]}`" if action.option_strings else f"`{action.metavar or action.dest}`"


def _usage(action: argparse.Action) -> str:
    value = action.metavar or ("NAME" if action.choices and action.option_strings else action.dest.upper())
    value = "" if action.nargs == 0 else f"{value}{' ...' if action.nargs == '+' else ''}"
    return _code(" ".join(filter(None, [*action.option_strings[-1:], value])))


def _code(words: str) -> str:
    """Put words into a code span of a table; a bar in one is read in two ways by GitHub and by the site."""
    return f"<code>{html.escape(words).replace('|', '&#124;')}</code>" if "|" in words else code(words)


def _meaning(command: str, action: argparse.Action) -> str:
    about = action.help or ""
    values = {**vars(action), "default": BY_MACHINE.get((command, action.dest), action.default)}
    choices = f"{', '.join(code(choice) for choice in action.choices)}" if action.choices else ""
    return "; ".join(filter(None, [choices, text(about % values)]))


def api() -> str:
    """Write the docstrings of the public API, which are numpydoc, as Markdown.

    They are read from the sources: to import the estimators is to import both frameworks.
    """
    return "\n\n".join(_documented(*_source_of(name)) for name in sorted(aslspark.__all__, key=str.lower))


Documented = ast.ClassDef | ast.FunctionDef


def _source_of(name: str, module: str | None = None) -> tuple[Documented, ast.Module]:
    spec = importlib.util.find_spec(module or aslspark._MODULES[name])
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    node = next(node for node in tree.body if isinstance(node, Documented) and node.name == name)
    return node, tree


def _documented(node: Documented, tree: ast.Module) -> str:
    begin, *sections = SECTION.split(ast.get_docstring(node) or "")
    lines = [f"## {node.name}", "", "```python", _signature(node, tree), "```", "", _prose(begin)]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        lines += ["", f"**{title}**", ""]
        if title == "Examples":
            lines.append(_examples(body))
        elif title == "References":
            lines.append(_prose(re.sub(r"(?m)^\.\. \[(\d+)\] ", r"\\[\1\\] ", body)))
        elif title in ("Parameters", "Returns", "Raises", "Attributes"):
            items = list(_items(body))
            # Without empty lines the site takes what follows a list within an item for a part of that list.
            lines.append(("\n\n" if any("\n\n" in item for item in items) else "\n").join(items))
        else:
            lines.append(_prose(body))
    methods = [f"-   `{name}`: {about}" for name, about in _methods(node)]
    return "\n".join([*lines, *(["", "**Methods of its own**", "", *methods] if methods else [])])


def _methods(node: Documented) -> Iterator[tuple[str, str]]:
    """Give the public methods of a class that it documents itself, with the first paragraph about each."""
    for each in node.body if isinstance(node, ast.ClassDef) else ():
        about = ast.get_docstring(each) if isinstance(each, ast.FunctionDef) else None
        if isinstance(each, ast.FunctionDef) and about and not each.name.startswith("_"):
            shown = [given.arg for given in each.args.args if given.arg not in ("self", "cls")]
            yield f"{each.name}({', '.join(shown)})", " ".join(_prose(about.split("\n\n")[0]).split())


def _signature(node: Documented, tree: ast.Module) -> str:
    """Write how a function or class is called, a parameter a line where one line is too short."""
    if isinstance(node, ast.ClassDef):
        made = _call(_constructor(node, tree), "    ")
        return f"class {node.name}:\n{made}"
    return _call(node, "")


def _call(node: ast.FunctionDef, indent: str) -> str:
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    shown = [_parameter(*each) for each in zip(plain, defaults, strict=True)]
    if given.kwonlyargs:
        shown += ["*", *(_parameter(*each) for each in zip(given.kwonlyargs, given.kw_defaults, strict=True))]
    shown += [f"**{ast.unparse(given.kwarg)}"] if given.kwarg else []
    begin, end = f"{indent}def {node.name}(", f") -> {ast.unparse(node.returns) if node.returns else None}: ..."
    on_one_line = f"{begin}{', '.join(shown)}{end}"
    if len(on_one_line) <= 100:
        return on_one_line
    return "\n".join([begin, *(f"{indent}    {each}," for each in shown), f"{indent}{end}"])


def _parameter(given: ast.arg, default: ast.expr | None) -> str:
    value = f" = {ast.unparse(default)}" if default is not None else ""
    return ast.unparse(given) + value.replace("'", '"')  # as ruff has it, which looks at pages, too


def _constructor(node: ast.ClassDef, tree: ast.Module) -> ast.FunctionDef:
    """Find the `__init__` of a class, or of the one of this package that it inherits it from."""
    own = (each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
    if (made := next(own, None)) is not None:
        return made
    modules = {
        alias.name: each.module for each in tree.body if isinstance(each, ast.ImportFrom) for alias in each.names
    }
    for base in (ast.unparse(each) for each in node.bases):
        if (modules.get(base) or "").startswith("aslspark."):
            parent, of_parent = _source_of(base, modules[base])
            assert isinstance(parent, ast.ClassDef)
            return _constructor(parent, of_parent)
    raise ValueError(f"{node.name} has no __init__ in this package")


def _items(body: str) -> Iterator[str]:
    """Make a list of numpydoc's `name : type`, each with an indented paragraph below it."""
    for item in filter(str.strip, ITEM.split(body)):
        head, _, about = item.partition("\n")
        name, colon, type_ = head.partition(" : ")
        named = f"`{name}`" + (f" ({_prose(type_)})" if colon else "")
        about = inspect.cleandoc(about)
        begins_with_list = about.startswith("- ")
        about = re.sub(r"\n(?=.)", "\n    ", _prose(about))
        yield f"-   {named}" + (
            f"{chr(10) * 2 if begins_with_list else ': '}{'    ' if begins_with_list else ''}{about}" if about else ""
        )


def _prose(body: str) -> str:
    """Write what little of reStructuredText stands in docstrings as Markdown."""
    body = re.sub(r"``([^`]+)``", r"`\1`", body.strip())
    body = "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in re.split("(`[^`]*`)", body))
    return re.sub(r"(\w) ?\[(\d+)\]_", r"\1 \\[\2\\]", body)


def _examples(body: str) -> str:
    """Put each run of lines between empty ones into a block, but what is said between them."""
    blocks = []
    for part in re.split(r"\n\n+", body.strip("\n")):
        shown = part.replace("<BLANKLINE>", "").replace("  # doctest: +ELLIPSIS", "").rstrip()
        is_code = part.startswith(">>> ") or (blocks and blocks[-1].startswith("```") and part.startswith(("+-", "|")))
        blocks.append(f"```pycon\n{shown}\n```" if is_code else _prose(shown))
    return "\n\n".join(blocks)


def manifest() -> str:
    """Tabulate the entries of a bundle's manifest."""
    tables = (("", Manifest), ("`preprocessing`", Preprocessing), ("`data`", Provenance))
    return "\n\n".join(f"{f'### {title}' + chr(10) * 2 if title else ''}{_entries(table)}" for title, table in tables)


def _entries(table: Any) -> str:
    lines = ["| entry | type | | meaning |", "|---|---|---|---|"]
    for owner in (*([Fitting] if table is Preprocessing else []), *_required_first(table)):
        for name, type_, about in _annotated(owner):
            needed = "required" if name in table.__required_keys__ and table is Manifest else ""
            lines.append(f"| `{name}` | {_code(type_)} | {needed} | {_prose(' '.join(about.split()))} |")
    return "\n".join(lines)


def _required_first(table: Any) -> tuple[str, ...]:
    return ("_Required", "Manifest") if table is Manifest else (table.__name__,)


def _annotated(owner: Any) -> Iterator[tuple[str, str, str]]:
    """Read the entries of a TypedDict with the docstrings below them."""
    name, module = (owner, "aslspark.bundle.manifest") if isinstance(owner, str) else (owner.__name__, owner.__module__)
    tree = ast.parse(Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    for place, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            after = body[place + 1] if place + 1 < len(body) else None
            is_about = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield node.target.id, ast.unparse(node.annotation), str(after.value.value) if is_about else ""  # type: ignore[union-attr]


def requests() -> str:
    """Describe what the service is asked over HTTP, from its OpenAPI."""
    schema = _openapi()
    lines = []
    for path, methods in schema["paths"].items():
        for method, about in methods.items():
            lines += [
                f"### {method.upper()} {path}",
                "",
                f"{about['summary']}. {_prose(about.get('description', ''))}".strip(),
                "",
            ]
            kinds = about.get("requestBody", {}).get("content", {})
            if kinds:
                lines += ["The body is one of " + ", ".join(f"`{kind}`" for kind in kinds) + ".", ""]
            lines += ["| status | body | |", "|---|---|---|"]
            for status, answer in about["responses"].items():
                said = "" if answer["description"] == "Successful Response" else answer["description"]
                lines.append(f"| {status} | {_content(answer)} | {text(said)} |")
            lines.append("")
    lines += ["## Bodies", ""]
    for name, body in schema["components"]["schemas"].items():
        lines += [f"### {name}", "", body.get("description", ""), "", "| field | type | meaning |", "|---|---|---|"]
        for field, facts in body["properties"].items():
            lines.append(f"| `{field}` | {_type(facts)} | {text(facts.get('description', ''))} |")
        lines.append("")
    return "\n".join(lines[:-1])


def _openapi() -> dict[str, Any]:
    limits = Limits()
    models = ServedModels([str(BUNDLE)], pixels=limits.pixels)
    keys = Keys(None, proxied=False)
    app = create_app(models, limits, 1, record=None, every=2.0, keys=keys, connections=Connections(limits))
    return app.openapi()


def _content(answer: dict[str, Any]) -> str:
    kinds = [
        _type(content["schema"]) if kind == "application/json" else code(kind)
        for kind, content in answer.get("content", {}).items()
    ]
    return ", ".join(kinds)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "any"))

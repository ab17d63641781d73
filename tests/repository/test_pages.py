"""What the pages name and link to is there, and the lines and code that they show are ones that the package takes."""

import ast
import importlib
import inspect
import re
import shlex
import subprocess
from functools import cache

import pytest
import reference_pages
from conftest import REPOSITORY

import aslspark

PAGES = sorted(
    path.relative_to(REPOSITORY)
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in REPOSITORY.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"(?m)^#{1,6} +(.+?) *#*$")
FENCE = re.compile(r"(?ms)^```(\w*)\n(.*?)^```$")
FILE = re.compile(r"(?<![\w./-])((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|js|sh|in|lock|conf))\b|\b(conf/[a-z_/]+\.yaml)\b")
MODULE = re.compile(r"\baslspark\.([a-z_]+)\.([a-z_]+)\b")
DEFINED = re.compile(r"`([a-z_/0-9]+\.py)`: ((?:`[A-Za-z_.]+`(?:, )?)+)")
TARGET = re.compile(r"(?m)^([a-z-]+):")
PLACEHOLDER = re.compile(r"\[[^\]]*\]|\.\.\.|(?<==)[A-Z]+\b")
"""In lines that are shown in general, such as `[--trials 3]` and `PATH...`."""


def read(page):
    return (REPOSITORY / page).read_text(encoding="utf-8")


def prose(text):
    """Leave out what is shown as code, in which signs are no Markdown."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))


@cache
def anchors(page):
    """The anchors of a page's headings, as GitHub and the site make them."""
    found = set()
    for heading in HEADING.findall(FENCE.sub("", read(page))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = first = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        more = 0
        while name in found:
            more += 1
            name = f"{first}-{more}"
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_names_is_there(page):
    text = read(page)
    # ARCHITECTURE.md names files from the package's folder on, and those of the live page from the service's.
    roots = (REPOSITORY, REPOSITORY / "aslspark", REPOSITORY / "aslspark" / "serving")
    files = {name or setting for name, setting in FILE.findall(text)}
    lost = [name for name in files if not any((root / name).exists() for root in roots)]
    modules = {f"aslspark/{room}/{module}" for room, module in MODULE.findall(text)}
    lost += [name for name in modules if not (REPOSITORY / f"{name}.py").exists() and not (REPOSITORY / name).is_dir()]
    assert not lost


def names_in(tree, prefix=""):
    """The functions and classes of a module, methods by their class."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f"{prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from names_in(node, f"{node.name}.")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_functions_that_a_page_names_with_their_file_are_defined_there(page):
    for file, functions in DEFINED.findall(read(page)):
        path = next(root / file for root in (REPOSITORY, REPOSITORY / "aslspark") if (root / file).exists())
        named = set(re.findall(r"[A-Za-z_.]+", functions))
        assert not named - set(names_in(ast.parse(path.read_text(encoding="utf-8")))), file


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_links_to_is_there_with_the_heading_that_is_meant(page):
    lost = []
    for link in LINK.findall(prose(read(page))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / page.parent / path).resolve() if path else REPOSITORY / page
        if not target.exists() or (anchor and anchor not in anchors(target.relative_to(REPOSITORY))):
            lost.append(link)
    assert not lost


def test_every_page_of_the_documentation_stands_in_the_sites_contents():
    listed = re.findall(r"(?m): ([\w/]+\.md)$", read("mkdocs.yml"))
    pages = [page.relative_to("docs").as_posix() for page in PAGES if page.parts[0] == "docs"]
    assert sorted(name for name in listed if not name.startswith("source/")) == sorted(pages)
    assert all((REPOSITORY / name.removeprefix("source/")).exists() for name in listed if name.startswith("source/"))


def blocks(kind):
    return [
        pytest.param(body, id=f"{page}-{number}")
        for page in PAGES
        for number, body in enumerate(body for shown, body in FENCE.findall(read(page)) if shown == kind)
    ]


def commands_in(block):
    """The words of each command of the package's in a block for the shell, its variables left as they are."""
    lines = re.sub(r"\\\n", " ", block).splitlines()
    for line in lines:
        for part in re.split(r" && |; | \| ", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if "docker" in words[:1]:  # what runs in a container
                words = words[next((place for place, word in enumerate(words) if word in RUNNERS), len(words)) :]
            if words and words[0] in RUNNERS:
                yield words


RUNNERS = ("aslspark", "spark-submit", "make", "python")


@pytest.mark.parametrize("block", blocks("bash"))
def test_a_line_for_the_shell_is_one_that_its_command_takes(block):
    subprocess.run(["bash", "-n"], input=PLACEHOLDER.sub("x", block), text=True, check=True)
    for runner, *words in commands_in(block):
        if runner == "make":
            targets = [word for word in words if "=" not in word]
            assert set(targets) <= set(TARGET.findall(read("Makefile"))), words
            if targets == ["train"]:
                words = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "")
                check_options("train-cnn", ["--out", "runs/mine", *shlex.split(words)])
            continue
        if runner == "python" and words[:2] == ["-m", "aslspark"]:
            runner, words = "aslspark", words[2:]
        if runner == "aslspark":
            if words and not words[0].startswith("-"):
                check_options(words[0], words[1:])
            continue
        place = next((place for place, word in enumerate(words) if word.endswith(".py")), None)
        if place is None:
            continue
        script = words[place].rpartition("/opt/aslspark/")[2]
        assert (REPOSITORY / script).is_file(), script
        if script.startswith("jobs/"):
            check_options(script[5:-3].replace("_", "-"), words[place + 1 :])


def check_options(command, words):
    """Read a command's options with its own parser, and its settings with those of the package."""
    parser = reference_pages.parser_of(command)
    parser.exit = lambda status, message: pytest.fail(message)
    # An option in brackets may be left out: `[--trials 3]`.
    options = parser.parse_args([word.strip("[]") for word in words])
    if hasattr(options, "config"):
        ours = options.config if (options.config or "").startswith("conf/") else None
        aslspark.load_config(ours, options.set)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_on_a_page_names_what_is_there_and_calls_it_as_it_is_called(block):
    tree = ast.parse(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "aslspark":
            assert all(hasattr(importlib.import_module(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("aslspark."):
            called = getattr(aslspark, ast.unparse(node.func).removeprefix("aslspark."))
            inspect.signature(called).bind(*node.args, **{word.arg: word.value for word in node.keywords})


def test_every_field_of_the_services_answers_has_a_meaning():
    answers = reference_pages._openapi()["components"]["schemas"]
    fields = {f"{name}.{field}": facts for name, body in answers.items() for field, facts in body["properties"].items()}
    assert [name for name, facts in fields.items() if "description" not in facts and "$ref" not in facts] == []


def test_no_page_but_the_changelog_names_a_version_of_the_package():
    versions = [*re.findall(r"(?m)^## (\d[\w.]*)", read("CHANGELOG.md")), aslspark.__version__]
    stale = re.compile("|".join(rf"(?<![\w.]){re.escape(version)}(?![\w.]\w)" for version in versions))
    others = [page for page in PAGES if page.name != "CHANGELOG.md"]
    assert not [f"{page}: {found}" for page in others for found in stale.findall(read(page))]


def test_the_page_on_databricks_names_the_python_that_the_package_asks_for():
    asked = re.search(r'python_requires="[^0-9]*(\d+\.\d+)', read("setup.py"))[1]
    assert re.findall(r"aslspark asks for (\d+\.\d+)", read("docs/databricks.md")) == [asked]

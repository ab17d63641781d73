"""What the pages name and link to is there."""

import re

import pytest
from conftest import REPOSITORY

PAGES = sorted(
    path.relative_to(REPOSITORY)
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for path in REPOSITORY.glob(pattern)
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FILE = re.compile(r"(?<![\w./-])((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|js|sh|in|lock|conf))\b|\b(conf/[a-z_/]+\.yaml)\b")
MODULE = re.compile(r"\baslspark\.([a-z_]+)\.([a-z_]+)\b")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_names_is_there(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    lost = [link for link in links if not (REPOSITORY / page.parent / link).exists()]
    # ARCHITECTURE.md names files from the package's folder on, and those of the live page from the service's.
    roots = (REPOSITORY, REPOSITORY / "aslspark", REPOSITORY / "aslspark" / "serving")
    files = {name or setting for name, setting in FILE.findall(text)}
    lost += [name for name in files if not any((root / name).exists() for root in roots)]
    modules = {f"aslspark/{room}/{module}" for room, module in MODULE.findall(text)}
    lost += [name for name in modules if not (REPOSITORY / f"{name}.py").exists() and not (REPOSITORY / name).is_dir()]
    assert not lost

"""Brings what the pages link to outside of docs/ into the site: a page for each file and each folder, in source/.

mkdocs calls `on_files` before it renders, and `on_page_markdown` for each page.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCE = "source"
IN_NAV = re.compile(rf"{SOURCE}/(\S+\.md)$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=(?:#[^)]*)?\))")
LANGUAGES = {".py": "python", ".sh": "bash", ".yaml": "yaml", ".json": "json", ".toml": "toml", ".conf": "ini"}


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for all that is linked to, and for what those pages link to in turn."""
    pages = [Path(file.abs_src_path or "") for file in files.documentation_pages()]
    seen = {REPOSITORY / name for name in IN_NAV.findall(Path(config.config_file_path).read_text(encoding="utf-8"))}
    for target in seen:
        files.append(_page(target, config))
        pages.append(target)
    while pages:
        place = pages.pop()
        for link in LINK.findall(place.read_text(encoding="utf-8")) if place.suffix == ".md" else ():
            target = Path(os.path.normpath(place.parent / link))
            if target in seen or not _is_outside(target) or not target.exists():
                continue
            seen.add(target)
            files.append(_page(target, config))
            pages.append(target)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Lead links out of docs/ to the pages in source/."""
    uri = PurePosixPath(page.file.src_uri)
    outside = uri.parts[0] == SOURCE
    home = REPOSITORY.joinpath(*uri.parts[1:-1]) if outside else Path(config.docs_dir, uri.parent)

    def led(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(home / found[1]))
        if not target.is_relative_to(REPOSITORY):
            return found[1]
        return os.path.relpath(_uri(target), uri.parent)

    return LINK.sub(led, markdown)


def _is_outside(target: Path) -> bool:
    return target.is_relative_to(REPOSITORY) and not target.is_relative_to(REPOSITORY / "docs")


def _uri(target: Path) -> str:
    """Return where a file of the repository lies in the site's sources."""
    if not _is_outside(target):
        return target.relative_to(REPOSITORY / "docs").as_posix()
    path = f"{SOURCE}/{target.relative_to(REPOSITORY).as_posix()}"
    if target.is_dir():
        return f"{path}/index.md"
    return path if target.suffix in (".md", ".png") else f"{path}.md"


def _page(target: Path, config: Any) -> File:
    name, uri = target.relative_to(REPOSITORY).as_posix(), _uri(target)
    if target.suffix == ".png":
        return File.generated(config, uri, abs_src_path=str(target))
    if target.suffix == ".md":
        content = target.read_text(encoding="utf-8")
        return File.generated(config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV)
    if target.is_dir():
        listed = sorted(each for each in target.iterdir() if not each.name.startswith((".", "__")))
        shown = "\n".join(f"- {each.name}{'/' if each.is_dir() else ''}" for each in listed)
    else:
        language = LANGUAGES.get(target.suffix, "text")
        shown = f"~~~~{language}\n{target.read_text(encoding='utf-8')}\n~~~~"
    return File.generated(config, uri, content=f"# {name}\n\n{shown}\n", inclusion=InclusionLevel.NOT_IN_NAV)

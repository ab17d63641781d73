"""Tables, pictures and text -> one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --quiet: #595959; --line: #ddd; --strong: #888;
  --box: #f4f6f8; --warning: #fff1e0; --edge: #b35c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181c; --quiet: #a8b0b8; --line: #33383f;
  --strong: #6b7480; --box: #1f2329; --warning: #3a2a14; --edge: #e08a2e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 75rem; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; overflow-wrap: normal; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { border-bottom: 2px solid var(--strong); vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
td small { color: var(--quiet); display: block; min-width: 7rem; max-width: 13rem; margin-left: auto; }
tr.sum td { font-weight: 600; border-top: 2px solid var(--strong); }
p.warning { background: var(--warning); border-left: 4px solid var(--edge); padding: .5rem .8rem; }
dl.figures { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
dl.figures div { background: var(--box); border-radius: 6px; padding: .5rem 1rem; min-width: 7rem; }
dl.figures dt { color: var(--quiet); font-size: 13px; } dl.figures dd { margin: 0; font-size: 1.35rem; }
dl.facts { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .35rem 1.2rem; font-size: 14px; }
dl.facts dt { color: var(--quiet); max-width: 14rem; } dl.facts dd { margin: 0; }
code { font: 13px/1.5 ui-monospace, monospace; background: var(--box); padding: .1rem .3rem; border-radius: 4px; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --quiet: #444; --box: #fff; }
  body { margin: 0; max-width: none; } img, table, dl { break-inside: avoid; } h2 { break-after: avoid; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Put parts, made by the functions below, into a page; `title` is plain text."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n'
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body></html>\n"
    )


def heading(text: str) -> str:
    """Make a heading."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Make a paragraph."""
    return f"<p>{escape(text)}</p>"


def warning(text: str) -> str:
    """Make a paragraph that stands out."""
    return f'<p class="warning">{escape(text)}</p>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, sums: int = 0) -> str:
    """Make a table of plain text; further lines of a cell are written small below the first.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
    sums : int
        How many of the last rows are sums, which stand below a line.
    """
    rows = list(rows)
    heads = (f'<th scope="col">{escape(cell)}</th>' if cell else "<td></td>" for cell in header)
    lines = ["<tr>" + "".join(heads) + "</tr>"]
    for n, row in enumerate(rows):
        kind = ' class="sum"' if n >= len(rows) - sums else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>")
    # Reached by the keyboard, since it may have to be scrolled.
    name = escape(", ".join(filter(None, header)))
    opened = f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {name}"><table>'
    return opened + "\n" + "\n".join(lines) + "\n</table></div>"


def figures(named: Mapping[str, str]) -> str:
    """Make a row of figures, each below its name."""
    boxes = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in named.items())
    return '<dl class="figures">' + "".join(boxes) + "</dl>"


def facts(named: Mapping[str, str]) -> str:
    """Make a list of names, and what stands behind each in words."""
    lines = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in named.items())
    return '<dl class="facts">' + "".join(lines) + "</dl>"


def command(words: str) -> str:
    """Make a paragraph of a command line."""
    return f"<p><code>{escape(words)}</code></p>"


def picture(path: Path, description: str) -> str:
    """Embed a PNG; the description is its alternative text."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<p><img alt="{escape(description)}" src="data:image/png;base64,{data}"></p>'


def _cell(text: str) -> str:
    first, *rest = text.split("\n")
    return escape(first) + "".join(f"<small>{escape(line)}</small>" for line in rest)

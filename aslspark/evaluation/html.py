"""Tables, pictures and text -> one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th { border-bottom: 2px solid #888; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
td small { color: #666; display: block; min-width: 7rem; max-width: 13rem; margin-left: auto; }
tr.sum td { font-weight: 600; border-top: 2px solid #888; }
p.warning { background: #fff1e0; border-left: 4px solid #d9822b; padding: .5rem .8rem; }
img { max-width: 100%; height: auto; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Put parts, made by the functions below, into a page; `title` is plain text."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
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
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"]
    for n, row in enumerate(rows):
        kind = ' class="sum"' if n >= len(rows) - sums else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>")
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def picture(path: Path, description: str) -> str:
    """Embed a PNG; the description is its alternative text."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<p><img alt="{escape(description)}" src="data:image/png;base64,{data}"></p>'


def _cell(text: str) -> str:
    first, *rest = text.split("\n")
    return escape(first) + "".join(f"<small>{escape(line)}</small>" for line in rest)

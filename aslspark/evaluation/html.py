"""Tables, pictures and words -> one HTML file that needs nothing beside it."""

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
    """Put parts, which the functions below have made, into a page; `title` is words."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def heading(words: str) -> str:
    """Make a heading."""
    return f"<h2>{escape(words)}</h2>"


def paragraph(words: str) -> str:
    """Make a paragraph."""
    return f"<p>{escape(words)}</p>"


def warning(words: str) -> str:
    """Make a paragraph that stands out."""
    return f'<p class="warning">{escape(words)}</p>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, sums: int = 0) -> str:
    """Make a table of words; what follows a line end in a cell is written small beneath.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
    sums : int
        How many of the last rows stand below a line, as sums do.
    """
    listed = list(rows)
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"]
    for n, row in enumerate(listed):
        kind = ' class="sum"' if n >= len(listed) - sums else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>")
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def picture(path: Path, words: str) -> str:
    """Put a PNG into the page itself; `words` say what it shows."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<p><img alt="{escape(words)}" src="data:image/png;base64,{data}"></p>'


def _cell(words: str) -> str:
    first, *rest = words.split("\n")
    return escape(first) + "".join(f"<small>{escape(line)}</small>" for line in rest)

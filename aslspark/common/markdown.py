"""Text from elsewhere -> escaped text for a Markdown page, which shows it as it is.

In: names of sources, signers and labels, reasons, settings, paths. Out: Markdown in which they make no tag, link,
image, table cell or new line.
"""

from __future__ import annotations

import re

_SIGNS = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_IN_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_BEGINS_BLOCK = re.compile(r"^(\s*)([-+#=]|\d{1,9}[.)])(?=\s|$|[-+#=])")


def text(value: object) -> str:
    """Escape text for a paragraph, a heading, a table cell or the description of an image; it stays on one line."""
    line = one_line(value)
    line = "".join(_IN_HTML.get(sign, sign) for sign in line)
    line = _SIGNS.sub(lambda match: "\\" + match.group(), line)
    return _BEGINS_BLOCK.sub(lambda match: f"{match[1]}{match[2][:-1]}\\{match[2][-1]}", line)


def code(value: object) -> str:
    """Put text into a code span, in which nothing is read as Markdown or HTML."""
    line = one_line(value)
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    # A table is cut into cells before its code spans are parsed.
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")


LONGEST_REASON = 600
"""Characters of a reason that quotes a file from elsewhere."""


def reason(value: object) -> str:
    """Return a reason that quotes a file as one line of limited length."""
    return one_line(str(value)[:LONGEST_REASON])


def one_line(value: object) -> str:
    """Return text on one line: line ends and unprintable characters become spaces."""
    return "".join(sign if sign.isprintable() else " " for sign in str(value))

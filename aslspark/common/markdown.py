"""Words from elsewhere -> the same words in a Markdown page: what they show is what they are, and nothing else.

In: names of sources, signers and labels, reasons, settings, paths. Out: Markdown without a tag, link, picture, table
cell or line of theirs.
"""

from __future__ import annotations

import re

_SIGNS = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_IN_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_BEGINS_BLOCK = re.compile(r"^(\s*)([-+#=]|\d{1,9}[.)])(?=\s|$|[-+#=])")


def text(words: object) -> str:
    """Escape words for a paragraph, a heading, a table's cell or the text of a picture; they stay in one line.

    Parameters
    ----------
    words : object
        Taken as `str` gives it.
    """
    line = one_line(words)
    line = "".join(_IN_HTML.get(sign, sign) for sign in line)
    line = _SIGNS.sub(lambda found: "\\" + found.group(), line)
    return _BEGINS_BLOCK.sub(lambda found: f"{found[1]}{found[2][:-1]}\\{found[2][-1]}", line)


def code(words: object) -> str:
    """Put words into a span of code, in which nothing is read as Markdown or HTML."""
    line = one_line(words)
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    # A table is cut into cells before its spans of code are found.
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")


LONGEST_REASON = 600
"""Letters of a reason that repeats what a file from elsewhere says."""


def reason(words: object) -> str:
    """Give the reason of an error, which repeats what a file says: one line, and not of any length."""
    return one_line(str(words)[:LONGEST_REASON])


def one_line(words: object) -> str:
    """Give words as one line: line ends and what cannot be printed become spaces."""
    return "".join(sign if sign.isprintable() else " " for sign in str(words))

"""Why something that comes from elsewhere is not loaded.

In: what is wrong with it, in words that may be quoted from it. Out: an exception with one line that can be printed.
"""

from __future__ import annotations

from aslspark.common.markdown import reason


class LoadRefused(Exception):  # noqa: N818  (the caller says which file or bundle, and what would work)
    """Something that is not loaded, and why, in one line that can be printed whatever the file says."""

    def __init__(self, why: str) -> None:
        super().__init__(reason(why))

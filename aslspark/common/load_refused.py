"""The error for a file from elsewhere that is not loaded.

In: the reason, which may quote the file. Out: an exception whose message is one printable line.
"""

from __future__ import annotations

from aslspark.common.markdown import reason


class LoadRefused(Exception):  # noqa: N818  (the caller names the file or bundle, and what would work)
    """The reason why a file is not loaded: one printable line, whatever the file says."""

    def __init__(self, text: str) -> None:
        super().__init__(reason(text))

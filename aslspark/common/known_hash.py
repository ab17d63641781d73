"""The hash of a file that was fetched, and the one that is known of it -> an error where they differ."""

from __future__ import annotations

from aslspark.common.errors import AslsparkError


def require_hash(file: str, found: str, known: str, remedy: str, kind: str = "SHA-256") -> None:
    """Raise an error, which opens with the file and ends with what would work, where its hash is not the known one."""
    if found != known:
        raise AslsparkError(f"{file}: its {kind} is {found} in place of {known}; {remedy}")

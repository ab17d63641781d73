"""The hash of a file that was fetched, and the one that is known of it -> an error where they differ."""

from __future__ import annotations

from aslspark.common.errors import AslsparkError


def require_hash(file: str, found: str, known: str, remedy: str, kind: str = "SHA-256") -> None:
    """Check the hash of a file.

    Parameters
    ----------
    file : str
        Opens the error.
    found, known : str
        The hash that the file has, and the one that it must have.
    remedy : str
        Ends the error: what would work.
    kind : str
        What the hash is called.

    Raises
    ------
    AslsparkError
        Where they differ.
    """
    if found != known:
        raise AslsparkError(f"{file}: its {kind} is {found} in place of {known}; {remedy}")

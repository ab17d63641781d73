"""Paths as Spark writes them, and as Python opens them."""

from __future__ import annotations

import re

from aslspark.errors import AslsparkError


def local_path(path: str) -> str:
    """Turn a path that Spark understands into one that Python can open on the same machine.

    Parameters
    ----------
    path : str
        Plain, ``file:/...`` or ``dbfs:/...`` (which clusters mount as ``/dbfs/...``).

    Raises
    ------
    AslsparkError
        For a store that is no file system of this machine.
    """
    if path.startswith("dbfs:/"):
        return "/dbfs/" + path[len("dbfs:/") :].lstrip("/")
    if path.startswith("file:"):
        return re.sub("^file:/*", "/", path)
    if re.match(r"^[a-z][a-z0-9+.-]+:/", path):
        raise AslsparkError(
            f"{path}: workers read training samples from a file system that all of them mount; "
            "give a plain, file: or dbfs: path"
        )
    return path

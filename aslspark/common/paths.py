"""Paths as Spark writes them <-> paths as Python opens them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aslspark.common.errors import AslsparkError

DBFS = "/dbfs"
"""Where Databricks mounts ``dbfs:/`` for Python, except for volumes of Unity Catalog."""
VOLUMES = "/Volumes"
"""Where Databricks mounts volumes; for Spark they are ``dbfs:/Volumes/...`` or the same path."""


def local_path(path: str) -> str:
    """Turn a path for Spark into one that Python can open on the same machine.

    Parameters
    ----------
    path : str
        Plain, ``file:/...``, or ``dbfs:/...`` (which clusters mount as ``/dbfs/...``, and volumes as ``/Volumes/...``).

    Raises
    ------
    AslsparkError
        For a store that is not mounted on this machine.
    """
    if path.startswith("dbfs:/"):
        below = path[len("dbfs:/") :].lstrip("/")
        return f"/{below}" if _is_within(f"/{below}", VOLUMES) else f"{DBFS}/{below}"
    if path.startswith("file:"):
        return re.sub("^file:/*", "/", path)
    if re.match(r"^[a-z][a-z0-9+.-]+:/", path):
        raise AslsparkError(
            f"{path}: this needs a folder on a file system that the driver and all workers mount; "
            "give a plain, file: or dbfs: path"
        )
    return path


def spark_path(path: object) -> str:
    """Turn a path for Python into one by which Spark finds the same file; a store's stays as it is.

    On Databricks the JVM cannot open the mounts of Python (``/dbfs``, ``/Volumes``); it calls them ``dbfs:``.

    Parameters
    ----------
    path : str, Path or StorePath
        As for `local_path`, or in a store; a relative one starts at Python's working directory.

    Returns
    -------
    str
        With its scheme.
    """
    if is_remote(path):
        return str(path)
    local = os.path.abspath(local_path(str(path)))
    if is_mounted(local):
        return f"dbfs:{local.removeprefix(DBFS) if _is_within(local, DBFS) else local}"
    return f"file://{local}"


def is_remote(path: object) -> bool:
    """Tell whether a path lies in a store that is not mounted: it has a scheme other than ``file:`` and ``dbfs:``."""
    return re.match(r"^(?!file:|dbfs:)[a-z][a-z0-9+.-]+://", str(path)) is not None


def mounted_as_spark(path: str) -> str:
    """Turn a path to a mount of Databricks into Spark's, and return every other path as it is."""
    return spark_path(path) if is_mounted(path) else path


def is_mounted(path: str | Path) -> bool:
    """Tell whether a path lies in a mount of Databricks, where files can only be written from start to end."""
    if not on_databricks() or re.match(r"^(?!file:|dbfs:)[a-z][a-z0-9+.-]+:/", str(path)):
        return False  # elsewhere these are ordinary folders: macOS keeps its disks under /Volumes
    local = local_path(str(path))
    return _is_within(local, DBFS) or _is_within(local, VOLUMES)


def on_databricks() -> bool:
    """Tell whether this process runs on a Databricks cluster."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")

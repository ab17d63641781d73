"""The record of a registry's decisions: a file to which lines of JSON are only added, whole also after a crash."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from aslspark.common.errors import AslsparkError

log = logging.getLogger("aslspark")


class DecisionRecord:
    """A file of decisions, a line each.

    Parameters
    ----------
    registry : str
        As it was given, for errors.
    """

    def __init__(self, path: Path, registry: str) -> None:
        self._path, self._given = path, registry

    def rows(self) -> list[dict[str, Any]]:
        """Return the decisions, oldest first.

        Raises
        ------
        AslsparkError
            Where a line is no decision; a last line that was cut short is left out.
        """
        rows = []
        for number, line in enumerate(self._lines().decode("utf-8", errors="replace").split("\n")[:-1], start=1):
            row = _parsed(line)
            if row is None:
                raise AslsparkError(
                    f"--registry {self._given}: {self._path.name} line {number} is no JSON; mend or remove that line"
                )
            rows.append(row)
        return rows

    def _lines(self) -> bytes:
        """Return the complete lines of the record."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return b""
        lines, end, last = content.rpartition(b"\n")
        if last and _parsed(last.decode("utf-8", errors="replace")) is not None:
            return content + b"\n"
        return lines + end

    def append(self, row: dict[str, Any]) -> None:
        """Add a line to the record, unless it has it; a last line that was cut short is replaced."""
        record = self._lines()
        lines = record.decode("utf-8", errors="replace").split("\n")
        if is_in(row, [parsed for line in lines if (parsed := _parsed(line)) is not None]):
            return
        path = self._path
        with path.open("r+b" if path.exists() else "w+b") as file:
            size = len(file.read())
            if size > len(record):
                log.warning("%s: the last line of %s was cut short, and is left out", self._given, path.name)
                file.truncate(len(record))
                file.seek(len(record))
            file.write(record[size:])  # the line end that the last line lacks
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync(path.parent)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "action" in row else None


def is_in(row: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    """Tell whether a decision is among others."""
    return any(other.get("id") == row["id"] for other in rows)


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk, so that an earlier rename survives a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush a folder with all below it to disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)

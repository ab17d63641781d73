"""The names of table files: one list for ingest and scoring.

In: a file's name. Out: whether it is a table.
"""

from __future__ import annotations

TABLE_ENDINGS = (".csv", ".csv.gz", ".csv.bz2")


def is_table_name(name: str) -> bool:
    """Tell a table by its ending, in any case."""
    return name.lower().endswith(TABLE_ENDINGS)


def is_packed_in_capitals(name: str) -> bool:
    """Tell a compressed table that Spark would not unpack: it knows ``.gz`` and ``.bz2`` in small letters alone."""
    return is_table_name(name) and name.lower().endswith((".gz", ".bz2")) and not name.endswith((".gz", ".bz2"))

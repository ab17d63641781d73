"""A file name -> whether it is a table: one list for ingest and scoring."""

from __future__ import annotations

PLAIN_ENDINGS = (".csv",)
TABLE_ENDINGS = tuple(f"{plain}{packed}" for plain in PLAIN_ENDINGS for packed in ("", ".gz", ".bz2"))


def is_table_name(name: str) -> bool:
    """Tell a table by its ending, in upper or lower case."""
    return name.lower().endswith(TABLE_ENDINGS)


def has_upper_case_ending(name: str) -> bool:
    """Tell a compressed table that Spark would not decompress: it knows only lower-case ``.gz`` and ``.bz2``."""
    return is_table_name(name) and name.lower().endswith((".gz", ".bz2")) and not name.endswith((".gz", ".bz2"))

"""A file name -> whether it is a table, or any file that is read: one list for ingest and scoring."""

from __future__ import annotations

from aslspark.images.endings import is_picture_name

PLAIN_ENDINGS = (".csv",)
TABLE_ENDINGS = tuple(f"{plain}{packed}" for plain in PLAIN_ENDINGS for packed in ("", ".gz", ".bz2"))


_OTHER_ENDINGS = (".tsv", ".gz", ".bz2", ".zip", ".parquet")


def is_file_name(name: str) -> bool:
    """Tell what is called like a file from what may be a table of a catalog, such as ``main.signs``."""
    return is_table_name(name) or is_picture_name(name) or name.lower().endswith(_OTHER_ENDINGS)


def is_table_name(name: str) -> bool:
    """Tell a table by its ending, in upper or lower case."""
    return name.lower().endswith(TABLE_ENDINGS)


def has_upper_case_ending(name: str) -> bool:
    """Tell a compressed table that Spark would not decompress: it knows only lower-case ``.gz`` and ``.bz2``."""
    return is_table_name(name) and name.lower().endswith((".gz", ".bz2")) and not name.endswith((".gz", ".bz2"))

"""A path -> what lies there, for ingest and scoring: manifests, pixel tables, pictures, a zip, Parquet.

Every table in a folder is one of the kinds of `PathContents`, or is passed over with a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aslspark.data.files.local_folders import is_special
from aslspark.data.files.store_files import StoreFiles
from aslspark.data.files.table_endings import is_table_name
from aslspark.data.pictures.manifest import is_manifest_line
from aslspark.data.tables.landmark_layout import names_landmarks
from aslspark.data.tables.pixel_layout import names_pixels
from aslspark.images.endings import is_picture_name

MANY_COLUMNS = 100
"""A table with more columns is taken for a pixel table, whatever its header says."""


@dataclass
class PathContents:
    """The kind of a file, or the files of a folder (without its sub-folders)."""

    manifests: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Qualified paths of tables, by their headers: manifests of pictures, tables of pixels (perhaps without a header)
    or of landmarks, and others."""
    zip: bool = False
    parquet: bool = False
    picture: bool = False
    """Of a file. `parquet` also of a folder with Parquet files and no tables."""
    passed_over: list[str] = field(default_factory=list)
    """Lines about tables that cannot be read."""
    others: list[str] = field(default_factory=list)
    """Qualified paths of the other files of a folder."""


def inspect_path(store: StoreFiles, path: str) -> PathContents:
    """Find out what lies at a path; of tables, only the first line is read.

    Parameters
    ----------
    path : str
        Of a file or a folder; anything else has no contents.

    Raises
    ------
    AslsparkError
        For a damaged table, or a folder without read permission.
    """
    contents = PathContents()
    if store.is_folder(path):
        tables, contents.passed_over, contents.others = store.tables_in(path)
        contents.parquet = not tables and any(entry.name.lower().endswith(".parquet") for entry in store.entries(path))
    elif not store.exists(path) or is_special(store.qualified(path)):
        return contents
    else:
        name = path.lower()
        contents.zip = name.endswith(".zip")
        contents.parquet = name.endswith(".parquet")
        contents.picture = is_picture_name(path)
        tables = [store.qualified(path)] if is_table_name(path) and store.can_spell(store.qualified(path)) else []
    for table in tables:
        line = store.first_line(table) or ""
        if is_manifest_line(line):
            contents.manifests.append(table)
        elif is_pixel_line(line) or is_landmark_line(line):
            contents.tables.append(table)
        else:
            contents.notes.append(table)
    return contents


def is_pixel_line(line: str) -> bool:
    """Tell the first line of a table that is, or was meant to be, a pixel table."""
    return names_pixels(line) or len(re.split(r"[,;\t]", line)) > MANY_COLUMNS


def is_landmark_line(line: str) -> bool:
    """Tell the first line of a table that is, or was meant to be, one of landmarks."""
    return names_landmarks(re.split(r"[,;\t]", line))

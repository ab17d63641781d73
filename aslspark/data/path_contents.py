"""What lies at a path, for ingest and scoring alike: manifests, pixel tables, pictures, a zip, Parquet.

In: a path. Out: `PathContents`; every table there is one of its kinds, or is passed over with a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aslspark.data.files.hadoop_files import HadoopFiles
from aslspark.data.files.local_folders import is_special
from aslspark.data.files.table_endings import is_table_name
from aslspark.data.pictures.manifest import is_manifest_line
from aslspark.data.tables.pixel_layout import names_pixels
from aslspark.images.endings import is_picture_name

MANY_COLUMNS = 100
"""A table with more was meant for a pixel table, whatever its header."""


@dataclass
class PathContents:
    """What a file is, or what a folder holds without its folders.

    Parameters
    ----------
    manifests, tables, notes : list of str
        Qualified paths of tables by their header: manifests of pictures, pixel tables (perhaps without their header),
        and others.
    zip, parquet, picture : bool
        Of a path that is no folder.
    passed_over : list of str
        Tables that cannot be read, in words.
    others : list of str
        Qualified paths of what else a folder holds.
    """

    manifests: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    zip: bool = False
    parquet: bool = False
    picture: bool = False
    passed_over: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def inspect_path(hadoop: HadoopFiles, path: str) -> PathContents:
    """Look at what lies at a path, without reading more than the first line of its tables.

    Parameters
    ----------
    hadoop : HadoopFiles
    path : str
        Of a file or a folder; of nothing, or a pattern, nothing is said.

    Raises
    ------
    AslsparkError
        Naming a table that is damaged, or a folder that may not be read.
    """
    found = PathContents()
    if hadoop.is_folder(path):
        tables, found.passed_over, found.others = hadoop.tables_in(path)
        found.parquet = not tables and any(entry.name.lower().endswith(".parquet") for entry in hadoop.entries(path))
    elif not hadoop.exists(path) or is_special(hadoop.qualified(path)):
        return found
    else:
        name = path.lower()
        found.zip = name.endswith(".zip")
        found.parquet = name.endswith(".parquet")
        found.picture = is_picture_name(path)
        tables = [hadoop.qualified(path)] if is_table_name(path) and hadoop.can_spell(hadoop.qualified(path)) else []
    for table in tables:
        line = hadoop.first_line(table) or ""
        if is_manifest_line(line):
            found.manifests.append(table)
        elif is_pixel_line(line):
            found.tables.append(table)
        else:
            found.notes.append(table)
    return found


def is_pixel_line(line: str) -> bool:
    """Tell the first line of a table that is, or was meant for, a pixel table."""
    return names_pixels(line) or len(re.split(r"[,;\t]", line)) > MANY_COLUMNS

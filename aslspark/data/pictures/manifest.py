"""A table that lists pictures -> its rows: path, label, and perhaps signer and split.

In: the text of a CSV file, or its path. Out: a `ManifestRow` for each row, as it is written.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
from collections.abc import Sequence
from typing import IO, NamedTuple, cast

from aslspark.common.errors import AslsparkError
from aslspark.data.files.local_folders import as_text
from aslspark.data.files.store_files import StoreFiles

MAX_MANIFEST_BYTES = 256 << 20

_NAMES = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name"),
    "label": ("label", "class", "letter", "category"),
    "signer": ("signer",),
    "split": ("split",),
}
"""Names of a manifest's columns, as used with Keras, pandas, on Kaggle and Hugging Face."""

_SEPARATORS = (",", ";", "\t")


class ManifestRow(NamedTuple):
    """A row of a manifest as written; missing values are empty."""

    number: int
    path: str
    label: str
    signer: str
    split: str


def parse_manifest(text: str, where: str) -> list[ManifestRow] | None:
    """Parse the text of a manifest.

    Parameters
    ----------
    text : str
        CSV with the columns path and label, perhaps signer and split, and any others, in any order, with commas,
        semicolons or tabs; other names of columns, such as filename and class, are known too.
    where : str
        Opens the error.

    Returns
    -------
    list of ManifestRow or None
        None where it has no header of a manifest.

    Raises
    ------
    AslsparkError
        Where it has no rows.
    """
    text = text.removeprefix("\ufeff")
    for separator in _SEPARATORS:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            header = next(lines, [])
            if not is_manifest_header(header):
                continue
            rows = list(lines)
        except csv.Error as error:
            raise AslsparkError(f"{where}: line {lines.line_num} cannot be read ({error}): close its quotes") from error
        return _manifest_rows(header, rows, where)
    return None


def _manifest_rows(header: Sequence[str], rows: Sequence[Sequence[str]], where: str) -> list[ManifestRow]:
    places = [_column(header, name) for name in _NAMES]
    manifest_rows = [
        ManifestRow(number, *(row[place].strip() if place is not None and place < len(row) else "" for place in places))
        for number, row in enumerate((row for row in rows if row), 1)
    ]
    if not manifest_rows:
        raise AslsparkError(f"{where}: a header and no rows; list pictures under it")
    return manifest_rows


def _column(header: Sequence[str], column: str) -> int | None:
    columns = [name.strip().strip('"').lower() for name in header]
    return next((columns.index(name) for name in _NAMES[column] if name in columns), None)


def is_manifest_header(names: Sequence[str]) -> bool:
    """Tell the header of a manifest by its names."""
    if "pixel1" in (name.strip().strip('"').lower() for name in names):
        return False
    return _column(names, "path") is not None and _column(names, "label") is not None


def is_manifest_line(line: str) -> bool:
    """Tell the header of a manifest by its line, with any separator."""
    return any(is_manifest_header(line.removeprefix("\ufeff").split(separator)) for separator in _SEPARATORS)


def read_manifest_text(store: StoreFiles, path: str) -> str:
    """Read a manifest, decompressed by its ending.

    Bytes that are not UTF-8 are escaped as in Python's file names, so that they find the file of that name.

    Raises
    ------
    AslsparkError
        Where it is larger than MAX_MANIFEST_BYTES, or damaged.
    """
    try:
        with store.opened(path) as file:
            data = _decompressed(file, path).read(MAX_MANIFEST_BYTES + 1)
    except (OSError, EOFError, ValueError) as error:
        raise AslsparkError(f"{as_text(path)} cannot be read ({error}): copy it again") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise AslsparkError(f"{as_text(path)} has more than {MAX_MANIFEST_BYTES:,} bytes: divide it")
    return decode_manifest(data)


def decode_manifest(data: bytes) -> str:
    """Decode a manifest: UTF-8, or UTF-16 with a byte order mark, as Excel writes it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "surrogateescape")


def _decompressed(file: IO[bytes], path: str) -> IO[bytes]:
    if path.endswith(".gz"):
        return cast(IO[bytes], gzip.open(file))
    if path.endswith(".bz2"):
        return cast(IO[bytes], bz2.open(file))
    return file

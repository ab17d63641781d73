"""A DataFrame of picture files, as from Spark's `binaryFile` and `image` sources -> a `PictureSource`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructType

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import nearest_label
from aslspark.common.redaction import redact
from aslspark.data.pictures.listing import (
    ListedFile,
    Picture,
    PictureSource,
    labelled_as,
    once_each,
    with_named_splits,
)
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.tables.pixel_layout import UNKNOWN_LABEL

NO_PATH = "no path"
DIGEST_SHOWN = 16
"""Hexadecimal digits: among a million pictures of one path, two share them in one of 40 million tables."""


KNOWN_NAMES = ("path", "content", "image", "label", "signer", "split")


def in_small_letters(frame: DataFrame, but: str = "") -> DataFrame:
    """Rename the columns that are known here but for capitals, as Spark takes `Split` and `split` for one name.

    Parameters
    ----------
    but : str
        A column that keeps its name.
    """
    for name in frame.columns:
        if name.lower() in KNOWN_NAMES and name.lower() not in frame.columns and name != but:
            frame = frame.withColumnRenamed(name, name.lower())
    return frame


def holds_picture_files(frame: DataFrame) -> bool:
    """Tell a table of picture files from one of samples and from a pixel table."""
    return _holds_bytes(frame) or _holds_images(frame)


def open_picture_table(frame: DataFrame, name: str, options: PictureOptions) -> PictureSource:
    """List the pictures of a table.

    Parameters
    ----------
    frame : DataFrame
        path (string) and content (binary), as `binaryFile` gives them, or `image` (Spark's image struct); perhaps
        label, signer and split (strings). Without a label, it is that of the innermost folder whose name is one, below
        the folders that all paths share. Pictures may share a path, as Hugging Face's, which are bare names of files:
        those that differ are told apart by a digest behind their path.

    Raises
    ------
    AslsparkError
        Where a column has another type, or nothing says a label.
    """
    is_bytes = _holds_bytes(frame)
    path, data = (F.col(name) for name in (("path", "content") if is_bytes else ("image.origin", "image.data")))
    given = [column for column in ("label", "signer", "split") if column in frame.columns]
    for column in given:
        if not isinstance(frame.schema[column].dataType, StringType):
            kind = frame.schema[column].dataType.simpleString()
            raise AslsparkError(f"{name}: column {column} is {kind}: cast it to a string")
    columns = [path.alias("path"), F.octet_length(data).alias("length"), *given]
    rows, key = frame.select(path.alias("key"), *columns).collect(), path
    repeat = max(Counter(row["path"] for row in rows if row["path"]).values(), default=1) > 1
    if repeat:
        key = F.concat_ws("#", path, F.sha2(data, 256))
        rows = frame.select(key.alias("key"), *columns).collect()
    differing = Counter(path for path, _ in {(row["path"], row["key"]) for row in rows})
    pictures = []
    shared = _shared_folders([row["path"] for row in rows if row["path"]])
    for row in rows:
        if not row["path"]:
            pictures.append(Picture("", "", 0, reason=NO_PATH, detail="every picture needs a path of its own"))
            continue
        values = {name: row[name] for name in given}
        file = ListedFile(row["path"], redact(row["path"]), row["length"] or 0)
        above = file.path.split("/")[shared:-1]
        label = values["label"] if "label" in values else nearest_label(above, options.label_of)
        picture = labelled_as(file, label, values.get("split"), values.get("signer"), options)
        if "label" not in values and label is None:
            picture = picture._replace(reason=UNKNOWN_LABEL, detail="no folder above it is called like a label")
        digest = row["key"][len(row["path"]) :][: 1 + DIGEST_SHOWN] if differing[row["path"]] > 1 else ""
        pictures.append(picture._replace(path=row["key"], name=f"{file.name}{digest}"))
    if rows and "label" not in given and all(picture.reason in (UNKNOWN_LABEL, NO_PATH) for picture in pictures):
        others = [column for column in frame.columns if column not in ("path", "content", "image")]
        raise AslsparkError(
            f"{name}: no column says the labels, nor do folders in the paths; name it with columns.label "
            f"(--label-column); besides pictures and paths there are {', '.join(others) or 'no columns'}"
        )
    pictures = with_named_splits(once_each(pictures), options)
    content = frame.select(key.alias("path"), F.col("content") if is_bytes else F.col("image"))
    if repeat:
        content = content.dropDuplicates(["path"])
    return PictureSource(name, pictures, lambda _scratch: content)


def _shared_folders(paths: Sequence[str]) -> int:
    """Count the folders that all paths share, without the last folder of any: they say where the set lies, no label."""
    if not paths:
        return 0
    folders = [path.split("/")[:-1] for path in (min(paths), max(paths))]
    same = next(
        (place for place, (one, other) in enumerate(zip(*folders, strict=False)) if one != other),
        min(map(len, folders)),
    )
    return min(same, *(len(folder) - 1 for folder in folders))


def _holds_bytes(frame: DataFrame) -> bool:
    types = {field.name: field.dataType for field in frame.schema.fields}
    return isinstance(types.get("path"), StringType) and isinstance(types.get("content"), BinaryType)


def _holds_images(frame: DataFrame) -> bool:
    image = next((field.dataType for field in frame.schema.fields if field.name == "image"), None)
    return isinstance(image, StructType) and {"origin", "height", "width", "nChannels", "data"} <= set(image.names)

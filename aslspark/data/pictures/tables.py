"""A DataFrame of picture files, as from Spark's `binaryFile` and `image` sources -> a `PictureSource`."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructType

from aslspark.common.errors import AslsparkError
from aslspark.common.labels import nearest_label
from aslspark.common.redaction import redact
from aslspark.data.pictures.listing import (
    TWICE,
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
        the folders that all paths share.

    Raises
    ------
    AslsparkError
        Where a column has another type, or nothing says a label.
    """
    is_bytes = _holds_bytes(frame)
    path = F.col("path" if is_bytes else "image.origin").alias("path")
    length = F.octet_length("content" if is_bytes else "image.data").alias("length")
    given = [column for column in ("label", "signer", "split") if column in frame.columns]
    for column in given:
        if not isinstance(frame.schema[column].dataType, StringType):
            kind = frame.schema[column].dataType.simpleString()
            raise AslsparkError(f"{name}: column {column} is {kind}: cast it to a string")
    pictures = []
    rows = frame.select(path, length, *given).collect()
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
        pictures.append(picture)
    if rows and "label" not in given and all(picture.reason in (UNKNOWN_LABEL, NO_PATH) for picture in pictures):
        others = [column for column in frame.columns if column not in ("path", "content", "image")]
        raise AslsparkError(
            f"{name}: no column says the labels, nor do folders in the paths; name it with columns.label "
            f"(--label-column); besides pictures and paths there are {', '.join(others) or 'no columns'}"
        )
    pictures = with_named_splits(once_each(pictures), options)
    content = frame.select(path, F.col("content") if is_bytes else F.col("image"))
    if any(picture.reason == TWICE for picture in pictures):
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

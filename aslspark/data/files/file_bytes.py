"""Paths of local files -> their bytes, read in Spark's workers one file at a time.

In: rows with the column file (binary), a path in the file system's own bytes. Out: the same rows with content (binary).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from aslspark.images.decoding import Unusable
from aslspark.images.local_file import read_file

BATCH_BYTES = 16 << 20
"""Bytes of files in an output batch, about."""


def with_content(table: DataFrame) -> DataFrame:
    """Read the files of a table.

    Parameters
    ----------
    table : DataFrame
        file (binary) and other columns, perhaps unread (string): why a row is not to be read.

    Returns
    -------
    DataFrame
        content (binary, null where the file was not read) in place of file; unread says why.
    """
    others = [field for field in table.schema.fields if field.name not in ("file", "unread")]
    schema = StructType([*others, StructField("unread", StringType()), StructField("content", BinaryType())])
    names = [field.name for field in others]

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = {name: batch.column(name) for name in batch.schema.names}
            files = columns["file"].to_pylist()
            unread = columns["unread"].to_pylist() if "unread" in columns else [None] * len(files)
            start, size = 0, 0
            contents: list[bytes | None] = []
            for place, file in enumerate(files):
                content = None
                if unread[place] is None:
                    try:
                        content = read_file(file)
                    except Unusable as error:
                        unread[place] = str(error)
                contents.append(content)
                size += len(content or b"")
                if size >= BATCH_BYTES or place == len(files) - 1:
                    part = [columns[name].slice(start, len(contents)) for name in names]
                    reasons = pa.array(unread[start : place + 1], pa.string())
                    content_column = pa.array(contents, pa.binary())
                    yield pa.RecordBatch.from_arrays([*part, reasons, content_column], [*names, "unread", "content"])
                    start, size, contents = place + 1, 0, []

    return table.mapInArrow(read, schema)

"""Unread rows -> samples in Parquet files that Spark's tasks write themselves, and a line about each row.

For an output folder that driver and tasks see alike. Pixels then stay in the process that made them: the JVM takes
them in by Arrow and writes them row by row.

A task writes to files of names that no other attempt has, and returns these names with its lines. Spark hands the
driver the lines of one attempt of each task, so that what a failed, repeated or speculative attempt wrote is named by
none: it stays in the folder of attempts, which is removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from aslspark.common.errors import AslsparkError
from aslspark.data.pictures.reading import HASHED_SCHEMA, BatchFunction, UnreadRows
from aslspark.data.samples import HAND_COLUMN, HASH_COLUMN, SAMPLE_SCHEMA
from aslspark.data.tables.labelled_tables import QUARANTINE
from aslspark.data.tables.landmark_hands import IN_TABLE
from aslspark.images.hands.hand import null_hands

ATTEMPTS_FOLDER = "_attempts"
"""Has the files of tasks until they are known to have succeeded; readers of Parquet pass over its name."""

DIGEST, FILE = "digest", "file"
LINE_SCHEMA = StructType(
    [
        *(field for field in HASHED_SCHEMA.fields if field.name != "picture"),
        StructField(DIGEST, BinaryType(), False),
        StructField(FILE, StringType(), False),
    ]
)
"""A line about a row: what it has but the picture; a digest of the stored bytes, or of a table's landmarks, equal where
they are; and the name of its attempt's file. `hash` is 0 of a row that is no picture in a file, or is for the
quarantine."""

LEAST_GROUP_ROWS = 100
"""Rows of a row group where they have no more than its most bytes; so Spark's writer does."""
_DIGEST_BYTES = 16
_UNSEEN = "the folder of attempts is not there"


def write_in_tasks(unread: Sequence[UnreadRows], folder: str, group_bytes: int, most_group_bytes: int) -> pd.DataFrame:
    """Make samples and write them to Parquet, partitioned by split; all files have the columns that any has.

    Parameters
    ----------
    folder : str
        The local path of the folder of samples, which is made where a row is kept. Beside it lie the attempts.
    group_bytes, most_group_bytes : int
        Bytes of pictures in a row group: as wanted, and at most.

    Returns
    -------
    DataFrame
        The columns of LINE_SCHEMA, a line for each row, also for those to be quarantined; none where nothing is unread.

    Raises
    ------
    AslsparkError
        Where tasks do not see the folder that the driver made, or a file does not hold what its task has said.
    """
    if not unread:
        return pd.DataFrame(columns=LINE_SCHEMA.names, dtype=object)
    attempts = f"{os.path.dirname(folder)}/{ATTEMPTS_FOLDER}"
    os.makedirs(attempts)
    columns = {field.name for part in unread for field in part.schema}
    further = [name for name in (HASH_COLUMN, HAND_COLUMN) if name in columns]
    lines: list[DataFrame] = []
    for part in unread:
        write = writer(part.read, attempts, (group_bytes, most_group_bytes), further)
        lines.append(part.rows.mapInArrow(write, LINE_SCHEMA))
    try:
        returned = reduce(DataFrame.unionByName, lines).toPandas()
    except Exception as error:
        if _UNSEEN not in str(error):
            raise
        above = os.path.dirname(os.path.dirname(folder))
        raise AslsparkError(
            f"the driver made a folder in {above}, and a worker does not see it; give --out a folder that the driver "
            "and all workers share, or one in a store"
        ) from error
    commit(returned, attempts, folder)
    shutil.rmtree(attempts, ignore_errors=True)
    return returned


def read_pictures(folder: str, lines: pd.DataFrame, ids: set[str]) -> dict[str, dict[str, Any]]:
    """Read some of the pictures that `write_in_tasks` wrote, by their ids, from the row groups that hold them."""
    of_files = lines[lines["id"].isin(ids)]
    pictures: dict[str, dict[str, Any]] = {}
    for split, name in sorted(set(zip(of_files["split"], of_files[FILE], strict=True))):
        with parquet.ParquetFile(f"{folder}/split={split}/{name}") as file:
            for group in range(file.num_row_groups):
                found = pc.is_in(file.read_row_group(group, ["id"])["id"], pa.array(sorted(ids)))
                if pc.any(found).as_py():
                    rows = file.read_row_group(group, ["id", "picture"]).filter(found)
                    pictures |= {row["id"]: row["picture"] for row in rows.to_pylist()}
    return pictures


def commit(lines: pd.DataFrame, attempts: str, folder: str) -> None:
    """Move the files that lines name to the samples.

    Parameters
    ----------
    lines : DataFrame
        Of one attempt of each task.
    attempts, folder : str
        The local paths of the folder of attempts, and of that of samples.

    Raises
    ------
    AslsparkError
        Where a file has other rows than its task has said.
    """
    kept = lines[lines["split"] != QUARANTINE]
    for (split, file), rows in Counter(zip(kept["split"], kept[FILE], strict=True)).items():
        attempt = f"{attempts}/{split}-{file}"
        written = parquet.read_metadata(attempt).num_rows
        if written != rows:
            raise AslsparkError(
                f"{attempt} has {written:,} rows of {rows:,} that its task wrote: look at its file system"
            )
        of_split = f"{folder}/split={split}"
        os.makedirs(of_split, exist_ok=True)
        os.rename(attempt, f"{of_split}/{file}")


def writer(read: BatchFunction, attempts: str, group_bytes: tuple[int, int], further: Sequence[str]) -> BatchFunction:
    """Make the function for mapInArrow that makes samples, writes them, and returns a line for each row.

    Parameters
    ----------
    read : callable
        Makes the samples; see `UnreadRows`.
    attempts : str
        The local path of the folder of attempts.
    group_bytes : (int, int)
        Bytes of a row group: as wanted, and at most.
    further : sequence of str
        The columns that files have beside those of SAMPLE_SCHEMA; null where `read` makes none.
    """

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        task = context.partitionId() if context is not None else 0
        file = f"part-{task:05d}-{uuid.uuid4()}.snappy.parquet"
        files: dict[str, _SplitFile] = {}
        if not os.path.isdir(attempts):
            raise FileNotFoundError(f"{_UNSEEN}: {attempts}")
        try:
            for read_batch in read(batches):
                batch = _completed(read_batch, further)
                splits = batch.column(batch.schema.get_field_index("split"))
                for split in pc.unique(splits).to_pylist():
                    if split == QUARANTINE:
                        continue
                    if split not in files:
                        files[split] = _SplitFile(f"{attempts}/{split}-{file}", group_bytes)
                    files[split].add(pa.Table.from_batches([batch]).filter(pc.equal(splits, split)))
                yield _lines(batch, file)
        finally:
            for split_file in files.values():
                split_file.close()

    return write


class _SplitFile:
    """A Parquet file that is written row group by row group."""

    def __init__(self, path: str, group_bytes: tuple[int, int]) -> None:
        self._path, (self._wanted, self._most) = path, group_bytes
        self._writer: parquet.ParquetWriter | None = None
        self._waiting: pa.Table | None = None
        self._group = 0
        """Rows of a row group, by the bytes of the first ones: the same throughout, as in files that Spark writes."""

    def add(self, rows: pa.Table) -> None:
        rows = rows.drop(["split"])
        waiting = rows if self._waiting is None else pa.concat_tables([self._waiting, rows])
        if not self._group:
            row_bytes = max(1, rows.nbytes // len(rows))
            self._group = max(1, self._wanted // row_bytes, min(LEAST_GROUP_ROWS, self._most // row_bytes))
        whole = len(waiting) // self._group * self._group
        self._write(waiting.slice(0, whole), self._group)
        self._waiting = waiting.slice(whole)

    def close(self) -> None:
        if self._waiting is not None:
            self._write(self._waiting, max(1, len(self._waiting)))
        if self._writer is not None:
            self._writer.close()

    def _write(self, rows: pa.Table, group: int) -> None:
        if not len(rows):
            return
        if self._writer is None:
            strings = [name for name in rows.schema.names if pa.types.is_string(rows.schema.field(name).type)]
            self._writer = parquet.ParquetWriter(
                self._path,
                rows.schema,
                compression="snappy",
                # Pixels hardly ever repeat, and nobody asks for their least and largest.
                use_dictionary=strings,
                write_statistics=strings,
                use_compliant_nested_type=True,
            )
        self._writer.write_table(rows, row_group_size=group)


def _completed(batch: pa.RecordBatch, further: Sequence[str]) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in further:
        if name not in columns:
            rows = batch.num_rows
            columns[name] = null_hands(rows) if name == HAND_COLUMN else pa.nulls(rows, pa.int64())
    names = [*SAMPLE_SCHEMA.names, *further]
    return pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)


def _lines(batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    hashes = columns.get(HASH_COLUMN, pa.nulls(batch.num_rows, pa.int64()))
    columns[HASH_COLUMN] = pc.fill_null(hashes, 0)
    columns[DIGEST] = pa.array(_digests(columns), pa.binary())
    columns[FILE] = pa.array([file] * len(batch), pa.string())
    return pa.RecordBatch.from_arrays([columns[name] for name in LINE_SCHEMA.names], names=LINE_SCHEMA.names)


def _digests(columns: Mapping[str, pa.Array]) -> list[bytes]:
    """Return digests of the pictures' bytes; of rows of tables of landmarks, which have none, of the landmarks."""
    digests = [
        hashlib.blake2b(data.as_buffer(), digest_size=_DIGEST_BYTES) for data in columns["picture"].field("data")
    ]
    if HAND_COLUMN in columns:
        hands = columns[HAND_COLUMN]
        found, landmarks = hands.field("found"), hands.field("landmarks")
        for row in np.flatnonzero(pc.fill_null(pc.equal(found, IN_TABLE), False)):
            digests[row].update(landmarks[row].values.to_numpy().tobytes())
    return [digest.digest() for digest in digests]

"""A table's pictures, class numbers and weights in plain columns, since petastorm reads no struct.

In: a `WorkerJob` that names the folders as they were ingested. Out: the same job with folders that
`petastorm_feed` reads, while a block runs. The table is written a second time: that is what this way costs.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aslspark.common.errors import AslsparkError, first_line
from aslspark.training.batches import Batch
from aslspark.training.worker import WorkerJob, in_place_feed

log = logging.getLogger("aslspark")

GROUP_BYTES = 4 << 20
"""Of a row group's pictures. Petastorm shuffles within a group and holds three or so at a time."""


@contextmanager
def flat_copies(job: WorkerJob, size: int, scratch: str) -> Iterator[WorkerJob]:
    """Give a job whose folders are flat copies, which are removed at the end.

    Parameters
    ----------
    size : int
        Processes that will read the copies.
    scratch : str
        A folder that all processes mount.

    Raises
    ------
    AslsparkError
        Where petastorm cannot be imported, a label is unknown or a picture is of another size.
    """
    try:
        import petastorm  # noqa: F401
    except ImportError as error:  # it is not installed, or beside a pyarrow that it does not know
        raise AslsparkError(
            f"feed=petastorm: petastorm cannot be imported here ({first_line(error)}); it is in the environment of "
            "Spark 3.5 (STACK=spark35), and feed=in_place needs none"
        ) from error
    started = time.monotonic()
    folder = Path(scratch) / f"flat-{uuid.uuid4().hex}"
    try:
        given = job.folders
        copied = replace(given, train=_copy(job, given.train, folder / "train", size))
        if given.validation:
            copied = replace(copied, validation=_copy(job, given.validation, folder / "validation", size))
        written = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        log.info("a flat copy for petastorm: %.1f MB in %.1f s", written / 1e6, time.monotonic() - started)
        yield replace(job, folders=copied)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(job: WorkerJob, source: str, folder: Path, size: int) -> str:
    """Write row groups for the ranks in turn, as petastorm will deal them, each rank's from its own share.

    So the shares differ by one row at most, and the rows are shuffled once over the whole table: tables are often
    sorted by label, and petastorm would never mix what lies in different groups.
    """
    folder.mkdir(parents=True)
    assert job.shape is not None
    bytes_a_row = int(np.prod(job.shape))
    rows = max(1, GROUP_BYTES // bytes_a_row)
    budget = (job.training.cache_mb << 20) // size
    feeds = [in_place_feed(job, source, rows, rank, size, budget) for rank in range(size)]
    schema = pa.schema({"picture": pa.binary(bytes_a_row), "label": pa.int64(), "weight": pa.float32()})
    with pq.ParquetWriter(folder / "rows.parquet", schema) as writer:
        for groups in zip(*(feed.epoch(0) for feed in feeds), strict=True):
            for group in groups:
                writer.write_table(_flat(group, schema), row_group_size=len(group.labels))
    return str(folder)


def _flat(rows: Batch, schema: pa.Schema) -> pa.Table:
    count = len(rows.labels)
    pictures = pa.Array.from_buffers(schema.field("picture").type, count, [None, pa.py_buffer(rows.pictures)])
    return pa.Table.from_arrays([pictures, pa.array(rows.labels), pa.array(rows.weights)], schema=schema)

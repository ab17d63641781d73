"""A Spark job in a thread of its own, whose tasks start together.

In: what each task does. Out: what each has returned, when all have; or Spark's error.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark import InheritableThread, TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame, SparkSession

from aslspark.common.spark_session import IS_SPARK_3, dynamic_allocation, is_connect


class Stage:
    """What Spark calls a barrier stage.

    Under dynamic allocation, where Spark has none (SPARK-24942), it is a plain one, whose tasks wait for each other.
    What Spark offers barrier tasks for that is not used: its timer keeps spark-submit of 3.5 from ending (SPARK-46895).

    Parameters
    ----------
    size : int
        Of tasks.
    profile : ResourceProfile, optional
        What each holds.
    task : callable
        Gets the task's number; returns a number, and bytes that are collected under it, or None.
    """

    def __init__(
        self,
        spark: SparkSession,
        size: int,
        profile: ResourceProfile | None,
        task: Callable[[int], tuple[int, bytes] | None],
    ) -> None:
        self._spark, self._size = spark, size
        self._name = f"aslspark-{uuid.uuid4().hex}"
        self.results: dict[int, bytes] = {}
        self.error: Exception | None = None
        self.ended = threading.Event()
        work = _work(spark, size, profile, task)

        def run() -> None:
            try:
                self._mark()
                self.results = {row["rank"]: bytes(row["result"]) for row in work.collect()}
            except Exception as error:
                self.error = error
            finally:
                self.ended.set()

        thread = threading.Thread if is_connect(spark) else InheritableThread
        thread(target=run, name="launcher", daemon=True).start()

    def _mark(self) -> None:
        """Give this thread's Spark jobs a name, for `cancel`."""
        if is_connect(self._spark):
            self._spark.addTag(self._name)
        else:
            # Not interrupted: Spark would forget the Python worker, and all that it has started would run on.
            self._spark.sparkContext.setJobGroup(self._name, f"{self._size} workers of a fit", interruptOnCancel=False)

    def cancel(self) -> None:
        """Let Spark end it."""
        if is_connect(self._spark):
            self._spark.interruptTag(self._name)  # a classic session knows the tags of the asking thread alone
        else:
            self._spark.sparkContext.cancelJobGroup(self._name)


def _work(
    spark: SparkSession,
    size: int,
    profile: ResourceProfile | None,
    task: Callable[[int], tuple[int, bytes] | None],
) -> DataFrame:
    """Make the table of each rank (long) and its result (binary), with a task of its own for each."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:  # Spark keeps no Python worker that has left something unread
            pass
        context = TaskContext.get()
        assert context is not None
        for rank, result in filter(None, [task(context.partitionId())]):
            yield pa.RecordBatch.from_pydict({"rank": pa.array([rank]), "result": pa.array([result], pa.binary())})

    schema = "rank long, result binary"
    together = not dynamic_allocation(spark)
    if profile is not None and IS_SPARK_3:
        # Spark 3.5 gives stages of RDDs alone resources of their own.
        tasks = spark.sparkContext.parallelize(range(size), size).withResources(profile)
        stage = tasks.barrier() if together else tasks
        rows = stage.mapPartitionsWithIndex(lambda n, _: filter(None, [task(n)]))
        return spark.createDataFrame(rows, schema)
    resources: dict[str, Any] = {} if profile is None else {"profile": profile}
    return spark.range(0, size, 1, size).mapInArrow(run, schema, barrier=together, **resources)

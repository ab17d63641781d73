"""Pictures that come into a folder on any file system of Spark's -> an answer beside each, written once.

In: files that Structured Streaming finds. Out: NAME.json beside each, as `events` writes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col
from pyspark.sql.streaming import StreamingQuery

from aslspark.common.errors import AslsparkError
from aslspark.common.redaction import redact
from aslspark.data.files.local_folders import refuse_loops
from aslspark.data.files.store_files import StoreFiles, no_pattern
from aslspark.data.files.stores import open_store
from aslspark.images.decoding import EMPTY
from aslspark.images.endings import picture_glob
from aslspark.images.local_file import MAX_FILE_BYTES, TOO_LARGE, UNREADABLE
from aslspark.scoring.model import SignClassifierModel
from aslspark.serving.events import answer_json, answer_name

log = logging.getLogger("aslspark.serving")

_FILES = "path string, modificationTime timestamp, length long, content binary"


def letters_beside(
    spark: SparkSession,
    model: SignClassifierModel,
    folder: str,
    checkpoint: str,
    *,
    digest: str,
    files: int = 256,
    once: bool = False,
) -> StreamingQuery:
    """Start the stream.

    Spark's checkpoint remembers which files were read. If the stream ends before it has remembered a batch, these files
    are read again, and answers that are there already stay as they are.

    Parameters
    ----------
    folder : str
        With pictures anywhere below.
    checkpoint : str
        A folder that only this stream uses.
    digest : str
        Of the bundle; each answer names it.
    files : int
        Pictures a batch; their answers pass through the driver.
    once : bool
        Read the pictures that are there, and end.
    """
    if not open_store(spark).is_folder(folder):
        raise AslsparkError(f"--folder {folder}: there is no such folder; make it first")
    refuse_loops(folder)
    pictures = (
        spark.readStream.format("binaryFile")
        .option("ignoreMissingFiles", "true")
        .schema(_FILES)
        .option("pathGlobFilter", picture_glob())
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", files)
        .load(no_pattern(folder))
        # Without the content: a file that is larger than an array of Java would end the stream for good.
        .select("path", "length")
    )
    answers = _Answers(model.setInputCol("content"), digest)
    stream = pictures.writeStream.foreachBatch(answers.write).option("checkpointLocation", checkpoint)
    return (stream.trigger(availableNow=True) if once else stream).start()


@dataclass(frozen=True)
class _Answers:
    """Writes the answers of each batch."""

    model: SignClassifierModel
    digest: str

    def write(self, batch: DataFrame, number: int) -> None:
        """Read the pictures of a batch, and write an answer beside each."""
        store = open_store(batch.sparkSession)
        lengths = {row["path"]: row["length"] for row in batch.collect()}
        # A pipe has no length either; opening one would wait until somebody writes to it.
        readable = [path for path, length in lengths.items() if 0 < length <= MAX_FILE_BYTES and store.exists(path)]
        for path, length in lengths.items():
            if not 0 < length <= MAX_FILE_BYTES:
                reason = f"{TOO_LARGE}: {length:,} bytes, more than {MAX_FILE_BYTES:,}" if length else EMPTY
                self._write_one(store, _set_aside(path, reason))
        for row in self._score(batch.sparkSession, store, readable):
            self._write_one(store, row)

    def _score(self, session: SparkSession, store: StoreFiles, paths: list[str]) -> list[dict[str, Any]]:
        """Score files; where that fails, set the unreadable file aside and score the others."""
        if not paths:
            return []
        contents = session.read.format("binaryFile").option("ignoreMissingFiles", "true")
        try:
            files = contents.load([no_pattern(path) for path in paths]).where(col("length") <= MAX_FILE_BYTES)
            rows = self.model.transform(files.select("path", "content")).drop("content").collect()
            return [row.asDict() for row in rows]
        except (AnalysisException, Py4JJavaError):
            half = len(paths) // 2
            if half:
                return self._score(session, store, paths[:half]) + self._score(session, store, paths[half:])
            if _opens(store, paths[0]):  # the error is Spark's, which tries the batch again
                raise
            return [_set_aside(paths[0], UNREADABLE)]

    def _write_one(self, store: StoreFiles, row: Mapping[str, Any]) -> None:
        answer = {**row, "top": [guess.asDict() for guess in row["top"] or []]}
        data = answer_json(row["path"], answer, self.model.labels, self.digest)
        try:
            store.write_new(answer_name(row["path"]), data)
        except (OSError, Py4JJavaError) as error:
            first_line = (str(error).splitlines() or [""])[0]
            log.error("%s: no answer can be written beside it: %s", ascii(row["path"])[:300], redact(first_line))


def _opens(store: StoreFiles, path: str) -> bool:
    try:
        with store.opened(path) as file:
            file.read(1)
    except (AslsparkError, OSError, Py4JJavaError):
        return False
    return True


def _set_aside(path: str, reason: str) -> dict[str, Any]:
    return {"path": path, "letter": None, "probability": None, "top": None, "reason": reason}

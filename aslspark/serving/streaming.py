"""A folder that pictures come into, on any file system of Spark's -> a letter beside each, once.

In: files, as Structured Streaming finds them. Out: NAME.json beside each, as `events` writes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col
from pyspark.sql.streaming import StreamingQuery

from aslspark.common.errors import AslsparkError
from aslspark.common.redacted_files import redacted_json
from aslspark.common.redaction import redact
from aslspark.data.files.file_bytes import MAX_FILE_BYTES, TOO_LARGE, UNREADABLE
from aslspark.data.files.hadoop_files import HadoopFiles, no_pattern
from aslspark.data.files.local_folders import refuse_loops
from aslspark.images.decoding import EMPTY
from aslspark.images.endings import picture_glob
from aslspark.scoring.model import SignClassifierModel
from aslspark.serving.events import answer_name

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

    Spark's checkpoint remembers which files were read. Where it ends between reading and remembering, they are read
    again, and what was written stays: a letter is written where there is none, and never again.

    Parameters
    ----------
    spark : SparkSession
    model : SignClassifierModel
    folder : str
        With pictures anywhere below.
    checkpoint : str
        A folder of the stream's own.
    digest : str
        Of the bundle; answers are signed with it.
    files : int
        Pictures a batch: their answers pass the driver.
    once : bool
        Read what is there, and end.
    """
    if not HadoopFiles(spark).is_folder(folder):
        raise AslsparkError(f"--folder {folder}: there is no such folder; make it first")
    refuse_loops(folder)
    labels = list(model.labels)
    scorer = model.setInputCol("content")

    def write(batch: DataFrame, number: int) -> None:
        hadoop = HadoopFiles(batch.sparkSession)
        lengths = {row["path"]: row["length"] for row in batch.collect()}
        # A pipe, too, has no length, and would be waited for.
        readable = [path for path, length in lengths.items() if 0 < length <= MAX_FILE_BYTES and hadoop.exists(path)]
        for path, length in lengths.items():
            if not 0 < length <= MAX_FILE_BYTES:
                why = f"{TOO_LARGE}: {length:,} bytes, more than {MAX_FILE_BYTES:,}" if length else EMPTY
                _write(hadoop, path, _written(_set_aside(path, why), labels, digest))
        for row in scored(batch.sparkSession, hadoop, readable):
            _write(hadoop, row["path"], _written(row, labels, digest))

    def scored(session: SparkSession, hadoop: HadoopFiles, paths: list[str]) -> list[dict[str, Any]]:
        """Read files; where that fails, find the one at which it does, and read the others."""
        if not paths:
            return []
        contents = session.read.format("binaryFile").option("ignoreMissingFiles", "true")
        try:
            files = contents.load([no_pattern(path) for path in paths]).where(col("length") <= MAX_FILE_BYTES)
            rows = scorer.transform(files.select("path", "content")).drop("content").collect()
            return [row.asDict() for row in rows]
        except (AnalysisException, Py4JJavaError):
            half = len(paths) // 2
            if half:
                return scored(session, hadoop, paths[:half]) + scored(session, hadoop, paths[half:])
            if _opens(hadoop, paths[0]):  # then it is Spark's trouble, and the batch is tried again
                raise
            return [_set_aside(paths[0], UNREADABLE)]

    pictures = (
        spark.readStream.format("binaryFile")
        .option("ignoreMissingFiles", "true")
        .schema(_FILES)
        .option("pathGlobFilter", picture_glob())
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", files)
        .load(no_pattern(folder))
        # Not the content: one file that is larger than an array of Java would end the stream for good.
        .select("path", "length")
    )
    stream = pictures.writeStream.foreachBatch(write).option("checkpointLocation", checkpoint)
    return (stream.trigger(availableNow=True) if once else stream).start()


def _opens(hadoop: HadoopFiles, path: str) -> bool:
    try:
        with hadoop.opened(path) as file:
            file.read(1)
    except (AslsparkError, OSError, Py4JJavaError):
        return False
    return True


def _set_aside(path: str, why: str) -> dict[str, Any]:
    return {"path": path, "letter": None, "probability": None, "top": None, "reason": why}


def _write(hadoop: HadoopFiles, path: str, data: bytes) -> None:
    try:
        hadoop.write_new(answer_name(path), data)
    except (OSError, Py4JJavaError) as error:
        first = (str(error).splitlines() or [""])[0]
        log.error("%s: no answer can be written beside it: %s", ascii(path)[:300], redact(first))


def _written(row: Mapping[str, Any], labels: list[str], digest: str) -> bytes:
    letter = row["letter"]
    said = {
        "picture": row["path"],
        "prediction": None if letter is None else labels.index(letter),
        "category": letter,
        "probability": row["probability"],
        "top": [guess.asDict() for guess in row["top"] or []],
        "reason": row["reason"],
        "model": digest[:12],
    }
    return (redacted_json(said) + "\n").encode()

"""A folder that pictures come into, on any file system of Spark's -> a letter beside each, once.

In: files, as Structured Streaming finds them. Out: NAME.json beside each, as `events` writes it.
"""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from aslspark.errors import AslsparkError
from aslspark.scoring import SignClassifierModel
from aslspark.serving.events import ANSWER
from aslspark.sources.hadoop_files import HadoopFiles, no_pattern

_FILES = "path string, modificationTime timestamp, length long, content binary"
_NAMES = "*.{jpg,jpeg,png,JPG,JPEG,PNG}"


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
    labels = list(model.labels)
    scorer = model.setInputCol("content")

    def write(batch: DataFrame, number: int) -> None:
        hadoop = HadoopFiles(batch.sparkSession)
        for row in scorer.transform(batch.select("path", "content")).drop("content").toLocalIterator():
            hadoop.write_new(row["path"] + ANSWER, _written(row, labels, digest))

    pictures = (
        spark.readStream.format("binaryFile")
        .schema(_FILES)
        .option("pathGlobFilter", _NAMES)
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", files)
        .load(no_pattern(folder))
    )
    stream = pictures.writeStream.foreachBatch(write).option("checkpointLocation", checkpoint)
    return (stream.trigger(availableNow=True) if once else stream).start()


def _written(row: Any, labels: list[str], digest: str) -> bytes:
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
    return (json.dumps(said) + "\n").encode()

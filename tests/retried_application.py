"""An ingest of pictures whose first attempt is killed when it has written some: the last line says what came of it.

python retried_application.py HANDS OUT
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from pyspark import TaskContext
from pyspark.sql import SparkSession
from quick_java import QUICK_JAVA

from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.written_in_tasks import ATTEMPTS_FOLDER
from aslspark.images.hands.hand import Hand
from aslspark.images.hands.options import HandOptions
from aslspark.images.image_spec import ImageSpec

SIDE = 1024


class EndsTheFirstAttempt:
    """Looks for hands: at once in the last batch of pictures, it ends the worker of a first attempt."""

    options = HandOptions()

    def __init__(self, last: int, out: str) -> None:
        self.last, self.out, self.seen = last, out, 0

    def __call__(self, pictures: list[np.ndarray]) -> list[Hand]:
        self.seen += len(pictures)
        if self.seen >= self.last and TaskContext.get().attemptNumber() == 0:
            written = [path.stat().st_size for path in Path(self.out).parent.rglob(f"{ATTEMPTS_FOLDER}/*")]
            Path(f"{self.out}.first-attempt").write_text(json.dumps(written))
            os.kill(os.getpid(), signal.SIGKILL)
        return [Hand() for _ in pictures]


def main(hands: str, out: str) -> None:
    settings = {"spark.sql.shuffle.partitions": "1", "spark.ui.enabled": "false"}
    settings["spark.driver.extraJavaOptions"] = QUICK_JAVA
    spark = SparkSession.builder.master("local[1,2]").config(map=settings).getOrCreate()
    pictures = len(list(Path(hands).rglob("*.jpg")))
    options = PictureOptions(form=ImageSpec(SIDE, SIDE, 3), hands=EndsTheFirstAttempt(pictures, out))
    report = ingest_sources(spark, [hands], out, pictures=options)
    written = [path.name for path in Path(out).iterdir()]
    ids = [row["id"] for row in spark.read.parquet(f"{out}/samples").select("id").collect()]
    print(json.dumps({"kept": report.kept, "ids": ids, "written": written}))


if __name__ == "__main__":
    main(*sys.argv[1:])

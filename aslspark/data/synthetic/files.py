"""A seed -> drawn hands as PNG files, in a folder with a sub-folder for each letter."""

from __future__ import annotations

import io
from pathlib import Path

from pyspark.sql import SparkSession

from aslspark.common.paths import local_path
from aslspark.common.progress import doing
from aslspark.common.spark_session import parallelism
from aslspark.data.synthetic.table import drawn_samples
from aslspark.images.decoding import pixels_of

SIGNER_PATTERN = r"(signer\d+)_"
"""Pattern of the signer in a path, for `pictures.signer_pattern`."""
_MOST_TASKS, _LEAST_DRAWN = 100, 10
"""Tasks that draw, of which this process reads one after the other, and pictures that are worth one."""


def draw_pictures(spark: SparkSession, folder: str, *, count: int, seed: int, size: int, signers: int) -> None:
    """Draw RGB pictures and write them as PNG files, such as ``A/signer0_000024.png``.

    Parameters
    ----------
    spark : SparkSession
        Its workers draw; this process writes the files.
    folder : str
        Made if it does not exist.
    count, seed, size, signers : int
        As for `drawn_samples`.
    """
    from PIL import Image

    root = Path(local_path(folder))
    # Few tasks would show nothing for half a minute, and then all.
    tasks = max(parallelism(spark), min(_MOST_TASKS, count // _LEAST_DRAWN))
    drawn = drawn_samples(spark, count=count, seed=seed, size=size, channels=3, signers=signers, tasks=tasks)
    with doing("drawing hands", unit="hands") as activity:
        activity.advance(0, count)
        rows = drawn.select("id", "picture", "label", "signer").toLocalIterator(prefetchPartitions=True)
        for done, row in enumerate(rows, start=1):
            signer, number = (row[name].rpartition(mark)[2] for name, mark in (("signer", "-"), ("id", ":")))
            file = io.BytesIO()
            Image.fromarray(pixels_of(row["picture"])).save(file, "PNG")
            path = root / row["label"] / f"signer{int(signer)}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.getvalue())
            activity.advance(done)

"""Trains on pictures that lie as no job expects them: here, a folder of files called LETTER-SIGNER-NUMBER.png.

    python examples/own_source.py pictures runs/own

What can be made a DataFrame with `path`, `content`, `label` and `signer` is a source: rows of a database, of another
library's data set, of an archive that Python opens. What cannot be used is quarantined, with the reason.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import SparkSession

import aslspark

COLUMNS = "path string, content binary, label string, signer string"
SETTINGS = (
    *("pictures.size=28", "pictures.grey=true"),
    *("split.kind=signer", "split.validation=0.2", "split.test=0.2"),  # it is judged on people it has not met
    "mllib.classifier=forest",  # without this line, a network
)


def rows(folder: str) -> Iterator[tuple[str, bytes, str, str | None]]:
    """Give a row of COLUMNS for each picture."""
    paths = sorted(Path(folder).glob("*.png"))
    if not paths:
        raise aslspark.AslsparkError(f"{folder}: no file in it ends in .png; name a folder of pictures")
    for path in paths:
        # A name of another form gives no letter or signer, and so a reason in the quarantine.
        letter, signer, *_ = [*path.stem.split("-"), None]
        yield str(path), path.read_bytes(), letter, signer


def train(spark: SparkSession, folder: str, out: str) -> str:
    """Ingest and train; return the bundle's folder."""
    config = aslspark.load_config(overrides=SETTINGS)
    pictures = spark.createDataFrame(rows(folder), COLUMNS)
    aslspark.ingest(spark, pictures, f"{out}/ingested", config=config)  # the log says what is in quarantine, and why
    return aslspark.train(spark, f"{out}/ingested", f"{out}/model", config=config).path


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        train(SparkSession.builder.getOrCreate(), *sys.argv[1:])
    except aslspark.AslsparkError as error:
        sys.exit(f"error: {error}")

"""An ingested folder with a column of hands: pictures of one skin colour a signer, landmarks a shape a letter."""

import json
from pathlib import Path

import numpy as np

from aslspark.data.samples import SAMPLE_SCHEMA, with_hand
from aslspark.images.hands.options import HandOptions

LETTERS = ("K", "M", "N", "P")
SKIN = {"ann": (241, 200, 170), "bob": (141, 85, 36), "cyd": (60, 46, 40)}
"""Their typology angles are 59, -13 and -78 degrees: very light, brown, dark."""
SIDE = 16
SCHEMA = with_hand(SAMPLE_SCHEMA)


def hand(letter, random, *, size=0.3, side="right"):
    """A hand whose points lie as the letter says, somewhere in the picture, with a little noise."""
    points = np.random.default_rng(LETTERS.index(letter)).random((21, 3))
    points = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    points = points + random.normal(0, 0.02, points.shape)
    placed = points * size + random.random(3) * [1 - size, 1 - size, 0]
    return "plain", placed.ravel().tolist(), (points / 10).ravel().tolist(), side, 0.9, None


def rows_with_hands(count=240, seed=1):
    """Rows of `SCHEMA`: three signers of two sources; every twelfth picture has no hand, or a null for one."""
    random = np.random.default_rng(seed)
    nothing = (None, None, None, None, None, None)
    rows = []
    for n in range(count):
        letter, signer = LETTERS[n % 4], tuple(SKIN)[n // 4 % 3]
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[1:-1, 1:-1] = SKIN[signer]
        found = hand(letter, random, size=0.1 if signer == "bob" else 0.5, side="left" if signer == "cyd" else "right")
        if n % 12 == 5:
            found = nothing if n % 24 == 5 else None
        split = "test" if n % 10 == 0 or n % 10 == 3 else "validation" if n % 10 == 7 else "train"
        source = "desk" if signer == "cyd" else "room"
        whole = (SIDE, SIDE, 3, bytearray(picture.tobytes()), "raw")
        rows.append((f"{source}:{n:04d}", whole, letter, source, signer, split, found))
    return rows


def write_ingested(spark, rows, folder):
    """Write rows of `SCHEMA` as ingest leaves them."""
    table = spark.createDataFrame(rows, SCHEMA)
    table.repartition(2).write.partitionBy("split").parquet(f"{folder}/samples")
    splits = {split: sum(row[5] == split for row in rows) for split in ("train", "validation", "test")}
    about = {"sources": {"desk": {}, "room": {}}, "split": "by hand", "splits": splits, "warnings": [], "pictures": {}}
    about["hands"] = HandOptions().preprocessing()
    (Path(folder) / "ingest.json").write_text(json.dumps(about))
    return str(folder)

"""An ingested folder whose rows have hands, made up: every letter a shape of its own."""

import json
import shutil
from pathlib import Path

import numpy as np
from pyspark.sql.types import StringType, StructField, StructType

from aslspark.data.samples import HAND_COLUMN, HAND_TYPE, REPORT_FILE, SAMPLES_FOLDER, read_samples

FOUND_NONE = 8
"""One row in so many has no hand."""


def made_up_hand(label, number):
    """A hand of a letter, turned, moved and blurred a little; None for some numbers."""
    if number % FOUND_NONE == 0:
        return None
    random = np.random.default_rng(number)
    shape = np.random.default_rng(ord(label[0])).normal(0, 0.04, (21, 3))
    shape += random.normal(0, 0.002, shape.shape)
    right = random.random() < 0.5
    if not right:
        shape[:, 0] *= -1
    picture = shape * random.uniform(3, 5) + [*random.uniform(0.4, 0.6, 2), 0]
    numbers = [points.astype(np.float32).ravel().tolist() for points in (picture, shape)]
    again = [(points * 1.01).astype(np.float32).ravel().tolist() for points in (picture, shape)]
    looks = [*numbers[0], *numbers[1], *again[0], *again[1]]
    return ("plain", *numbers, "right" if right else "left", 0.9, looks)


def with_hands(spark, ingested, folder):
    """Copy an ingested folder, with a made-up hand in each row."""
    samples = read_samples(spark, ingested)
    rows = samples.select("id", "label").orderBy("id").collect()
    hands = [(row["id"], made_up_hand(row["label"], number)) for number, row in enumerate(rows)]
    schema = StructType([StructField("id", StringType(), False), StructField(HAND_COLUMN, HAND_TYPE, True)])
    found = spark.createDataFrame(hands, schema)
    samples.join(found, "id").write.partitionBy("split").parquet(f"{folder}/{SAMPLES_FOLDER}")
    shutil.copy(Path(ingested) / REPORT_FILE, Path(folder) / REPORT_FILE)
    report = json.loads((Path(folder) / REPORT_FILE).read_text())
    (Path(folder) / REPORT_FILE).write_text(json.dumps({**report, "hands": {}}))
    return str(folder)

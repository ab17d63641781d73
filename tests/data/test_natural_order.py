"""One order of names, in Python and in Spark, and what is cut by it."""

import random

import numpy as np
import pytest

from aslspark.data.files.natural_order import natural_key, natural_order
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import read_samples
from aslspark.data.splits import SplitOptions

PIECES = [
    *("frame", "Frame", "FRAME", "img_", "a/b-", "-", " ", ".", "_", "~", "/", ":", "\n", "ß", "Ä", "ä", "İ", "é"),
    *("手", "\x00", "\x01", "🤟", "٣", "²", "0", "00", "1", "01", "9", "10", "100", "2024", "007"),
    *("9" * 25, "1" + "0" * 24),
]


def made_up_names(seed, count):
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randint(0, 5))) for _ in range(count)]


@pytest.mark.promise(
    "tested",
    "Names are put in one order wherever rows are cut into runs: numbers by their value, in Spark as on the driver.",
    kind="near duplicates on both sides, since names were sorted digit by digit",
)
@pytest.mark.parametrize("seed", [1, 2])
def test_spark_puts_any_names_in_the_order_of_natural_key(spark, seed):
    names = sorted(set(made_up_names(seed, 1500)))
    random.Random(seed).shuffle(names)
    table = spark.createDataFrame([(name,) for name in names], "name string").repartition(3)
    in_spark = [row["name"] for row in table.orderBy(*natural_order("name")).collect()]
    assert in_spark == sorted(names, key=lambda name: (natural_key(name), name))


def test_people_count_so():
    names = ["b1", "A10", "a2", "A100", "a1b10", "a1b9", "a", "", "3", "20", "007", "a-1", "a1"]
    expected = ["", "3", "007", "20", "a", "a1", "a1b9", "a1b10", "a2", "A10", "A100", "a-1", "b1"]
    assert sorted(names, key=lambda name: (natural_key(name), name)) == expected


@pytest.mark.promise(
    "tested",
    "Samples in memory are cut into blocks as their frames were taken, not by the digits of their ids.",
    kind="near duplicates on both sides, since names were sorted digit by digit",
)
def test_frames_in_memory_are_cut_as_they_were_taken(spark, tmp_path):
    """With 120 frames, runs of twelve: in the order of strings, frame-1 would lie beside frame-10 and frame-100."""
    schema = (
        "id string, picture struct<height: int, width: int, channels: int, data: binary>, label string, "
        "source string, signer string"
    )
    noise = np.random.default_rng(0)
    rows = [
        (f"frame-{number}", (4, 4, 1, bytearray(noise.bytes(16))), letter, "film", None)
        for letter, start in (("A", 1), ("B", 1001))
        for number in range(start, start + 120)
    ]
    random.Random(1).shuffle(rows)
    out = str(tmp_path / "ingested")
    ingest_sources(spark, [spark.createDataFrame(rows, schema)], out, split=SplitOptions(blocks=10))
    found = read_samples(spark, out).select("id", "split").toPandas()
    number = found["id"].str.removeprefix("frame-").astype(int)
    found["block"] = (number - 1) % 1000 // 12
    assert len(found) == 240
    assert (found.groupby("block")["split"].nunique() == 1).all()
    assert found["split"].value_counts().to_dict() == {"train": 192, "validation": 24, "test": 24}

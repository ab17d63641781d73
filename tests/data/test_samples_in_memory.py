"""Samples in memory whose pictures say sizes that cannot be."""

import numpy as np
import picture_files
import pytest
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import read_samples
from aslspark.data.splits import SplitOptions
from aslspark.images.image_spec import ImageSpec

SCHEMA = (
    "id string, picture struct<height: int, width: int, channels: int, data: binary>, label string, source string, "
    "signer string"
)
SIZES = {
    "good": (28, 28, 1, 784),
    "a product that is 0 in 32 bits": (65_536, 65_536, 1, 0),
    "a product that overflows 64 bits": (2_000_000_000, 2_000_000_000, 3, 784),
    "both below 0": (-28, -28, 1, 784),
    "two channels": (28, 14, 2, 784),
}


@pytest.mark.promise(
    "input",
    "A sample whose picture says a size that its bytes do not have is one row of the quarantine, whatever "
    "spark.sql.ansi.enabled is.",
    kind="arithmetic that overflows in Spark",
)
@pytest.mark.parametrize("ansi", ["true", "false"])
def test_sizes_that_cannot_be_are_quarantined(spark, tmp_path, setting, ansi):
    rows = [
        (name, (height, width, channels, bytearray(length)), "A", None, None)
        for name, (height, width, channels, length) in SIZES.items()
    ]
    with setting("spark.sql.ansi.enabled", ansi):
        report = ingest_sources(spark, [spark.createDataFrame(rows, SCHEMA)], str(tmp_path / "out"))
    assert (report.kept, [(reason.reason, reason.rows) for reason in report.reasons]) == (
        1,
        [("wrong picture size", 4)],
    )


def test_a_sample_without_a_signer_beside_others_is_quarantined_where_signers_are_split(spark, tmp_path):
    rows = [
        (f"{signer}{number}", (28, 28, 1, bytearray(784)), "AB"[number % 2], None, signer)
        for signer in ("ann", "ben", "cay", None)
        for number in range(4 if signer else 1)
    ]
    split = SplitOptions(kind="signer", validation=0.3, test=0.3)
    report = ingest_sources(spark, [spark.createDataFrame(rows, SCHEMA)], str(tmp_path / "out"), split=split)
    assert (report.kept, sorted(report.splits.values())) == (12, [4, 4, 4])
    assert [(reason.reason, reason.rows) for reason in report.reasons] == [("no signer", 1)]
    assert "None0: split.kind=signer needs one" in report.reasons[0].first


def samples(spark, ids, source=None, signers=("ann",)):
    """Rows of 28x28 with these ids, of A and B, of each signer in turn."""
    noise = np.random.default_rng(len(ids))
    rows = []
    for number, name in enumerate(ids):
        data = bytearray(noise.integers(0, 256, 784, dtype=np.uint8).tobytes())
        rows.append((name, (28, 28, 1, data), "AB"[number % 2], source, signers[number % len(signers)]))
    return spark.createDataFrame(rows, SCHEMA)


SMALL = PictureOptions(form=ImageSpec(28, 28, 1), drop_near_duplicates=True)
TEN = [f"row {number}" for number in range(10)]


@pytest.mark.promise(
    "input",
    "An id that is there twice is refused, over signers, sources and tables: no join of rows by their ids counts one "
    "twice.",
    kind="two rows of one id",
)
@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (lambda spark: [samples(spark, [*TEN, *TEN], signers=("ann", "bob", "cay"))], "dataframe-1: 20 rows"),
        (lambda spark: [samples(spark, TEN, "x").union(samples(spark, TEN[:1], "y"))], "dataframe-1: 2 rows"),
        (
            lambda spark: [samples(spark, TEN), samples(spark, [*TEN[:2], "more"])],
            "dataframe-1 and dataframe-2: 4 rows",
        ),
    ],
)
def test_an_id_that_is_there_twice_is_refused(spark, tmp_path, tables, words):
    with pytest.raises(AslsparkError, match=f"{words} have the id of another row, such as row 0: an id must be unique"):
        ingest_sources(spark, tables(spark), str(tmp_path / "out"))


@pytest.mark.parametrize(("keep", "left_out"), [("all", {}), ("static", {"label not asked for": 2})])
def test_labels_of_samples_are_those_of_pictures(spark, tmp_path, keep, left_out):
    place = F.substring("id", 5, 1).cast("int") + 1
    labels = F.element_at(F.array(*map(F.lit, ["A", "J", "del", "b"])), place)
    table = samples(spark, TEN[:4]).withColumn("label", labels)
    options = PictureOptions(form=ImageSpec(28, 28, 1), keep=keep)
    report = ingest_sources(spark, [table], str(tmp_path / "out"), pictures=options)
    assert {reason.reason: reason.rows for reason in report.reasons} == {"unknown label": 1, **left_out}
    assert report.kept == 3 - sum(left_out.values())


def test_the_id_of_a_picture_or_of_a_row_of_a_table_is_refused_in_memory(spark, tmp_path):
    folder = picture_files.fill(tmp_path / "hands", labels="AB", count=2, kind="png")
    table = tmp_path / "letters.csv"
    lines = [",".join(["label", *(f"pixel{number}" for number in range(1, 785))]), *[",".join(["0"] + ["9"] * 784)] * 3]
    table.write_text("\n".join(lines) + "\n")
    fit = ["hands:A/A9.png", "letters.csv:0", "letters.csv:4", "letters.csv:x"]
    for name, of in (("hands:A/A1.png", "hands"), ("letters.csv:3", "letters.csv")):
        with pytest.raises(
            AslsparkError, match=f"dataframe-1 and {of}: 1 row has the id of another row, such as {name}: "
        ):
            ingest_sources(spark, [samples(spark, [*fit, name]), str(folder), str(table)], str(tmp_path / "out"))


@pytest.mark.promise(
    "input",
    "Samples in memory whose source is called as a folder of pictures are no near duplicates of each other.",
    kind="a hash that is not there is taken for one",
)
def test_samples_whose_source_is_called_as_a_folder_is_are_kept(spark, tmp_path):
    folder = picture_files.fill(tmp_path / "hands", labels="AB", count=8, kind="png")
    sources = [samples(spark, [f"row {number}" for number in range(40)], "hands"), str(folder)]
    report = ingest_sources(spark, sources, str(tmp_path / "out"), pictures=SMALL)
    assert (report.kept, report.quarantined, report.near_duplicates["others"]) == (56, 0, 0)
    assert read_samples(spark, str(tmp_path / "out")).where(F.col("id").startswith("row")).count() == 40


@pytest.mark.promise(
    "tested",
    "Where signers are divided and test rows are given, signers on both sides are warned of.",
    kind="one person on both sides",
)
@pytest.mark.parametrize(("tested", "is_warned"), [("ann", True), ("eve", False)])
def test_a_signer_of_the_given_test_rows_who_is_learned_from_too_is_warned_of(spark, tmp_path, tested, is_warned):
    learned = samples(spark, [f"row {number}" for number in range(24)], signers=("ann", "bob", "cay", "dan"))
    given = samples(spark, [f"test {number}" for number in range(4)], signers=(tested,))
    split = SplitOptions(kind="signer", validation=0.25)
    report = ingest_sources(spark, [learned], str(tmp_path / "out"), test_sources=[given], split=split)
    said = "split.kind=signer: 1 signer of the test rows that were given is in another split too, such as ann: "
    assert any(warning.startswith(said) for warning in report.warnings) == is_warned

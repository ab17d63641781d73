"""Tables of picture files, as people have them: paths that repeat, names in capitals, blanks for what is not known."""

import io

import picture_files
import pytest
from pyspark.sql import functions as F

from aslspark import ingest, load_config
from aslspark.common.errors import AslsparkError
from aslspark.data.samples import read_samples

SMALL = ["pictures.size=32", "split.validation=0.25", "split.test=0.25", "split.blocks=4"]
LETTERS = "ABC"


def png(seed):
    file = io.BytesIO()
    picture_files.picture(seed, (40, 40)).save(file, "png")
    return bytearray(file.getvalue())


def ingested(spark, rows, schema, out, *words):
    """Ingest a table in memory; give the report and the samples by id."""
    report = ingest(spark, spark.createDataFrame(rows, schema), str(out), config=load_config(None, [*SMALL, *words]))
    return report, {row["id"]: row for row in read_samples(spark, str(out)).collect()}


def of_each_letter(count):
    return [(letter, number) for letter in LETTERS for number in range(count)]


@pytest.mark.promise(
    "input",
    "Pictures of a table that share a path are told apart by their bytes: none is taken for another.",
    kind="two rows of one name",
)
def test_pictures_that_share_a_path_and_differ_are_all_kept_each_with_its_label(spark, tmp_path):
    # As Hugging Face writes folders of pictures: the path is the bare name of the file.
    rows = [(f"{number}.png", png(100 * ord(letter) + number), letter) for letter, number in of_each_letter(8)]
    schema = "path string, content binary, label string"
    report, samples = ingested(spark, rows, schema, tmp_path / "shared")
    assert (report.kept, report.quarantined, len(samples)) == (24, 0, 24)
    apart = [(f"{label}/{path}", content, label) for path, content, label in rows]
    _, expected = ingested(spark, apart, schema, tmp_path / "apart")
    pictures = [
        sorted((row["label"], bytes(row["picture"]["data"])) for row in some.values()) for some in (samples, expected)
    ]
    assert pictures[0] == pictures[1]


def test_of_one_path_a_picture_that_is_there_twice_is_kept_once_and_one_without_a_label_is_quarantined(spark, tmp_path):
    rows = [(f"{letter}{number}.png", png(100 * ord(letter) + number), letter) for letter, number in of_each_letter(8)]
    path, content, _ = rows[0]
    rows = [(path, png(1), None), (path, content, None), *rows, (path, content, "B"), (path, png(2), "C")]
    report, samples = ingested(spark, rows, "path string, content binary, label string", tmp_path / "out")
    assert (report.kept, {reason.reason: reason.rows for reason in report.reasons}) == (
        25,
        {"unknown label": 2, "named twice": 1},
    )
    examples = [example for reason in report.reasons for example in reason.examples if "same picture" in example]
    assert examples[0].endswith(": an earlier one is the same picture, as A")
    assert sorted(row["label"] for name, row in samples.items() if name.startswith(f"dataframe-1:{path}")) == ["A", "C"]


@pytest.mark.promise(
    "tested",
    "A table's column of splits and of signers counts however its name is written, as in Spark: `Split` is `split`.",
    kind="a split that is given and not read",
)
@pytest.mark.parametrize("named", [[], ["columns.split=Split", "columns.signer=Signer", "columns.label=Label"]])
def test_columns_in_capitals_are_those_in_small_letters(spark, tmp_path, named):
    rows = [
        (
            f"/hands/{letter}{number}.png",
            png(100 * ord(letter) + number),
            letter,
            "ann" if number < 4 else "bob",
            "test" if number < 2 else "train",
        )
        for letter, number in of_each_letter(8)
    ]
    table = spark.createDataFrame(rows, "Path string, Content binary, Label string, Signer string, Split string")
    table.createOrReplaceTempView("capitals")
    source = "table:capitals" if named else table
    report = ingest(spark, source, str(tmp_path / "out"), config=load_config(None, [*SMALL, *named]))
    assert (report.kept, report.splits["test"]) == (24, 6)
    samples = read_samples(spark, str(tmp_path / "out"))
    by_split = {row["split"]: row["signers"] for row in _signers(samples)}
    assert (by_split["test"], by_split["train"]) == (["ann"], ["ann", "bob"])
    spark.catalog.dropTempView("capitals")


def _signers(samples):
    return samples.groupBy("split").agg(F.sort_array(F.collect_set("signer")).alias("signers")).collect()


def test_labels_that_are_all_numbers_are_refused_with_what_labels_are(spark, tmp_path):
    rows = [(f"{number}.png", png(number), str(number)) for number in range(4)]
    with pytest.raises(AslsparkError, match=r"4 unknown label.*labels of pictures are A to Z, del, nothing, space"):
        ingested(spark, rows, "path string, content binary, label string", tmp_path / "out")


@pytest.mark.promise(
    "tested",
    "A blank signer is none, and blanks around a signer's name do not make another of it.",
    kind="one person under two names",
)
def test_blanks_are_no_split_and_no_signer(spark, tmp_path):
    signers, splits = ["ann", "ann ", "bob", "cay", "", " ", None], ["", " ", None]
    rows = [
        (f"{letter}{number}.png", png(100 * ord(letter) + number), letter, signers[number % 7], splits[number % 3])
        for letter, number in of_each_letter(14)
    ]
    schema = "path string, content binary, label string, signer string, split string"
    report, samples = ingested(spark, rows, schema, tmp_path / "out", "split.kind=signer")
    assert (report.kept, [(reason.reason, reason.rows) for reason in report.reasons]) == (24, [("no signer", 18)])
    assert {row["signer"] for row in samples.values()} == {"ann", "bob", "cay"}
    assert len({row["split"] for row in samples.values() if row["signer"] == "ann"}) == 1

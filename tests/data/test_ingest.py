import bz2
import gzip
import json
import os
import zlib

import numpy as np
import pandas as pd
import pytest
from browser import faults_of
from markupsafe import escape
from moments import ENTERED, whenever
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

import aslspark
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import LETTER_OF_NUMBER
from aslspark.data import ingest as ingest_module
from aslspark.data.assign_splits import planned_rows
from aslspark.data.discover_sources import short_names
from aslspark.data.files.hadoop_files import HadoopFiles
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import QUARANTINE_SCHEMA, SAMPLE_SCHEMA, TEST, TRAIN, VALIDATION, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.data.tables.pixel_layout import COLUMNS

LABELS = list(LETTER_OF_NUMBER)
HEADER = ",".join(COLUMNS)


def random_rows(seed, count, labels=LABELS):
    """Rows of a pixel table sorted by label, as `webcam` files are: (label, pixel1, ..., pixel784)."""
    numbers = np.random.default_rng(seed)
    table = np.empty((count, 785), int)
    table[:, 0] = np.sort(np.resize(labels, count))
    table[:, 1:] = numbers.integers(0, 256, (count, 784))
    return table


def as_text(rows, header=HEADER, line_end="\n"):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    return line_end.join(lines) + line_end


def write_table(path, rows, **how):
    path.write_text(as_text(rows, **how), newline="")
    return str(path)


def rows_of(spark, out):
    return {row["id"]: row for row in read_samples(spark, str(out)).collect()}


def quarantine_of(spark, out):
    return spark.read.parquet(f"{out}/quarantine").orderBy("source", "row").collect()


def check_rows(found, source, rows):
    """Check that the samples of a source are the rows, numbered from 1, byte for byte."""
    mine = {row_id: row for row_id, row in found.items() if row["source"] == source}
    assert sorted(mine) == sorted(f"{source}:{number}" for number in range(1, len(rows) + 1))
    for number, row in enumerate(rows, 1):
        sample = mine[f"{source}:{number}"]
        assert sample["label"] == LETTER_OF_NUMBER[row[0]]
        assert bytes(sample["picture"]["data"]) == bytes(row[1:].astype(np.uint8))
        assert tuple(sample["picture"])[:3] == (28, 28, 1)
        assert sample["signer"] is None


def with_field(row, column, value):
    fields = [str(value_) for value_ in row]
    fields[column] = value
    return ",".join(fields)


BAD_ROWS = {
    3: ("too few columns", "3,1,2", "wrong column count", "3 columns instead of 785"),
    7: ("text in a pixel", lambda row: with_field(row, 5, "hand"), "not a number", "pixel5 is 'hand'"),
    8: ("256", lambda row: with_field(row, 784, "256"), "out of 0-255", "pixel784 is '256'"),
    20: ("letter J", lambda row: with_field(row, 0, "9"), "unknown label", "label is '9'"),
    21: ("a blank line", "", "empty", "a blank line"),
    40: ("the header again", HEADER, "not a number", "label is 'label'"),
    60: ("blank at the end", "", "empty", "a blank line"),
}


@pytest.fixture(scope="module")
def spoilt(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoilt")
    rows = random_rows(1, 60)
    lines = as_text(rows).splitlines()
    for number, (_, bad, _, _) in BAD_ROWS.items():
        lines[number] = bad(rows[number - 1]) if callable(bad) else bad
    (folder / "spoilt.csv").write_text("\n".join(lines) + "\n")
    report = ingest_sources(spark, [str(folder / "spoilt.csv")], str(folder / "out"))
    return rows, report, folder / "out"


def test_every_row_is_kept_or_quarantined(spark, spoilt):
    _, report, out = spoilt
    assert (report.read, report.kept, report.quarantined) == (60, 53, 7)
    assert read_samples(spark, str(out)).count() == 53
    assert spark.read.parquet(f"{out}/quarantine").count() == 7


@pytest.mark.parametrize("number", BAD_ROWS, ids=[kind for kind, *_ in BAD_ROWS.values()])
def test_a_bad_row_is_quarantined_with_its_number_and_reason(spark, spoilt, number):
    _, _, reason, detail = BAD_ROWS[number]
    found = [row for row in quarantine_of(spark, spoilt[2]) if row["row"] == number]
    assert [tuple(row) for row in found] == [("spoilt.csv", number, reason, detail)]


def test_good_rows_keep_their_numbers_among_bad_ones(spark, spoilt):
    rows, _, out = spoilt
    found = rows_of(spark, out)
    assert set(found) == {f"spoilt.csv:{number}" for number in range(1, 61) if number not in BAD_ROWS}
    assert all(
        bytes(row["picture"]["data"]) == bytes(rows[int(row_id.split(":")[1]) - 1][1:].astype(np.uint8))
        for row_id, row in found.items()
    )


def test_the_tables_have_their_schemas_and_the_report_adds_up(spark, spoilt):
    _, report, out = spoilt

    def loose(schema):
        return {field.name: field.dataType.simpleString() for field in StructType(schema).fields}

    assert loose(spark.read.parquet(f"{out}/samples").schema) == loose(SAMPLE_SCHEMA)
    assert loose(spark.read.parquet(f"{out}/quarantine").schema) == loose(QUARANTINE_SCHEMA)
    written = json.loads((out / "ingest.json").read_text())
    assert written["read"] == written["kept"] + written["quarantined"]
    assert sum(sum(counts.values()) for counts in written["labels"].values()) == sum(written["splits"].values()) == 53
    assert {found["reason"]: found["rows"] for found in written["reasons"]} == {
        "empty": 2,
        "not a number": 2,
        "out of 0-255": 1,
        "unknown label": 1,
        "wrong column count": 1,
    }
    assert sum(written["sources"]["spoilt.csv"].values()) == 60
    assert {"seconds", "rows_per_second", "seed", "split"} <= set(written)
    printed = str(report)
    assert "read 60 rows: kept 53, quarantined 7" in printed
    assert "wrong column count: 1, first spoilt.csv row 3: 3 columns" in printed


def test_the_page_of_an_ingest_says_what_is_in_quarantine_why_and_where(spoilt):
    _, report, out = spoilt
    page = (out / "report.html").read_text()
    assert "<title>53 samples kept, 7 in quarantine</title>" in page
    for reason in report.reasons:
        assert f"<td>{reason.reason}</td><td>{reason.rows}</td>" in page
        assert len(reason.examples) == reason.rows  # each has fewer than are shown
        assert all(str(escape(example)) in page for example in reason.examples)
    assert [reason.first for reason in report.reasons] == [reason.examples[0] for reason in report.reasons]
    assert "<td>spoilt.csv</td>" in page
    assert faults_of(out / "report.html") == []


def test_plain_gzip_bzip2_and_odd_names_give_the_same_rows(spark, tmp_path):
    rows = {
        name: random_rows(seed, 30)
        for seed, name in enumerate(
            ("plain.csv", "packed.csv.gz", "packed.csv.bz2", "odd [1] name%20é.csv", "dos.csv", "sub/plain.csv")
        )
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "sub").mkdir()
    text = {name: as_text(table).encode() for name, table in rows.items()}
    (tmp_path / "in/plain.csv").write_bytes(text["plain.csv"])
    (tmp_path / "in/packed.csv.gz").write_bytes(gzip.compress(text["packed.csv.gz"]))
    (tmp_path / "in/packed.csv.bz2").write_bytes(bz2.compress(text["packed.csv.bz2"]))
    (tmp_path / "in/odd [1] name%20é.csv").write_bytes(text["odd [1] name%20é.csv"])
    dos = as_text(rows["dos.csv"], line_end="\r\n", header=HEADER.replace("label", '"label"'))
    (tmp_path / "in/dos.csv").write_bytes(b"\xef\xbb\xbf" + dos.encode())
    (tmp_path / "in/notes.txt").write_text("about")
    (tmp_path / "sub/plain.csv").write_bytes(text["sub/plain.csv"])
    report = ingest_sources(spark, [f"file://{tmp_path}/in", str(tmp_path / "sub/plain.csv")], f"file://{tmp_path}/out")
    assert (report.read, report.quarantined) == (180, 0)
    found = rows_of(spark, tmp_path / "out")
    assert len(found) == 180
    for name, table in rows.items():
        check_rows(found, {"plain.csv": "in/plain.csv"}.get(name, name), table)
    assert [path.rsplit("/", 1)[-1] for path in report.passed_over] == ["notes.txt"]


@pytest.fixture(scope="module")
def whole(spark, tmp_path_factory):
    """A table of 2,400 rows, ingested in as few blocks as there are cores."""
    folder = tmp_path_factory.mktemp("whole")
    rows = random_rows(7, 2400)
    path = write_table(folder / "letters.csv", rows)
    ingest_sources(spark, [path], str(folder / "out"))
    return path, rows, rows_of(spark, folder / "out")


def test_pixels_and_labels_equal_the_numbers_in_the_file(whole):
    _, rows, found = whole
    check_rows(found, "letters.csv", rows)


@pytest.mark.long
def test_many_blocks_change_no_row_number_and_no_split(spark, tmp_path, whole, monkeypatch):
    path, rows, found = whole
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "600000")
    monkeypatch.setattr(ingest_module, "LINES_IN_BATCH", 37)
    try:
        assert spark.read.text(path).rdd.getNumPartitions() > 8
        ingest_sources(spark, [path], str(tmp_path / "out"), split=SplitOptions())
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before)
    again = rows_of(spark, tmp_path / "out")
    check_rows(again, "letters.csv", rows)
    assert {row_id: row["split"] for row_id, row in again.items()} == {
        row_id: row["split"] for row_id, row in found.items()
    }
    assert spark.conf.get("spark.sql.files.minPartitionNum", None) is None


def test_blocks_of_a_label_are_contiguous_and_of_equal_size(whole):
    _, rows, found = whole
    for letter in set(LETTER_OF_NUMBER.values()):
        numbers = [number for number, row in enumerate(rows, 1) if LETTER_OF_NUMBER[row[0]] == letter]
        splits = [found[f"letters.csv:{number}"]["split"] for number in numbers]
        assert (splits.count(TEST), splits.count(VALIDATION)) == (10, 10)
        blocks = [set(splits[first : first + 10]) for first in range(0, 100, 10)]
        assert all(len(block) == 1 for block in blocks)


def test_pixel_tables_in_memory_give_the_same_rows_as_files(spark, tmp_path, whole):
    _, rows, _ = whole
    names = list(COLUMNS)
    numbers = spark.createDataFrame(pd.DataFrame(rows[:50].astype(float), columns=names))
    strings = spark.createDataFrame(pd.DataFrame(rows[50:90].astype(str), columns=names))
    report = ingest_sources(spark, [numbers, strings], str(tmp_path / "out"))
    assert (report.read, report.quarantined) == (90, 0)
    in_memory = rows_of(spark, tmp_path / "out")
    check_rows(in_memory, "dataframe-1", rows[:50])
    check_rows(in_memory, "dataframe-2", rows[50:90])


def test_a_separate_test_file_stays_separate(spark, tmp_path):
    mine = write_table(tmp_path / "mine.csv", random_rows(1, 480))
    theirs = write_table(tmp_path / "theirs.csv", random_rows(2, 20, labels=[0, 1]))
    report = ingest_sources(spark, [mine], str(tmp_path / "out"), test_sources=[theirs])
    assert report.sources["theirs.csv"] == {TEST: 20}
    assert report.sources["mine.csv"] == {TRAIN: 432, VALIDATION: 48}
    assert "separate sources (theirs.csv)" in report.split
    assert any(warning.startswith("test has no row of C, D") for warning in report.warnings)


def test_random_rows_are_warned_of_and_seeded(spark, tmp_path):
    path = write_table(tmp_path / "a.csv", random_rows(1, 240))
    options = SplitOptions(kind="random", validation=0.2, test=0.2)
    report = ingest_sources(spark, [path], str(tmp_path / "out"), split=options)
    assert any("near duplicates" in warning for warning in report.warnings)
    assert set(report.splits) == {TRAIN, VALIDATION, TEST}
    assert all(20 < report.splits[name] < 80 for name in (VALIDATION, TEST))


def samples_in_memory(spark, count=120):
    numbers = spark.range(count)
    number = F.col("id")
    picture = F.struct(
        F.lit(2).alias("height"),
        F.lit(2).alias("width"),
        F.lit(1).alias("channels"),
        F.encode(F.lpad(number.cast("string"), 4, "0"), "utf-8").alias("data"),
    )
    return numbers.select(
        F.concat(F.lit("drawn:"), F.lpad(number.cast("string"), 5, "0")).alias("id"),
        picture.alias("picture"),
        F.when(number % 2 == 0, "A").otherwise("B").alias("label"),
        F.concat(F.lit("drawn"), (number % 4).cast("string")).alias("source"),
        F.concat(F.lit("signer "), F.floor(number / 12).cast("string")).alias("signer"),
    )


@pytest.mark.parametrize("kind", ["block", "signer", "source", "random"])
def test_samples_in_memory_can_be_divided_in_every_way(spark, tmp_path, kind):
    options = SplitOptions(kind=kind, blocks=5, validation=0.2, test=0.2)
    frame = samples_in_memory(spark)
    report = ingest_sources(spark, [frame.repartition(3)], str(tmp_path / "out"), split=options)
    assert (report.read, report.kept) == (120, 120)
    found = rows_of(spark, tmp_path / "out")
    assert {row["split"] for row in found.values()} == {TRAIN, VALIDATION, TEST}
    assert bytes(found["drawn:00017"]["picture"]["data"]) == b"0017"
    if kind in ("signer", "source"):
        for group in {row[kind] for row in found.values()}:
            assert len({row["split"] for row in found.values() if row[kind] == group}) == 1
    if kind == "block":
        for source in {row["source"] for row in found.values()}:
            ids = sorted(row_id for row_id, row in found.items() if row["source"] == source)
            splits = [found[row_id]["split"] for row_id in ids]
            assert [len(set(splits[first : first + 6])) for first in range(0, 30, 6)] == [1] * 5
            assert (splits.count(TEST), splits.count(VALIDATION)) == (6, 6)


def test_bad_samples_in_memory_are_quarantined_beside_a_file(spark, tmp_path):
    frame = samples_in_memory(spark, 40)
    bad = (
        frame.where("id = 'drawn:00003'")
        .withColumn("label", F.lit("JJ"))
        .union(frame.where("id = 'drawn:00004'").withColumn("label", F.lit(None)))
        .union(frame.where("id = 'drawn:00005'").withColumn("picture", F.col("picture").withField("height", F.lit(3))))
    )
    good = frame.where("id not in ('drawn:00003', 'drawn:00004', 'drawn:00005')")
    path = write_table(tmp_path / "a.csv", random_rows(1, 240))
    report = ingest_sources(spark, [path, good.union(bad)], str(tmp_path / "out"), test_sources=[])
    assert (report.read, report.kept, report.quarantined) == (280, 277, 3)
    found = {row["reason"]: row["detail"] for row in quarantine_of(spark, tmp_path / "out")}
    assert found == {
        "unknown label": "drawn:00003: label is JJ",
        "empty": "drawn:00004: no label",
        "wrong picture size": "drawn:00005: bytes, height, width, channels: 4 3 2 1",
    }


def cut(data):
    return data[: len(data) // 2]


def damaged(data):
    return data[:20000] + bytes(500) + data[20500:]


def without_last_block(data):
    """Cut bzip2 data just before its last block, so that every block that is left is whole."""
    bits = bin(int.from_bytes(data, "big"))[2:].zfill(8 * len(data))
    return data[: bits.rindex(f"{0x314159265359:048b}") // 8]


GOOD = as_text(random_rows(3, 40))
UNUSABLE = {
    "nothing there": (None, "a.csv", "does not exist: name a pixel table"),
    "an empty file": (b"", "a.csv", "is empty"),
    "an empty gzip": (gzip.compress(b""), "a.csv.gz", "is empty"),
    "no header": (GOOD.split("\n", 1)[1].encode(), "a.csv", "has no header: it starts with '0,"),
    "a missing column": (GOOD.replace(",pixel784", "").encode(), "a.csv", "lacks pixel784:"),
    "many missing": (b"label,pixel1\n3,4\n", "a.csv", "lacks pixel2, pixel3, pixel4 and 780 more"),
    "another order": (GOOD.replace("pixel1,pixel2,", "pixel2,pixel1,").encode(), "a.csv", "in another order"),
    "extra columns": (GOOD.replace("pixel784", "pixel784,when").encode(), "a.csv", "other columns too, when"),
    "only a header": ((HEADER + "\n").encode(), "a.csv", "a header and no rows"),
    "text": (
        (HEADER + "\nmy,hand\nyour,hand\n\n").encode(),
        "a.csv",
        "none of 3 rows can be used (2 wrong column count, first a.csv row 1: 2 columns",
    ),
    "gzip cut short": (cut(gzip.compress(GOOD.encode())), "a.csv.gz", "is cut short"),
    "gzip cut in its header": (gzip.compress(GOOD.encode())[:5], "a.csv.gz", "is cut short"),
    "bzip2 cut short": (cut(bz2.compress(GOOD.encode() * 40, 1)), "a.csv.bz2", "is cut short"),
    "bzip2 without its last block": (without_last_block(bz2.compress(GOOD.encode(), 1)), "a.csv.bz2", "cut short"),
    "bzip2 without its last bytes": (bz2.compress(GOOD.encode())[:-4], "a.csv.bz2", "is cut short"),
    "damaged gzip": (damaged(gzip.compress(GOOD.encode())), "a.csv.gz", "cannot be read"),
    "not gzip": (GOOD.encode(), "a.csv.gz", "cannot be read"),
    "not bzip2": (GOOD.encode(), "a.csv.bz2", "cannot be read"),
    "raw deflate": (zlib.compress(GOOD.encode()), "a.csv.gz", "cannot be read"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_file_is_one_line_that_names_it_and_leaves_nothing(spark, tmp_path, kind):
    data, name, words = UNUSABLE[kind]
    (tmp_path / "in").mkdir()
    if data is not None:
        (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises(AslsparkError) as caught:
        aslspark.ingest(spark, str(tmp_path / "in" / name), str(tmp_path / "out"))
    message = str(caught.value)
    assert name in message
    assert words in message
    assert "\n" not in message
    kept = ["out.quarantine"] if "none of" in words else []  # the rows that were read, with their reasons
    assert sorted(os.listdir(tmp_path)) == ["in", *kept]


def test_a_folder_without_tables_is_an_error(spark, tmp_path):
    (tmp_path / "in/train").mkdir(parents=True)
    with pytest.raises(AslsparkError, match=r"no file that ends in .csv.*it has train"):
        ingest_sources(spark, [str(tmp_path / "in")], str(tmp_path / "out"))


def test_a_file_named_twice_is_an_error(spark, tmp_path):
    (tmp_path / "in").mkdir()
    path = write_table(tmp_path / "in/a.csv", random_rows(1, 10))
    with pytest.raises(AslsparkError, match=r"a\.csv is named twice"):
        ingest_sources(spark, [path], str(tmp_path / "out"), test_sources=[str(tmp_path / "in")])


def test_a_hidden_file_that_spark_passes_over_is_an_error(spark, tmp_path):
    path = write_table(tmp_path / "_a.csv", random_rows(1, 10))
    with pytest.raises(AslsparkError, match=r"_a\.csv is passed over by Spark"):
        ingest_sources(spark, [path], str(tmp_path / "out"))


def test_out_is_never_overwritten_and_never_inside_a_source(spark, tmp_path):
    (tmp_path / "in").mkdir()
    path = write_table(tmp_path / "in/a.csv", random_rows(1, 10))
    with pytest.raises(AslsparkError, match=r"in exists already.*choose another, or remove it"):
        ingest_sources(spark, [path], str(tmp_path / "in"))
    with pytest.raises(AslsparkError, match=r"out .*new lies inside source"):
        ingest_sources(spark, [str(tmp_path / "in")], str(tmp_path / "in/new"))
    assert os.listdir(tmp_path / "in") == ["a.csv"]


@pytest.mark.parametrize("kind", ["signer", "source"])
def test_a_split_that_cannot_be_made_leaves_nothing(spark, tmp_path, kind):
    path = write_table(tmp_path / "a.csv", random_rows(1, 10))
    with pytest.raises(AslsparkError, match="name no signer" if kind == "signer" else r"has 1 source"):
        ingest_sources(spark, [path], str(tmp_path / "out"), split=SplitOptions(kind=kind))
    assert os.listdir(tmp_path) == ["a.csv"]


def test_an_interrupt_leaves_nothing(spark, tmp_path):
    path = write_table(tmp_path / "a.csv", random_rows(1, 10))

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whenever(HadoopFiles.write, ENTERED, interrupt):
        ingest_sources(spark, [path], str(tmp_path / "out"))
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_file_that_changes_between_the_passes_is_an_error(spark, tmp_path):
    path = write_table(tmp_path / "a.csv", random_rows(1, 40))

    def change(_):
        write_table(tmp_path / "a.csv", random_rows(1, 39))

    changed = pytest.raises(AslsparkError, match=r"a.csv changed while it was being read")
    with changed, whenever(planned_rows, ENTERED, change):
        ingest_sources(spark, [path], str(tmp_path / "out"))
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop("signer"), "dataframe-1: signer missing"),
        (lambda frame: frame.withColumn("split", F.lit("train")), "dataframe-1: split missing, of another type or not"),
        (lambda frame: frame.select(F.col("label")), "dataframe-1 lacks pixel1, pixel2, pixel3 and 781 more"),
        (lambda frame: frame.union(frame), r"dataframe-1: [\d,]+ rows have the id of another row, such as "),
    ],
)
def test_a_table_in_memory_that_does_not_fit_is_an_error(spark, tmp_path, change, words):
    with pytest.raises(AslsparkError, match=words):
        ingest_sources(spark, [change(samples_in_memory(spark))], str(tmp_path / "out"))
    assert os.listdir(tmp_path) == []


def test_files_of_one_name_are_told_apart_by_their_folders():
    assert short_names(["file:/x/a/t.csv", "file:/y/a/t.csv", "file:/y/b/u.csv"]) == ["x/a/t.csv", "y/a/t.csv", "u.csv"]


@pytest.mark.parametrize(("name", "rows"), [("webcam_letters.csv", 6559), ("sign_mnist_head.csv", 688)])
def test_tables_of_real_hands_are_kept_whole(spark, real_data, tmp_path, name, rows):
    report = ingest_sources(spark, [str(real_data / "pixels" / name)], str(tmp_path / "out"))
    assert (report.read, report.kept, report.quarantined) == (rows, rows, 0)
    assert len(report.labels) == 24

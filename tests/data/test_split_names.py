"""Files and folders that are called train, test and the like, and rows that stand on both sides."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from aslspark.data.exact_duplicates import ExactDuplicates
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.listing import ListedFile, labelled_by_folder, labelled_by_row, with_named_splits
from aslspark.data.pictures.manifest import ManifestRow
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import TEST, TRAIN, VALIDATION, read_samples
from aslspark.data.split_names import split_of_name
from aslspark.data.splits import SplitOptions

SPLIT = SplitOptions(validation=0.0, blocks=5)
HEADER = ",".join(["label", *(f"pixel{number}" for number in range(1, 785))])


def write_table(path, seed, rows=40):
    """A pixel table of the letters A and B, whose pixels no other seed has."""
    noise = np.random.default_rng(seed)
    lines = [f"{number % 2}," + ",".join(map(str, noise.integers(0, 255, 784))) for number in range(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def write_pictures(folder, seed, count=6):
    noise = np.random.default_rng(seed)
    for letter in "AB":
        (folder / letter).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(noise.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / letter / f"{number}.png")


def splits_by_source(spark, out):
    rows = read_samples(spark, out).groupBy("source").pivot("split").count().na.fill(0).collect()
    return {
        row["source"]: {name: count for name, count in row.asDict().items() if name != "source" and count}
        for row in rows
    }


@pytest.mark.promise(
    "tested",
    "A file or folder is taken for test or validation by a whole word of its name, in any spelling.",
    kind="test data are taken for training data",
)
@pytest.mark.parametrize(
    ("names", "split"),
    [
        ("test Test TEST asl_alphabet_test sign_mnist_test.csv Test_Alphabet testSet test2 X-testing testset", TEST),
        ("holdout hold_out HoldOut held-out heldout eval Evaluation test.csv.gz 2024test testData", TEST),
        ("val valid Validation dev my.val.csv valSet", VALIDATION),
        ("train training Train_Alphabet trainData sign_mnist_train.csv TRAIN", TRAIN),
        ("latest contest Testa attestation invalid A del space nothing retrain device trained data set", None),
        ("train_test train+val test_of_training", None),
    ],
)
def test_a_whole_word_of_a_name_says_the_split(names, split):
    assert {name: split_of_name(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def folders_of(*names, labels=None):
    files = [ListedFile(f"/d/{name}", name, 10) for name in names]
    found, _ = labelled_by_folder(files, PictureOptions(labels=labels or {}))
    return {picture.name: picture.split for picture in found}


@pytest.mark.promise(
    "tested",
    "Of several folders that say a split, the one nearest to the label's decides; the label's own never.",
    kind="test data are taken for training data",
)
def test_the_folder_nearest_to_the_label_decides_and_the_label_itself_never():
    assert folders_of("test_data/train/A/1.png", "test_data/test/A/2.png", "test_data/more/A/3.png") == {
        "test_data/train/A/1.png": TRAIN,
        "test_data/test/A/2.png": TEST,
        "test_data/more/A/3.png": TEST,
    }
    assert folders_of("train/A/test_hand/1.png", "A/test/2.png") == {
        "train/A/test_hand/1.png": TRAIN,
        "A/test/2.png": TEST,
    }
    assert folders_of("train/test/1.png", "train/A/2.png", labels={"test": "B"}) == {
        "train/test/1.png": TRAIN,
        "train/A/2.png": TRAIN,
    }


def test_names_of_pictures_decide_where_each_of_them_says_a_split():
    assert folders_of("A/test_1.png", "A/train_1.png") == {"A/test_1.png": TEST, "A/train_1.png": TRAIN}
    assert folders_of("A/test_1.png", "A/hand_1.png") == {"A/test_1.png": None, "A/hand_1.png": None}


@pytest.mark.promise(
    "tested",
    "Where a manifest gives some rows a split, the names of folders say those of the others.",
    kind="test rows are learned from beside a row that says its split",
)
def test_a_row_without_a_split_goes_by_its_folder_whatever_other_rows_say():
    rows = [("test/A/1.jpg", ""), ("val/A/2.jpg", ""), ("A/3.jpg", ""), ("test/A/4.jpg", "train"), ("A/5.jpg", "nope")]
    pictures = [
        labelled_by_row(ListedFile(path, path, 9), ManifestRow(number, path, "A", "", split), PictureOptions())
        for number, (path, split) in enumerate(rows, 1)
    ]
    splits = [picture.split for picture in with_named_splits(pictures, PictureOptions())]
    assert splits == [TEST, VALIDATION, None, TRAIN, None]


@pytest.mark.promise(
    "tested",
    "Of tables in a folder, those called test are tested on, and the report says that they were taken so.",
    kind="test data are taken for training data",
)
def test_a_table_called_test_is_tested_on_and_the_report_says_so(spark, tmp_path):
    write_table(tmp_path / "d" / "letters_train.csv", 1)
    write_table(tmp_path / "d" / "lettersTest.csv", 2, 20)
    write_table(tmp_path / "d" / "dev.csv", 3, 10)
    report = ingest_sources(spark, [str(tmp_path / "d")], str(tmp_path / "out"), split=SplitOptions(blocks=5))
    assert splits_by_source(spark, report.out) == {
        "letters_train.csv": {TRAIN: 40},
        "lettersTest.csv": {TEST: 20},
        "dev.csv": {VALIDATION: 10},
    }
    assert "Taken as they are called: dev.csv (validation), lettersTest.csv (test)." in report.split
    assert report.test_sources == ["lettersTest.csv"]
    of_pattern = ingest_sources(
        spark, [str(tmp_path / "d" / "letters*.csv")], str(tmp_path / "of-pattern"), split=SPLIT
    )
    assert of_pattern.test_sources == ["lettersTest.csv"]


@pytest.mark.promise(
    "tested",
    "A file that is named as a source, though it is called test, is learned from, and a warning says so.",
    kind="test data are taken for training data",
)
def test_what_is_named_itself_is_taken_as_it_was_named_and_a_warning_says_so(spark, tmp_path):
    paths = [
        str(write_table(tmp_path / "test" / f"letters_{name}.csv", seed)) for seed, name in ((1, "train"), (2, "test"))
    ]
    report = ingest_sources(spark, paths, str(tmp_path / "out"), split=SPLIT)
    assert {source: set(splits) for source, splits in splits_by_source(spark, report.out).items()} == {
        "letters_train.csv": {TRAIN, TEST},
        "letters_test.csv": {TRAIN, TEST},
    }
    assert [warning for warning in report.warnings if "letters_test.csv is called test" in warning]
    assert not [warning for warning in report.warnings if "letters_train.csv is called" in warning]
    alone = ingest_sources(spark, paths[1:], str(tmp_path / "alone"), split=SPLIT)
    assert alone.warnings == []


@pytest.mark.promise(
    "tested",
    "A source in which all is called test can be divided and learned from when nothing else is there, and the report "
    "says that its name was not gone by.",
    kind="test data are taken for training data",
)
def test_test_data_alone_are_divided_and_beside_others_they_are_test(spark, tmp_path):
    write_pictures(tmp_path / "asl_train", 1)
    write_pictures(tmp_path / "asl_test" / "asl_test", 2, 5)
    options = PictureOptions()
    alone = ingest_sources(spark, [str(tmp_path / "asl_test")], str(tmp_path / "alone"), split=SPLIT, pictures=options)
    assert alone.splits == {TRAIN: 8, TEST: 2}
    assert alone.test_sources == []
    assert any(
        "nothing would be left to learn from" in warning and "asl_test (test)" in warning for warning in alone.warnings
    )
    both = [str(tmp_path / name) for name in ("asl_train", "asl_test")]
    beside = ingest_sources(spark, both, str(tmp_path / "beside"), split=SPLIT, pictures=options)
    assert splits_by_source(spark, beside.out) == {"asl_train": {TRAIN: 12}, "asl_test": {TEST: 10}}


@pytest.mark.promise(
    "tested",
    "Folders called test are tested on in folders, zips, manifests and tables of picture files alike.",
    kind="test data are taken for training data",
)
def test_zips_manifests_and_tables_go_by_the_same_names(spark, tmp_path):
    source = tmp_path / "test_run" / "hands"
    write_pictures(source / "Training", 1)
    write_pictures(source / "HoldOut", 2, 2)
    files = sorted(source.rglob("*.png"))
    with zipfile.ZipFile(tmp_path / "hands.zip", "w") as archive:
        for file in files:
            archive.write(file, file.relative_to(source).as_posix())
    rows = [f"{file},{file.parent.name}" for file in files]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    table = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(source))
    ways = [str(source), str(tmp_path / "hands.zip"), str(tmp_path / "list.csv"), table]
    report = ingest_sources(spark, ways, str(tmp_path / "out"), split=SPLIT, pictures=PictureOptions())
    found = splits_by_source(spark, report.out)
    assert list(found.values()) == [{TRAIN: 12, TEST: 4}] * 4
    said = json.loads((tmp_path / "out" / "ingest.json").read_text())
    assert said["test_sources"] == sorted(found)
    assert said["exact_duplicates"]["test"] == 0


@pytest.mark.promise(
    "tested",
    "Rows that stand byte for byte on both sides of the split are counted and warned of: of tables, samples in memory "
    "and pictures alike.",
    kind="the same row is learned from and tested on",
)
@pytest.mark.parametrize("kind", ["tables", "samples", "pictures"])
def test_rows_on_both_sides_are_counted_and_warned_of(spark, tmp_path, kind):
    if kind == "pictures":
        write_pictures(tmp_path / "all", 1)
        shutil.copytree(tmp_path / "all" / "A", tmp_path / "again" / "A")
        sources, again, rows = [str(tmp_path / "all")], [str(tmp_path / "again")], 6
    else:
        whole = write_table(tmp_path / "all.csv", 1)
        lines = whole.read_text().splitlines()
        (tmp_path / "again.csv").write_text("\n".join([HEADER, *lines[1:9]]) + "\n")
        sources, again, rows = [str(whole)], [str(tmp_path / "again.csv")], 8
    if kind == "samples":
        ingest_sources(spark, sources, str(tmp_path / "made"), split=SplitOptions(validation=0.0, test=0.0))
        samples = read_samples(spark, str(tmp_path / "made")).drop("split")
        again = [
            samples.where("cast(split(id, ':')[1] as int) <= 8").selectExpr(
                "concat('x', id) id", "picture", "label", "'x' source", "signer"
            )
        ]
        sources = [samples]
    report = ingest_sources(
        spark, sources, str(tmp_path / "out"), test_sources=again, split=SPLIT, pictures=PictureOptions()
    )
    found = report.exact_duplicates
    assert (found["test"], found["others"], found["validation"]) == (rows, rows, 0)
    assert (
        len([warning for warning in report.warnings if f"{rows} test rows are, byte for byte, among" in warning]) == 1
    )
    ids = {row["id"]: row["split"] for row in read_samples(spark, report.out).select("id", "split").collect()}
    assert [ids[name] for name in found["first"]] == [TEST, TRAIN]


def test_what_was_not_found_is_not_warned_of_and_validation_has_words_of_its_own():
    assert ExactDuplicates(0, 0, 0).warnings() == []
    assert ExactDuplicates(0, 0, 3).warnings() == [
        "3 validation rows are, byte for byte, among those of train: the best epoch is chosen by what was learned"
    ]


@pytest.mark.promise(
    "tested",
    "Of Kaggle's sign-language-mnist as unpacked, the test table is tested on.",
    kind="test data are taken for training data",
)
def test_case_kaggle_sign_mnist(spark, cases, tmp_path):
    report = ingest_sources(spark, [str(cases / "kaggle_sign_mnist" / "d")], str(tmp_path / "out"))
    found = splits_by_source(spark, report.out)
    assert set(found["sign_mnist_test.csv"]) == {TEST}
    assert set(found["sign_mnist_train.csv"]) == {TRAIN, VALIDATION}
    assert "sign_mnist_test.csv (test)" in str(report)


@pytest.mark.promise(
    "tested",
    "Test rows that stand in the training table are warned of.",
    kind="the same row is learned from and tested on",
)
def test_case_test_in_train(spark, cases, tmp_path):
    folder = cases / "test_in_train"
    report = ingest_sources(
        spark, [str(folder / "all.csv")], str(tmp_path / "out"), test_sources=[str(folder / "test.csv")]
    )
    assert report.exact_duplicates["test"] == 80
    assert "warning: 80 test rows are, byte for byte, among those of train and validation too (80 there)" in str(report)


@pytest.mark.promise(
    "tested",
    "Folders called Train_Alphabet and Test_Alphabet are train and test.",
    kind="test data are taken for training data",
)
def test_case_train_test_names(spark, cases, tmp_path):
    source = cases / "train_test_names" / "d"
    report = ingest_sources(spark, [str(source)], str(tmp_path / "out"), pictures=PictureOptions())
    for row in read_samples(spark, report.out).select("id", "split").collect():
        in_test = any(split_of_name(part) == TEST for part in row["id"].split("/"))
        assert (row["split"] == TEST) == in_test
    assert report.splits[TEST] == len(list(source.glob("*/*/*.jpg"))) - report.splits[TRAIN] - report.splits[VALIDATION]
    assert "(test)" in report.split


@pytest.mark.promise(
    "tested",
    "Of Kaggle's asl-alphabet as unpacked, the training pictures are kept and the flat test ones named.",
    kind="test data are taken for training data",
)
def test_case_asl_nested(spark, cases, tmp_path):
    report = ingest_sources(spark, [str(cases / "asl_nested" / "d")], str(tmp_path / "out"), pictures=PictureOptions())
    assert report.kept == 20
    assert set(report.splits) == {TRAIN, VALIDATION, TEST}
    assert [line for line in report.passed_over if "asl_alphabet_test" in line and "5 pictures" in line]

"""Inputs that people bring: of each, what is there is read, or named with a reason, by ingest and scoring alike."""

import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from bad_input import good_pictures

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import PictureConfig
from aslspark.data.discover_sources import open_sources
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.samples import read_samples
from aslspark.scoring.unlabelled import rows_to_score

ROOT = Path(__file__).resolve().parents[2]

PICTURES = {
    "asl_nested": ("d", 20, 0, 25),
    "colon_in_name": ("hands", 4, 0, 4),
    "depth_beside_colour": ("dataset5", 20, 20, 40),
    "locale": ("Hände", 60, 0, 60),
    "manifest_backslashes": ("hands", 20, 0, 20),
    "manifest_beside_table": ("hands", 15, 0, 20),
    "manifest_filename": ("hands", 20, 0, 20),
    "manifest_semicolons": ("hands", 20, 0, 20),
    "manifest_twice": ("hands", 20, 1, 20),
    "odd_names": ("50% Hände #1", 15, 0, 15),
    "other_endings": ("hands", 35, 5, 40),
    "stray_csv": ("hands", 20, 0, 20),
    "two_manifests": ("hands", 20, 0, 20),
}
"""The folder, pictures kept and quarantined by ingest, and rows to score."""

TABLES = {"folder_upper_csv": ("d", 40), "locale_some_tables": ("csvs", 80), "upper_ending": ("LETTERS.CSV", 40)}

PASSED_OVER = {
    "asl_nested": "asl_alphabet_test/asl_alphabet_test: 5 pictures, the name is no label",
    "manifest_beside_table": "letters.csv: a pixel table beside a manifest",
    "other_endings": "10 files that do not end in",
    "stray_csv": "notes.csv: neither a manifest nor a pixel table",
}


@pytest.fixture(scope="module")
def at(cases, tmp_path_factory):
    """Where a case lies: those with names that not every file system takes are in zips."""
    unpacked = tmp_path_factory.mktemp("cases")

    def path(name, inner):
        if (cases / name).exists():
            return str(cases / name / inner)
        if not (unpacked / name).exists():
            zipfile.ZipFile(cases / f"{name}.zip").extractall(unpacked)
        return str(unpacked / name / inner)

    return path


@pytest.fixture(scope="module")
def small(spark):
    return picture_options(spark, PictureConfig(size=16))


@pytest.fixture(scope="module")
def ingested_cases(spark, at, small, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "pictures"
    paths = [at(name, inner) for name, (inner, *_) in PICTURES.items()]
    return ingest_sources(spark, paths, str(out), pictures=small), out


@pytest.mark.promise(
    "books",
    "Every picture that lies in a source is kept, or stands in the quarantine or among what was passed over.",
    kind="what is there is measured by what one listing happened to find",
)
@pytest.mark.parametrize("name", PICTURES)
def test_ingest_answers_for_every_picture_of_a_case(ingested_cases, name):
    report, _ = ingested_cases
    inner, kept, quarantined, _ = PICTURES[name]
    counts = Counter()
    for source, splits in report.sources.items():
        # Of several manifests, each is a source.
        several = name == "two_manifests" and source in ("train.csv", "test.csv")
        if several or f"{name}/{inner}" in source or (source == inner and inner != "hands"):
            for split, rows in splits.items():
                counts["quarantined" if split == "quarantine" else "kept"] += rows
    assert (counts["kept"], counts["quarantined"]) == (kept, quarantined)
    if name in PASSED_OVER:
        assert any(name in line and PASSED_OVER[name] in line for line in report.passed_over)


def test_what_is_quarantined_of_the_cases_has_a_reason_that_fits(spark, ingested_cases):
    report, out = ingested_cases
    rows = spark.read.parquet(f"{out}/quarantine").collect()
    assert Counter(row["reason"] for row in rows) == {"depth picture": 20, "format not read": 5, "named twice": 1}
    assert report.read == report.kept + report.quarantined
    assert read_samples(spark, str(out)).count() == report.kept
    tests = [row["split"] for row in read_samples(spark, str(out)).where("source = 'test.csv'").collect()]
    assert tests == ["test"] * 5  # as the manifest's own name says


@pytest.mark.promise(
    "books",
    "Scoring a path gives one row for every picture that lies there, with a letter or a reason.",
    kind="what is there is measured by what one listing happened to find",
)
def test_scoring_gives_a_row_for_every_picture_of_the_cases(spark, at, caplog):
    with caplog.at_level("INFO", "aslspark"):
        rows, column = rows_to_score(spark, [at(name, inner) for name, (inner, *_) in PICTURES.items()])
    found = rows.selectExpr("path", "label", "unread", f"{column} is null as empty").collect()
    for name, (inner, _, _, wanted) in PICTURES.items():
        mine = [row for row in found if f"/{name}/{inner}/" in row["path"]]
        assert (name, len(mine)) == (name, wanted)
    assert all(row["empty"] == (row["unread"] is not None) for row in found)
    assert Counter(row["unread"] for row in found if row["unread"]) == {
        "format not read: save it as JPEG or PNG": 5,
    }
    assert "notes.csv: neither a manifest nor a pixel table" in caplog.text
    assert "letters.csv: a pixel table beside a manifest" in caplog.text
    assert "10 files that are no pictures by their endings" in caplog.text


def test_tables_are_known_by_their_endings_in_any_case_and_in_any_language(spark, at, tmp_path):
    paths = [at(name, inner) for name, (inner, _) in TABLES.items()]
    report = ingest_sources(spark, paths, str(tmp_path / "out"))
    assert (report.read, report.kept) == (160, 160)
    rows, _ = rows_to_score(spark, paths)
    assert rows.count() == 160


def test_one_picture_is_scored_by_its_own_path(spark, at):
    rows, column = rows_to_score(spark, [at("one_picture_file", "7.jpeg")])
    (row,) = rows.collect()
    assert len(row[column]) > 1000
    assert row["label"] is None
    with pytest.raises(AslsparkError, match=r"7\.jpeg is one picture: name a folder"):
        open_sources(spark, [at("one_picture_file", "7.jpeg")], [], "/nowhere", picture_options(spark, PictureConfig()))


def test_a_zip_from_windows_gives_all_its_pictures(spark, at, small, tmp_path):
    report = ingest_sources(spark, [at("zip_backslashes", "hands.zip")], str(tmp_path / "out"), pictures=small)
    assert (report.read, report.kept) == (15, 15)
    assert set(report.labels) == set("ABCLY")


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("kaggle_zip", "archive.zip", r"holds tables \('sign_mnist_test\.csv' and 3 more\): unpack it"),
        ("hf_parquet", "train-00000-of-00001.parquet", r"is Parquet: .*path \(string\), content.*image\.bytes"),
    ],
)
def test_what_ingest_cannot_take_is_refused_with_what_to_do(spark, at, small, name, file, words):
    with pytest.raises(AslsparkError, match=words):
        open_sources(spark, [at(name, file)], [], "/nowhere", small)


PROGRAM = """
import json, sys
from aslspark.common.settings import PictureConfig
from aslspark.common.errors import AslsparkError
from aslspark.cli.jobs_support import start_logging
from aslspark.common.spark_session import spark_session
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.scoring.unlabelled import rows_to_score

start_logging()
pictures, tables, out = sys.argv[1:]
with spark_session("test") as spark:
    report = ingest_sources(spark, [pictures], out + "/a", pictures=picture_options(spark, PictureConfig(size=16)))
    print("PICTURES", report.read, report.kept, flush=True)
    report = ingest_sources(spark, [tables], out + "/b")
    print("TABLES", report.read, report.kept, json.dumps(report.passed_over), flush=True)
    print("SCORED", rows_to_score(spark, [pictures])[0].count(), rows_to_score(spark, [tables])[0].count(), flush=True)
    for given in (tables + "/\\u00fcbung.csv", "/nowhere/H??nde"):
        try:
            ingest_sources(spark, [given], out + "/c")
        except AslsparkError as error:
            print("REFUSED", error, flush=True)
    try:
        ingest_sources(spark, [tables], out + "/\\u00fc")
    except AslsparkError as error:
        print("REFUSED", error, flush=True)
"""


def table(path, rows, first=0):
    head = "label," + ",".join(f"pixel{n}" for n in range(1, 785))
    lines = [f"{n % 24 if n % 24 != 9 else 10}," + ",".join(["7"] * 784) for n in range(first, first + rows)]
    path.write_text("\n".join([head, *lines]) + "\n")


@pytest.mark.slow
@pytest.mark.promise(
    "books",
    "In a locale without UTF-8 every picture is read all the same, and tables that Spark cannot open are named.",
    kind="the JVM drops names that its locale cannot spell",
)
@pytest.mark.long
def test_under_a_posix_locale_pictures_are_all_read_and_tables_named(tmp_path):
    jpeg = good_pictures()["jpeg"]
    for folder in ("A", "B"):
        (tmp_path / "hands" / folder).mkdir(parents=True)
        for name in ("ä.jpg", "plain.jpg", "手.jpg", "a:b.jpg"):
            (tmp_path / "hands" / folder / name).write_bytes(jpeg)
    Path(os.fsdecode(os.fsencode(tmp_path / "hands" / "A") + b"/\xe4.jpg")).write_bytes(jpeg)
    (tmp_path / "csvs").mkdir()
    table(tmp_path / "csvs" / "a.csv", 30)
    table(tmp_path / "csvs" / "übung.csv", 30)
    (tmp_path / "out").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [str(tmp_path / name) for name in ("program.py", "hands", "csvs", "out")]
    spark_submit = Path(sys.executable).with_name("spark-submit")
    environment = {**os.environ, "LC_ALL": "POSIX", "PYTHONPATH": str(ROOT), "SPARK_CONF_DIR": str(tmp_path)}
    ran = subprocess.run(
        [str(spark_submit), "--master", "local[1]", "--conf", "spark.ui.enabled=false", *words],
        env=environment,
        capture_output=True,
        check=False,
    )
    said = ran.stdout.decode("utf-8", "replace")
    assert ran.returncode == 0, said + ran.stderr.decode("utf-8", "replace")[-3000:]
    assert said.count("warning: Spark's JVM was started in a locale that knows ANSI_X3.4-1968 alone") == 1
    assert "PICTURES 9 9\n" in said
    assert "SCORED 9 30\n" in said
    tables = next(line for line in said.splitlines() if line.startswith("TABLES"))
    assert tables.startswith("TABLES 30 30 ")
    (passed,) = json.loads(tables.split(" ", 3)[3])
    assert "übung.csv: Spark's JVM cannot open this name" in passed
    refused = [line for line in said.splitlines() if line.startswith("REFUSED")]
    assert len(refused) == 3
    assert all("LC_ALL=C.UTF-8" in line for line in refused)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


def test_a_job_that_starts_the_jvm_itself_starts_it_in_utf8():
    program = (
        "import os; from aslspark.common.spark_session import _encode_file_names_in_utf8 as f; f(); "
        "print(os.environ['LC_ALL'])"
    )
    environment = {**os.environ, "LC_ALL": "POSIX", "PYTHONPATH": str(ROOT)}
    environment.pop("PYSPARK_GATEWAY_PORT", None)
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "C.UTF-8\n"

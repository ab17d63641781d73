"""One row of a manifest, one row of a table, one file among others: each is answered for, and ends no job."""

import os

import pytest
from bad_input import as_file
from PIL import Image
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import PictureConfig
from aslspark.data.discover_sources import open_sources
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.manifest import parse_manifest
from aslspark.data.pictures.options import picture_options
from aslspark.scoring.unlabelled import rows_to_score

SECRET = b"root:x:0:0:a secret line"


def jpeg(shade):
    return as_file(Image.new("RGB", (20, 20), (shade, 200 - shade, shade // 2)), "JPEG")


def sparse(path, length):
    with open(path, "wb") as file:
        file.truncate(length)


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """A manifest with every odd row, beside good ones, and with files too large to read."""
    folder = tmp_path_factory.mktemp("odd") / "hands"
    (folder / "img").mkdir(parents=True)
    other = folder.parent / "other"
    other.mkdir()
    for number in range(8):
        (folder / "img" / f"{number}.jpg").write_bytes(jpeg(20 * number))
    (other / "outside.jpg").write_bytes(jpeg(190))
    (other / "secret").write_bytes(SECRET)
    (folder / "img" / "link.jpg").symlink_to(other / "outside.jpg")
    (folder / "img" / "secret.jpg").symlink_to(other / "secret")
    (folder / "img" / "inside.jpg").symlink_to("7.jpg")
    (folder / "img" / "text.jpg").write_bytes(SECRET)
    sparse(folder / "img" / "large.jpg", 1_900_000_000)
    sparse(folder / "img" / "larger.jpg", 3 << 30)
    return folder


ROWS = {
    **{f"img/{number}.jpg": None for number in range(6)},
    "img\\6.jpg": None,
    "img/inside.jpg": None,
    "img/7.jpg": "named twice",  # inside.jpg leads to it
    "http://localhost:1/a.jpg": "outside of its folder",
    "nosuch://bucket/a.jpg": "outside of its folder",
    "s3a://bucket/a.jpg": "outside of its folder",
    "//host/share/a.jpg": "outside of its folder",
    "/etc/passwd": "outside of its folder",
    "../other/secret": "outside of its folder",
    "img/secret.jpg": "outside of its folder",
    "img/link.jpg": "outside of its folder",
    "img//0.jpg": "named twice",
    "./img/../img/1.jpg": "named twice",
    "img/text.jpg": "not a picture",
    "img/large.jpg": "too large a file",
    "img/larger.jpg": "too large a file",
    "img/gone.jpg": "missing",
    "img": "unreadable",
    "C:\\hands\\a.jpg": "outside of its folder",
    "": "missing",
    "a\0b.jpg": "missing",
}
"""What each path of the manifest comes to."""


def manifest_of(folder):
    lines = ["path,label", *(f"{path},{'AB'[place % 2]}" for place, path in enumerate(ROWS))]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return str(folder / "manifest.csv")


@pytest.mark.promise(
    "input",
    "A manifest's row that is an address, lies elsewhere, stands twice or cannot be read is quarantined alone.",
    kind="one row raises for the whole manifest",
)
@pytest.mark.promise(
    "input",
    "A file of gigabytes among pictures is quarantined unread.",
    kind="Spark reads, or refuses, a file by its length before anybody asks for its bytes",
)
@pytest.mark.promise(
    "input",
    "A manifest names files below its own folder and pictures.roots alone, and no reason quotes what a file holds.",
    kind="a path from others is followed wherever it leads",
)
def test_each_row_of_a_manifest_is_kept_or_quarantined_for_itself(spark, hands, tmp_path):
    source = manifest_of(hands)
    report = ingest_sources(
        spark, [source], str(tmp_path / "out"), pictures=picture_options(spark, PictureConfig(size=16))
    )
    rows = spark.read.parquet(f"{tmp_path}/out/quarantine").collect()
    wanted = [(name, reason) for name, reason in ROWS.items() if reason is not None]
    assert sorted((row["detail"].split(": ")[0], row["reason"]) for row in rows) == sorted(wanted)
    assert (report.read, report.kept) == (len(ROWS), len(ROWS) - len(wanted))
    assert "secret line" not in "".join(row["detail"] for row in rows)
    assert "root:" not in str(report)
    rooted = picture_options(spark, PictureConfig(size=16, roots=str(hands.parent / "other")))
    pictures = open_sources(spark, [source], [], str(tmp_path / "no"), rooted).pictures["manifest.csv"].pictures
    assert [picture.reason for picture in pictures if picture.name == "img/link.jpg"] == [None]


@pytest.mark.long
def test_scoring_reads_a_folder_with_such_a_manifest_and_files_of_gigabytes(spark, hands):
    manifest_of(hands)
    rows, _ = rows_to_score(spark, [str(hands)])
    found = {row["path"].rpartition("/")[2]: row["unread"] for row in rows.collect()}
    assert {name for name, unread in found.items() if unread is None} >= {f"{number}.jpg" for number in range(8)}
    assert found["larger.jpg"] == "too large a file: 3,221,225,472 bytes, more than 67,108,864"
    assert "missing" in found["gone.jpg"]
    assert "outside of its folder" in found["passwd"]


def test_roots_that_are_no_folders_are_named(spark, tmp_path):
    with pytest.raises(AslsparkError, match=r"pictures\.roots=/nowhere: there is no folder /nowhere"):
        picture_options(spark, PictureConfig(roots="/nowhere"))


@pytest.mark.promise(
    "books",
    "A label comes from a folder below the path that was given, never from the folders that lead to it.",
    kind="the whole path is searched for a folder called like a label",
)
def test_folders_above_the_source_are_no_labels(spark, tmp_path):
    folder = tmp_path / "c" / "hands"
    for name in ("A", "unsorted"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.jpg").write_bytes(jpeg(10))
    (folder / "1.jpg").write_bytes(jpeg(90))
    rows, _ = rows_to_score(spark, [str(folder)])
    labels = {row["path"].removeprefix(f"file:{folder}/"): row["label"] for row in rows.collect()}
    assert labels == {"A/1.jpg": "A", "unsorted/1.jpg": None, "1.jpg": None}
    table = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(folder))
    pictures = open_sources(spark, [table], [], "/nowhere", picture_options(spark, PictureConfig())).pictures
    labels = {
        picture.path.removeprefix(f"file:{folder}/"): picture.label for picture in pictures["dataframe-1"].pictures
    }
    assert labels == {"A/1.jpg": "A", "unsorted/1.jpg": None, "1.jpg": None}


def test_a_row_of_a_table_without_a_path_or_with_one_twice_is_quarantined(spark, tmp_path):
    rows = [("a.jpg", jpeg(10), "A"), ("a.jpg", jpeg(10), "A"), (None, jpeg(50), "B"), ("b.jpg", jpeg(150), "B")]
    table = spark.createDataFrame([(path, bytearray(data), label) for path, data, label in rows],
                                  "path string, content binary, label string")  # fmt: skip
    options = picture_options(spark, PictureConfig(size=16))
    report = ingest_sources(spark, [table], str(tmp_path / "out"), pictures=options)
    assert (report.read, report.kept) == (4, 2)
    assert {reason.reason: reason.rows for reason in report.reasons} == {"named twice": 1, "no path": 1}
    found = spark.read.parquet(f"{tmp_path}/out/samples").where(F.col("id").endswith("a.jpg"))
    assert found.count() == 1


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("path,label\na.jpg,A\n", 1),
        ("filename;class\na.jpg;A\n", 1),
        ("file_name\tlabel\na.jpg\tA\n", 1),
        ("\ufeffImage , Label \r\na.jpg,A\r\n", 1),
        ("file,who\na.jpg,me\n", None),
        ("path,pixel1,label\na.jpg,0,A\n", None),
    ],
)
def test_a_manifest_is_known_by_its_header(text, rows):
    found = parse_manifest(text, "a.csv")
    assert (None if found is None else len(found)) == rows
    assert not found or (found[0].path, found[0].label) == ("a.jpg", "A")


def test_a_name_that_is_no_text_is_read(spark, tmp_path):
    (tmp_path / "hands" / "A").mkdir(parents=True)
    odd = os.fsencode(tmp_path / "hands" / "A") + b"/H\xe4nde.jpg"
    with open(odd, "wb") as file:
        file.write(jpeg(10))
    (tmp_path / "hands" / "labels.csv").write_bytes(b"path,label\nA/H\xe4nde.jpg,B\n")
    (tmp_path / "hands" / "B").mkdir()
    rows, _ = rows_to_score(spark, [str(tmp_path / "hands")])
    (row,) = rows.collect()
    assert (row["label"], row["unread"], row["path"].rpartition("/")[2]) == ("B", None, "H\\xe4nde.jpg")
    assert len(row["content"]) == len(jpeg(10))

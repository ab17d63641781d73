"""Files of sessions without a JVM to ask: local ones, and a store's, for which one of pyarrow's in memory stands."""

import bz2
import gzip

import pytest

from aslspark.common.errors import AslsparkError
from aslspark.data.files.arrow_files import ArrowFiles

TEXT = b"label,pixel1\n0,1\n"


@pytest.fixture
def files():
    return ArrowFiles()


@pytest.mark.parametrize(("ending", "pack"), [(".csv", bytes), (".csv.gz", gzip.compress), (".csv.bz2", bz2.compress)])
def test_the_first_line_is_read_whatever_a_table_is_packed_with(files, tmp_path, ending, pack):
    (tmp_path / f"a{ending}").write_bytes(pack(TEXT))
    assert files.first_line(f"file:{tmp_path}/a{ending}") == "label,pixel1"
    files.check_to_end(f"file:{tmp_path}/a{ending}")
    (tmp_path / f"b{ending}").write_bytes(pack(b""))
    assert files.first_line(f"file:{tmp_path}/b{ending}") is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv.gz", gzip.compress(TEXT * 999)[:-9], "is cut short: it ends in mid-data; copy it again"),
        ("a.csv.bz2", bz2.compress(TEXT * 999)[:-9], "is cut short: it ends in mid-data; copy it again"),
        ("a.csv.gz", b"no gzip at all", r"cannot be read \(Not a gzipped file"),
        ("a.csv.bz2", b"no bzip2 at all", r"cannot be read \(Invalid data stream\)"),
    ],
)
def test_a_table_that_is_cut_short_or_packed_otherwise_is_named(files, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AslsparkError, match=message):
        files.check_to_end(f"file:{tmp_path}/{name}")


def test_a_stores_files_are_written_listed_found_moved_and_deleted(files):
    files.write("mock://lake/day/a.csv", TEXT)
    files.write("mock://lake/day/b.txt", b"b")
    assert files.exists("mock://lake/day/a.csv")
    assert (files.is_folder("mock://lake/day"), files.is_folder("mock://lake/day/a.csv")) == (True, False)
    assert files.length("mock://lake/day/a.csv") == len(TEXT)
    assert [(entry.name, entry.path) for entry in files.entries("mock://lake/day")] == [
        ("a.csv", "mock://lake/day/a.csv"),
        ("b.txt", "mock://lake/day/b.txt"),
    ]
    assert files.tables_at("mock://lake/*/{a,c}.csv") == (["mock://lake/day/a.csv"], [])
    with files.opened("mock://lake/day/a.csv") as file:
        assert (file.read(5), file.seek(0), file.read()) == (b"label", 0, TEXT)
    with files.written_whole("mock://lake/out", last="done") as folder:
        files.write(f"{folder}/part.csv", TEXT)
        assert not files.exists("mock://lake/out")
    assert files.first_line("mock://lake/out/part.csv") == "label,pixel1"
    assert not files.exists(folder)
    files.delete("mock://lake/out")
    assert not files.exists("mock://lake/out")


def test_what_fails_leaves_nothing_in_a_store(files):
    files.write("mock://pond/kept.csv", TEXT)

    def fail_after_a_part():
        with files.written_whole("mock://pond/out", last="done") as folder:
            files.write(f"{folder}/part.csv", TEXT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_after_a_part()
    assert [entry.name for entry in files.entries("mock://pond")] == ["kept.csv"]


def test_a_store_that_nobody_knows_is_named_with_what_works(files):
    with pytest.raises(AslsparkError, match=r"path nfs9://host/a cannot be opened: .*a folder that is mounted"):
        files.exists("nfs9://host/a")

"""Paths as Spark and Python name them, and a stand-in for Databricks' file system, which both reach by other names."""

import builtins
import io
import json
import sqlite3
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from aslspark import train
from aslspark.cli.notebook import new_folder
from aslspark.common import paths
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import is_mounted, local_path, spark_path
from aslspark.common.settings import load_config
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import read_samples
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.scored_tables import write_scores
from aslspark.scoring.unlabelled import rows_to_score


@pytest.fixture
def databricks(monkeypatch):
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "14.3")


@pytest.mark.parametrize(
    ("given", "local", "spark"),
    [
        ("dbfs:/models/letters", "/dbfs/models/letters", "dbfs:/models/letters"),
        ("dbfs:///models", "/dbfs/models", "dbfs:/models"),
        ("/dbfs/models", "/dbfs/models", "dbfs:/models"),
        ("file:///dbfs/models", "/dbfs/models", "dbfs:/models"),
        ("/Volumes/main/signs/models", "/Volumes/main/signs/models", "dbfs:/Volumes/main/signs/models"),
        ("dbfs:/Volumes/main/signs", "/Volumes/main/signs", "dbfs:/Volumes/main/signs"),
        ("dbfs:/VolumesOfMine", "/dbfs/VolumesOfMine", "dbfs:/VolumesOfMine"),
        ("/local_disk0/a b=1", "/local_disk0/a b=1", "file:///local_disk0/a b=1"),
    ],
)
def test_on_databricks_a_path_has_one_name_for_python_and_one_for_spark(databricks, given, local, spark):
    assert local_path(given) == local
    assert spark_path(given) == spark
    assert local_path(spark) == local
    assert is_mounted(given) == spark.startswith("dbfs:")


def test_elsewhere_volumes_is_a_folder_like_any_other(tmp_path, monkeypatch):
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    assert spark_path("/Volumes/disk/letters") == "file:///Volumes/disk/letters"
    monkeypatch.chdir(tmp_path)
    assert spark_path("runs/a") == f"file://{tmp_path}/runs/a"


def test_a_store_that_python_cannot_open_is_named(databricks):
    assert not is_mounted("s3a://bucket/letters")
    with pytest.raises(AslsparkError, match="s3a://bucket/letters: this needs a folder"):
        local_path("s3a://bucket/letters")


class OneWay:
    """A file that is written from front to back alone, as in an object store that is mounted."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)

    def __iter__(self):
        return iter(self._file)

    def write(self, data):
        if isinstance(self._file, io.TextIOBase):
            return self._file.write(data)
        here = self._file.tell()
        self._file.flush()
        if here != Path(self._file.name).stat().st_size:
            raise OSError(95, "Operation not supported", self._file.name)
        return self._file.write(data)


@pytest.fixture
def dbfs(spark, databricks, tmp_path, monkeypatch):
    """Spark finds dbfs:/tmp in a folder, Python the same by another name, and neither knows the other's."""
    root = tmp_path / "dbfs"
    (root / "tmp").mkdir(parents=True)
    monkeypatch.setattr(paths, "DBFS", str(root))
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    mounted = {
        "fs.dbfs.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
        "fs.viewfs.mounttable.default.link./tmp": f"file://{root}/tmp",
        "fs.dbfs.impl.disable.cache": "true",
    }
    for name, value in mounted.items():
        hadoop.set(name, value)
    opened = builtins.open

    def one_way(file, mode="r", *args, **how):
        file_object = opened(file, mode, *args, **how)
        within = isinstance(file, str | Path) and str(root) in str(file)
        return OneWay(file_object) if within and set(mode) & set("wa+x") else file_object

    monkeypatch.setattr(builtins, "open", one_way)
    monkeypatch.setattr(io, "open", one_way)
    yield root
    for name in mounted:
        hadoop.unset(name)


def test_where_no_volume_can_be_made_a_notebook_asks_for_a_folder(spark, databricks):
    with pytest.raises(
        AslsparkError, match=r"^out=: a volume for the results cannot be made \(.*such as /Volumes/main"
    ):
        new_folder("", "01")


def test_the_stand_in_takes_no_file_that_is_written_here_and_there(dbfs):
    with open(dbfs / "a", "wb") as file:
        file.write(b"abc")
        file.seek(0)
        with pytest.raises(OSError, match="Operation not supported"):
            file.write(b"x")


@pytest.mark.long
def test_ingest_training_and_scoring_work_in_a_store_that_databricks_mounts(spark, ingested, dbfs):
    names = ",".join(f"pixel{n}" for n in range(1, 785))
    few = read_samples(spark, ingested).where("label < 'E'").orderBy(F.xxhash64("id")).limit(96)
    rows = [f"{ord(row['label']) - 65},{','.join(map(str, row['picture']['data']))}" for row in few.collect()]
    (dbfs / "tmp" / "letters.csv").write_text("\n".join([f"label,{names}", *rows]) + "\n")
    ingest_sources(spark, ["dbfs:/tmp/letters.csv"], "dbfs:/tmp/ingested")
    assert json.loads((dbfs / "tmp" / "ingested" / "ingest.json").read_text())["kept"] == len(rows)
    config = load_config(None, ["training.epochs=1", "training.batch_size=8", "training.framework=keras"])
    train(spark, [f"{dbfs}/tmp/ingested"], "dbfs:/tmp/models/letters", config=config)
    assert (dbfs / "tmp" / "models" / "letters" / "network.keras").is_file()
    assert [path.name for path in (dbfs / "tmp" / "models").iterdir()] == ["letters"]
    model = SignClassifierModel.load("dbfs:/tmp/models/letters")
    table, column = rows_to_score(spark, [f"{dbfs}/tmp/letters.csv"])
    write_scores(model.setInputCol(column).transform(table).drop(column), f"{dbfs}/tmp/scored")
    assert spark.read.parquet("dbfs:/tmp/scored").where("letter is not null").count() == len(rows)


def test_the_database_of_a_search_lies_beside_such_a_store_and_is_copied_there(dbfs):
    pytest.importorskip("optuna")
    from aslspark.workflows.tune import DATABASE, keep_database, place_database

    search = dbfs / "search"
    search.mkdir()
    database = place_database(search)
    assert dbfs not in database.parents
    with sqlite3.connect(database) as connection:
        connection.execute("create table trials (number int)")
    keep_database(database, search)
    again = place_database(search)
    assert again != database
    with sqlite3.connect(again) as connection:
        assert connection.execute("select count(*) from trials").fetchone() == (0,)
    assert (search / DATABASE).read_bytes() == database.read_bytes()

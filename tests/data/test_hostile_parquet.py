"""Parquet from others that runs code when it is read carelessly: here it does nothing, in the driver and in workers."""

import json
import os
import pickle
import re
import subprocess
import sys

import hostile_models as hostile
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY
from packaging.version import Version

from aslspark.common.errors import AslsparkError
from aslspark.data.samples import read_samples
from aslspark.scoring.unlabelled import rows_to_score

SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"


def run(program, *words):
    """Run a program in a process of its own, where nothing is imported yet."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "it-ran"


@pytest.fixture
def hostile_table(tmp_path, mark):
    """A folder of samples whose column `picture` brings a pickle, as CVE-2023-47248 has it."""
    pickled = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": hostile.pickled(mark)}
    schema = pa.schema([pa.field("picture", pa.binary(), metadata=pickled), pa.field("label", pa.string())])
    table = pa.table([pa.array([bytes(784)] * 4), pa.array(["A", "B", "A", "B"])], schema=schema)
    (tmp_path / "table").mkdir()
    pq.write_table(table, tmp_path / "table" / "part-0.parquet")
    return tmp_path / "table"


@pytest.mark.skipif(
    Version(pa.__version__) >= Version("14.0.1"), reason="this pyarrow runs nothing by itself: make test STACK=spark35"
)
def test_the_file_is_one_that_runs_code_where_nothing_is_done_against_it(hostile_table, mark):
    run("import sys, pyarrow.parquet as pq; pq.ParquetFile(sys.argv[1])", hostile_table / "part-0.parquet")
    assert mark.exists()


def test_the_feed_of_a_training_process_does_not_run_it(hostile_table, mark):
    program = """
import sys
from aslspark.training import feed
rows = feed.SampleFeed(sys.argv[1], feed.RowReader(["A", "B"], (28, 28, 1)), batch_size=4)
print(len(next(rows.epoch(0)).labels))
"""
    ran = run(program, hostile_table)
    # Of pyarrow's own from 14.0.1 on, the column is one of bytes, as any other.
    refused = "Disallowed deserialization of 'arrow.py_extension_type'" in ran.stderr
    assert refused or ran.stdout == "4\n", ran.stderr
    assert not mark.exists()


def modules_that_read_parquet():
    reads = re.compile(
        r"^\s*(import pyarrow\.parquet|from pyarrow import parquet|import pyarrow\.(ipc|dataset|feather))", re.M
    )
    found = [path for path in (REPOSITORY / "aslspark").rglob("*.py") if reads.search(path.read_text())]
    return sorted(str(path.relative_to(REPOSITORY).with_suffix("")).replace("/", ".") for path in found)


@pytest.mark.slow
def test_whatever_reads_parquet_has_the_cure_in_place_when_it_is_imported():
    names = modules_that_read_parquet()
    assert "aslspark.training.feed" in names
    program = (
        "import importlib, sys; importlib.import_module(sys.argv[1]); sys.exit('pyarrow_hotfix' not in sys.modules)"
    )
    assert [name for name in names if run(program, name).returncode] == []


def test_sparks_workers_do_not_run_it(spark, hostile_table, mark):
    def look(batches):
        yield from batches

    rows = spark.read.parquet(str(hostile_table))
    assert rows.mapInArrow(look, rows.schema).count() == 4
    assert rows.mapInPandas(look, rows.schema).count() == 4
    scored, column = rows_to_score(spark, [str(hostile_table)])
    assert (scored.count(), column) == (4, "picture")
    assert not mark.exists()


@pytest.fixture
def foreign_type(tmp_path, mark, monkeypatch):
    """A table whose column is of a type that names a Python module; and the function that writes such a table."""
    (tmp_path / "named_by_a_column.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    pickled = __import__("base64").b64encode(hostile.pickled(mark)).decode()
    kind = {"type": "udt", "pyClass": "named_by_a_column.Type", "serializedClass": pickled, "sqlType": "binary"}
    nested = {"type": "array", "elementType": kind, "containsNull": True}

    def write(folder, how):
        field = {"name": "picture", "type": nested if how == "nested" else kind, "nullable": True, "metadata": {}}
        values = [[b"1"]] if how == "nested" else [b"1"]
        table = pa.table({"picture": values})
        schema = json.dumps({"type": "struct", "fields": [field]})
        folder.mkdir(parents=True)
        pq.write_table(table.replace_schema_metadata({SPARK_SCHEMA: schema}), folder / "part-0.parquet")

    return write


@pytest.mark.parametrize("how", ["plain", "nested"])
def test_a_class_that_a_column_names_is_not_imported(spark, tmp_path, mark, foreign_type, how):
    foreign_type(tmp_path / "table", how)
    with pytest.raises(AslsparkError, match=r"of the type named_by_a_column\.Type, whose code is not run"):
        rows_to_score(spark, [str(tmp_path / "table")])
    foreign_type(tmp_path / "ingested" / "samples", how)
    with pytest.raises(AslsparkError, match="whose code is not run"):
        read_samples(spark, str(tmp_path / "ingested"))
    assert not mark.exists()
    assert pickle.loads(hostile.pickled(mark)).closed is False

"""The main path in a bucket of a real S3 server: the same answers, to the digit, as in a folder of this machine."""

import json
import re
from types import SimpleNamespace

import picture_files
import pytest
from pyspark.sql import functions as F
from s3_store import SECRET, served_bucket

import aslspark
from aslspark.bundle.files import ONNX
from aslspark.data.samples import read_samples
from aslspark.workflows.monitor import monitor

SETTINGS = [
    *("training.framework=torch", "training.num_proc=2", "training.epochs=1", "training.batch_size=16"),
    *("augment.on=false", "hands.on=false"),
]


def main_path(spark, place):
    """Go from a table to scores of pictures below one place, and return what was said."""
    config = aslspark.load_config(overrides=SETTINGS)
    table = aslspark.ingest(spark, f"{place}/table.csv", f"{place}/ingested", config=config)
    trained = aslspark.train(spark, f"{place}/ingested", f"{place}/runs/bundle", config=config)
    aslspark.score(spark, trained.path, f"{place}/hands", f"{place}/scored", config=config)
    return said(place, {"kept": [table.kept, table.quarantined], "metrics": trained.metrics})


def other_jobs(spark, place):
    """Train a forest on a table that is no samples yet, judge and watch below one place, and return what was said."""
    config = aslspark.load_config(overrides=[*SETTINGS, "mllib.classifier=forest", "mllib.trees=3"])
    forest = aslspark.train(spark, f"{place}/table.csv", f"{place}/runs/forest", config=config)
    aslspark.score(spark, forest.path, f"{place}/table.csv", f"{place}/scored-by-forest", config=config)
    bundle = f"{place}/runs/bundle"
    judged = aslspark.evaluate(spark, bundle, f"{place}/hands", f"{place}/judged", config=config)
    watched = monitor(spark, bundle, f"{place}/scored", f"{place}/watched")
    statistics = [batch["statistics"] for batch in watched["batches"]]
    return said(place, {"metrics": forest.metrics, "judged": judged, "watched": statistics})


def said(place, of_jobs):
    def untimed(value):
        if isinstance(value, dict):
            return {name: untimed(part) for name, part in value.items() if name != "scoring_seconds"}
        return value

    return json.loads(json.dumps(untimed(of_jobs)).replace(place, "PLACE"))


@pytest.fixture(scope="module")
def both(spark, lake, few_letters, tmp_path_factory):
    """What the main path said in a folder and in a bucket, and where the files of each lie."""
    rows = read_samples(spark, few_letters).orderBy("id").select("label", F.col("picture.data").alias("data")).collect()
    lines = [f"{ord(row['label']) - ord('A')},{','.join(map(str, row['data']))}" for row in rows]
    header = ",".join(["label", *(f"pixel{number}" for number in range(1, 785))])
    folder = tmp_path_factory.mktemp("local")
    with served_bucket(lake) as store:
        for name, value in store.spark_settings().items():
            spark.conf.set(name, value)
        for place in (folder, store.folder / "mine"):
            picture_files.fill(place / "hands", count=8)
            (place / "table.csv").write_text("\n".join([header, *lines, "1,2,3"]) + "\n")
        places = [str(folder), store.uri("mine")]
        try:
            in_folder, in_bucket = (main_path(spark, place) for place in places)
            yield SimpleNamespace(
                places=places,
                in_folder=in_folder,
                in_bucket=in_bucket,
                folder=folder,
                bucket=store.folder / "mine",
                lines=len(lines),
            )
        finally:
            for name in store.spark_settings():
                spark.conf.unset(name)


def files_of(folder):
    """List the files below a folder, without what Spark draws of their names, and however many parts it makes."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    drawn = r"-\d{5}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|_[0-9a-f]{12}|-\d{5}$"
    return {re.sub(drawn, "", name) for name in names if not name.endswith(".crc")}


def test_a_bucket_gives_the_same_answers_as_a_folder(both):
    assert both.in_bucket == both.in_folder
    assert both.in_folder["kept"] == [both.lines, 1]


def test_the_network_is_the_same_to_the_byte(both):
    onnx = [(place / "runs" / "bundle" / ONNX).read_bytes() for place in (both.folder, both.bucket)]
    assert onnx[0] == onnx[1]


def test_the_same_files_lie_in_both_and_nothing_else(both):
    assert files_of(both.bucket) == files_of(both.folder)


def scores(spark, folder):
    table = spark.read.parquet(str(folder)).drop("path").toPandas().astype(str)
    return sorted(table.to_numpy().tolist())


def test_the_scores_are_the_same(spark, both):
    assert scores(spark, both.bucket / "scored") == scores(spark, both.folder / "scored")


def test_the_key_is_in_no_file(both):
    for path in both.bucket.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.long
def test_forest_evaluation_and_monitor_say_the_same_too(spark, both):
    in_folder, in_bucket = (other_jobs(spark, place) for place in both.places)
    assert in_bucket == in_folder
    by_forest = [scores(spark, place / "scored-by-forest") for place in (both.bucket, both.folder)]
    assert by_forest[0] == by_forest[1]
    assert files_of(both.bucket) == files_of(both.folder)

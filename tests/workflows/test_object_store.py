"""The main path in a bucket of a real S3 server: the same answers, to the digit, as in a folder of this machine."""

import json
import re
from types import SimpleNamespace

import picture_files
import pytest
from moments import LEFT, whenever
from pyspark.sql import functions as F
from s3_store import SECRET, served_bucket

import aslspark
from aslspark.bundle.files import ONNX
from aslspark.common.store_path import any_path
from aslspark.data.samples import read_samples
from aslspark.tuning.options import SearchOptions
from aslspark.tuning.space import read_space
from aslspark.workflows.automl import automl
from aslspark.workflows.compare import compare
from aslspark.workflows.cross_validate import cross_validate
from aslspark.workflows.monitor import monitor
from aslspark.workflows.train import train_bundle
from aslspark.workflows.tune import search

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


VARIES = ("scoring_seconds", "fit_seconds", "seconds", "ms_a_picture", "pictures_a_second", "bytes")
"""From run to run in one folder, too: times, and by some bytes the size of a forest's files."""
FOREST = ["mllib.classifier=forest", "mllib.trees=2", "mllib.depth=4", "hands.on=false", "augment.on=false"]
FOLDED = [*FOREST, "split.validation=0", "split.blocks=4"]


def choosing_jobs(spark, place, space):
    """Cross-validate, search, let a kind be chosen and compare below one place, and return what was said."""
    config, data = aslspark.load_config(overrides=FOREST), [f"{place}/ingested"]
    folds = cross_validate(spark, data, f"{place}/folds", aslspark.load_config(overrides=FOLDED), folds=2)
    study = search(spark, data, f"{place}/search", config, space, SearchOptions(trials=1))
    study = search(spark, data, f"{place}/search", config, space, SearchOptions(trials=2))
    is_there = []
    with whenever(train_bundle, LEFT, lambda _: is_there.append(any_path(f"{place}/chosen").exists())):
        chosen = automl(spark, data, f"{place}/chosen", config, trials=1, models=("forest", "logistic"))
    assert is_there == [False], "the winner was trained where others look for what is whole"
    bundles = {"chosen": f"{place}/chosen/bundle", "network": f"{place}/runs/bundle"}
    compared = compare(spark, bundles, {"table": data}, f"{place}/compared")
    del compared["machine"]
    return said(
        place,
        {
            "folds": folds,
            "search": [[trial.number, trial.params, trial.value] for trial in study.trials],
            "chosen": chosen,
            "compared": compared,
        },
    )


def said(place, of_jobs):
    def what_stays(value):
        if isinstance(value, dict):
            return {name: what_stays(part) for name, part in value.items() if name not in VARIES}
        return [what_stays(part) for part in value] if isinstance(value, list) else value

    return json.loads(json.dumps(what_stays(of_jobs)).replace(place, "PLACE"))


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
    plain = {re.sub(drawn, "", name) for name in names if not name.endswith(".crc")}
    # What is ingested into a bucket is written by Spark, which marks that it has ended; into a folder by its tasks.
    by_either = {re.sub(r"^(.*\bingested/.*/part)\b.*(\.parquet)$", r"\1\2", name) for name in plain}
    marks = {f"{job}ingested/{table}/_SUCCESS" for job in ("", "judged/") for table in ("samples", "quarantine")}
    # Of a search in a folder, which others may share, the lock of its database stays there.
    return by_either - marks - {"search/study.db.lock"}


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


def test_a_table_whose_warehouse_is_the_bucket_gets_the_scores_of_a_folder(spark, both):
    spark.sql(f"CREATE DATABASE in_bucket LOCATION '{both.places[1]}/warehouse'")
    try:
        hands = f"{both.places[1]}/hands"
        config = aslspark.load_config(overrides=SETTINGS)
        for mode in ("errorifexists", "append"):
            table = aslspark.score(
                spark, f"{both.places[1]}/runs/bundle", hands, out_table="in_bucket.answers", mode=mode, config=config
            )
            answers = table.select(spark.read.parquet(str(both.folder / "scored")).drop("path").columns)
            assert sorted(answers.toPandas().astype(str).to_numpy().tolist()) == scores(spark, both.folder / "scored")
        assert spark.table("in_bucket.answers").count() == 2 * table.count()
        assert list((both.bucket / "warehouse" / "answers").glob("*.parquet"))
    finally:
        spark.sql("DROP DATABASE in_bucket CASCADE")


@pytest.mark.long
def test_folds_lie_in_a_bucket_and_a_bundle_there_is_compared(spark, both):
    bundle, data = f"{both.places[1]}/runs/bundle", [f"{both.places[1]}/ingested"]
    config = aslspark.load_config(overrides=FOLDED)
    folds = cross_validate(spark, data, f"{both.places[1]}/few-folds", config, folds=2)
    assert len(folds["folds"]) == 2
    compared = compare(spark, {"it": bundle, "itself": bundle}, {"table": data}, f"{both.places[1]}/same")
    assert compared["sets"][0]["differ"] == 0
    assert {"report.html", "folds"} < {path.name for path in (both.bucket / "few-folds").iterdir()}
    assert not (both.bucket / "few-folds" / ".scratch").exists()
    assert (both.bucket / "same" / "report.html").is_file()
    for path in ("few-folds", "same"):
        any_path(f"{both.places[1]}/{path}").remove_tree()


@pytest.mark.long
def test_what_jobs_choose_is_the_same_in_a_bucket_as_in_a_folder(spark, both, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text("mllib.depth: [2, 4]\n")
    in_folder, in_bucket = (choosing_jobs(spark, place, read_space(str(space))) for place in both.places)
    assert in_bucket == in_folder
    assert [number for number, _, _ in in_folder["search"]] == [0, 1]
    assert files_of(both.bucket) == files_of(both.folder)


@pytest.mark.long
def test_forest_evaluation_and_monitor_say_the_same_too(spark, both):
    in_folder, in_bucket = (other_jobs(spark, place) for place in both.places)
    assert in_bucket == in_folder
    by_forest = [scores(spark, place / "scored-by-forest") for place in (both.bucket, both.folder)]
    assert by_forest[0] == by_forest[1]
    assert files_of(both.bucket) == files_of(both.folder)

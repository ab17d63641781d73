"""The public API: what `import aslspark` gives, and the examples of its docstrings."""

import ast
import inspect
import logging
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import docstring_examples
import pandas as pd
import pytest
from pyspark.sql import functions as F

import aslspark
from aslspark import ingest, load_config, load_model, score, train
from aslspark.common.errors import AslsparkError
from aslspark.common.log_output import RESULT
from aslspark.data.samples import TEST, read_samples
from aslspark.registry.tracking import store_uri

HEADER = "label," + ",".join(f"pixel{n}" for n in range(1, 785))
FOREST = ["mllib.classifier=forest", "mllib.trees=3", "mllib.depth=4"]


def run_python(code, **more):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **more).stdout


def test_importing_the_package_loads_neither_spark_nor_a_framework():
    loaded = run_python("import sys, aslspark; aslspark.load_config(); print(*sys.modules)").split()
    heavy = {"pyspark", "tensorflow", "torch", "horovod", "onnxruntime", "mlflow", "numpy", "pandas"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_every_public_name_is_there_and_listed():
    assert set(aslspark.__all__) <= set(dir(aslspark))
    for name in aslspark.__all__:
        assert getattr(aslspark, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'evaluate_bundle'"):
        aslspark.evaluate_bundle  # noqa: B018


def test_type_checkers_and_python_import_the_same():
    tree = ast.parse(Path(aslspark.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and node.test.id == "TYPE_CHECKING")
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert typed == aslspark._MODULES
    assert sorted(typed) == aslspark.__all__


@pytest.mark.parametrize("name", aslspark.__all__)
def test_every_public_name_documents_its_parameters_and_has_an_example(name):
    thing = getattr(aslspark, name)
    sections = dict(pairwise(re.split(r"(?m)^(\w+)\n-+\n", inspect.getdoc(thing))))
    assert ">>> " in sections["Examples"]
    documented = ", ".join(re.findall(r"(?m)^(\w[\w, ]*) : ", sections["Parameters"])).split(", ")
    parameters = [each.name for each in inspect.signature(thing).parameters.values() if each.kind != each.VAR_KEYWORD]
    assert set(parameters) <= set(documented)
    if inspect.isfunction(thing):
        assert parameters == documented


@pytest.fixture(scope="module")
def letters(spark, ingested):
    """A pixel table of drawn hands, with one row that cannot be used at its end."""
    rows = read_samples(spark, ingested).select("label", "id", F.col("picture.data").alias("data")).collect()
    lines = [
        f"{ord(row['label']) - ord('A')}," + ",".join(map(str, row["data"]))
        for row in sorted(rows, key=lambda row: (row["label"], row["id"]))
    ]
    return "\n".join([HEADER, *lines, "1,2,3"]) + "\n"


@pytest.mark.slow
@pytest.mark.long
def test_the_examples_of_the_docstrings_run_and_give_what_they_show(letters, tmp_path):
    assert sorted(docstring_examples.NAMES) == aslspark.__all__
    (tmp_path / "letters.csv").write_text(letters)
    words = [sys.executable, docstring_examples.__file__]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert re.search(r"epoch +2/2 +loss", done.stderr)  # of `train`, though nobody asked for the log


PROGRAM = """
import logging, sys
from aslspark.common.log_output import show_log
{before}
show_log()
logging.getLogger("aslspark").info("epoch 1/2, s3://key:secret@store")
"""


@pytest.mark.parametrize(
    ("before", "printed"),
    [
        ("", "epoch 1/2, s3://***@store\n"),
        ("show_log()", "epoch 1/2, s3://***@store\n"),
        ("logging.getLogger('aslspark').setLevel('WARNING')", ""),
        (
            "logging.basicConfig(stream=sys.stdout, format='mine: %(message)s')",
            "mine: epoch 1/2, s3://***@store\n",
        ),
    ],
    ids=["nothing set up", "shown before", "silenced", "shown by the caller's own handler"],
)
def test_the_log_is_shown_once_unless_the_caller_decided_otherwise(before, printed):
    assert run_python(PROGRAM.format(before=before)) == printed


def test_a_result_has_a_level_with_a_name_for_the_callers_own_format():
    assert logging.getLevelName(RESULT) == "RESULT"


@pytest.fixture(scope="module")
def forest(spark, few_letters, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("bundles") / "forest")
    return train(spark, few_letters, out, config=load_config(None, FOREST))


def test_a_result_is_a_line_that_says_how_good_the_model_is(forest):
    right, rows = forest.metrics["accuracy"], forest.metrics["rows"]
    assert repr(forest) == f"<TrainingResult {forest.path}: {right:.2%} of {rows} test rows right, 5 labels>"
    assert (forest.labels, forest.best_epoch) == (tuple("ABCDE"), None)
    assert load_model(forest.path).labels == forest.labels


@pytest.mark.long
def test_training_from_python_leaves_a_run_in_mlflow_beside_a_run_of_the_callers(spark, few_letters, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    words = [*FOREST, "tracking.mlflow=true", f"tracking.uri={tmp_path}/store", "tracking.experiment=letters"]
    mlflow.set_tracking_uri(store_uri(f"{tmp_path}/store"))
    mlflow.set_experiment("letters")
    with mlflow.start_run(run_name="mine") as mine:
        result = train(spark, few_letters, str(tmp_path / "bundle"), config=load_config(None, words))
    runs = mlflow.search_runs(experiment_names=["letters"], output_format="list")
    (run,) = (run for run in runs if run.info.run_id != mine.info.run_id)
    assert run.data.tags["aslspark.job"] == "train_baseline"
    assert run.data.tags["mlflow.parentRunId"] == mine.info.run_id
    assert run.data.metrics["accuracy"] == result.metrics["accuracy"]


def test_a_classifier_has_no_epochs_to_resume_from(spark, few_letters, tmp_path):
    with pytest.raises(AslsparkError, match=r"mllib\.classifier=forest has no epochs to go on from"):
        train(spark, few_letters, str(tmp_path / "bundle"), config=load_config(None, FOREST), resume=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_call_that_readme_showed_before_works_and_names_the_new_one(spark, few_letters, tmp_path, forest):
    from aslspark.workflows.train import train_baseline, train_cnn

    with pytest.warns(FutureWarning, match=r"workflows\.train\.train_baseline is now aslspark\.train"):
        metrics = train_baseline(spark, [few_letters], str(tmp_path / "bundle"), load_config(None, FOREST))
    assert metrics["confusion"] == forest.metrics["confusion"]
    with (
        pytest.warns(FutureWarning, match=r"workflows\.train\.train_cnn is now aslspark\.train"),
        pytest.raises(AslsparkError, match="nowhere"),
    ):
        train_cnn(spark, ["nowhere.csv"], str(tmp_path / "network"), load_config())


@pytest.mark.long
def test_a_dataframe_is_scored_by_whatever_its_column_of_pictures_is_called(spark, few_letters, forest):
    model = load_model(forest.path).setThreshold(0.1)
    samples = read_samples(spark, few_letters, [TEST])
    usual = score(spark, model, samples)
    renamed = score(spark, model, samples.withColumnRenamed("picture", "content"))
    silent = score(spark, model, samples, threshold=1.0)
    assert (
        usual.select("id", "letter", "probability").collect() == renamed.select("id", "letter", "probability").collect()
    )
    assert usual.where("letter IS NOT NULL").count() > 0
    assert silent.where("reason = 'not sure'").count() == samples.count()
    assert (model.getThreshold(), model.getInputCol()) == (0.1, "picture")


def test_a_table_with_a_column_a_pixel_is_scored_as_it_is_ingested(spark, letters, forest, tmp_path):
    (tmp_path / "letters.csv").write_text(letters)
    table = spark.read.csv(str(tmp_path / "letters.csv"), header=True, inferSchema=True).where("pixel784 IS NOT NULL")
    scored = score(spark, forest.path, table)
    assert scored.columns == ["label", "pixels", "letter", "probability", "top", "reason"]
    by_path = score(spark, forest.path, str(tmp_path / "letters.csv")).where("reason IS NULL")
    assert scored.count() == by_path.count() > 0
    assert scored.groupBy("label", "letter").count().exceptAll(by_path.groupBy("label", "letter").count()).isEmpty()


def test_a_column_that_is_missing_is_named_with_some_of_those_that_are_there(spark, forest):
    table = spark.range(1).selectExpr(*(f"id AS measure{n}" for n in range(500)))
    with pytest.raises(
        AslsparkError,
        match=r"inputCol=picture: .*; there are measure0, measure1, measure2 and 497 more; setInputCol names that ",
    ):
        score(spark, forest.path, table)


SOURCES = {
    "a table of pandas": (
        pd.DataFrame({"label": [0]}),
        r"a pandas DataFrame is not read here; .*spark\.createDataFrame",
    ),
    "one in a list": ([pd.DataFrame({"label": [0]})], r"a pandas DataFrame is not read here; .*spark\.createDataFrame"),
    "a path that is no text": (Path("letters.csv"), r"a pathlib PosixPath is not read here; give a path as text"),
    "a number": ([3], r"a builtins int is not read here; give a path as text"),
}


@pytest.mark.parametrize("call", [ingest, train], ids=lambda call: call.__name__)
@pytest.mark.parametrize(("given", "message"), SOURCES.values(), ids=SOURCES)
def test_what_is_no_path_and_no_dataframe_of_spark_is_refused_before_anything_starts(call, given, message, tmp_path):
    with pytest.raises(AslsparkError, match=message):
        call(None, given, str(tmp_path / "out"))
    with pytest.raises(AslsparkError, match=message):
        score(None, str(tmp_path), given)


@pytest.mark.parametrize(("models", "data"), [(["runs/a"], {"mine": "a.csv"}), ({"a": "runs/a"}, "a.csv")])
def test_what_is_compared_has_names_or_is_refused_before_anything_starts(models, data, tmp_path):
    with pytest.raises(AslsparkError, match=r"^(models: a list|data: a str) has no names; give paths by name"):
        aslspark.compare(None, models, data, str(tmp_path / "out"))


def test_a_dataframe_of_spark_is_trained_on_once_it_is_ingested(spark, tmp_path):
    with pytest.raises(AslsparkError, match=r"a pyspark DataFrame is not read here; .*aslspark\.train the folder"):
        train(spark, spark.range(1), str(tmp_path / "out"))


def test_a_report_of_an_ingest_is_one_short_line_in_a_notebook(spark, letters, tmp_path):
    (tmp_path / "letters.csv").write_text(letters)
    report = ingest(spark, str(tmp_path / "letters.csv"), str(tmp_path / "ingested"))
    counts = ", ".join(f"{rows} {split}" for split, rows in report.splits.items())
    assert repr(report) == f"<IngestReport {tmp_path}/ingested: {report.kept} samples ({counts}), 1 in quarantine>"


def test_a_folder_of_answers_holds_what_was_returned(spark, few_letters, forest, tmp_path):
    written = score(spark, forest.path, few_letters, str(tmp_path / "scored"))
    assert "picture" not in written.columns
    assert written.count() == read_samples(spark, few_letters).count()
    assert spark.read.parquet(str(tmp_path / "scored")).exceptAll(written).count() == 0


@pytest.mark.long
def test_dataframes_and_paths_are_ingested_alike(spark, letters, tmp_path):
    (tmp_path / "letters.csv").write_text(letters)
    table = spark.read.csv(str(tmp_path / "letters.csv"), header=True).where("pixel784 IS NOT NULL")
    config = load_config(None, ["split.blocks=5", "split.seed=1"])
    by_path = ingest(spark, str(tmp_path / "letters.csv"), str(tmp_path / "by-path"), config=config)
    by_table = ingest(spark, table, str(tmp_path / "by-table"), config=config)
    assert by_path.labels.keys() == by_table.labels.keys()
    assert by_path.kept == by_table.kept


def test_without_sources_hands_are_drawn_as_the_settings_say(spark, tmp_path):
    config = load_config(None, ["drawn.count=96", "drawn.signers=4"])
    report = ingest(spark, [], str(tmp_path / "drawn"), config=config)
    assert (report.kept, report.quarantined, len(report.labels)) == (96, 0, 24)
    splits = read_samples(spark, str(tmp_path / "drawn")).select("signer", "split").distinct()
    assert splits.count() == 4  # each signer is in one split

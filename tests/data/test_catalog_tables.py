"""Tables by name, in and out: what stands in Spark's catalog is ingested and scored as files of the pictures are."""

from datetime import datetime
from types import SimpleNamespace

import picture_files
import pytest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from aslspark import ingest, load_config, score
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import ColumnConfig
from aslspark.data.samples import read_samples
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.workflows.evaluate import labelled_samples
from aslspark.workflows.monitor import _table

LABELS = ("A", "B", "C")
CALLED = ["columns.picture=img", "columns.label=letter", "columns.signer=who", "columns.path=name"]
NO_TABLE = " does not exist, and Spark's catalog has no such table"
SMALL = ["pictures.size=32", "split.validation=0.25", "split.test=0.25", "split.blocks=4"]


@pytest.fixture(scope="module")
def pictures(spark, tmp_path_factory):
    """A folder of pictures, and tables of the same files under names of several kinds."""
    folder = picture_files.fill(tmp_path_factory.mktemp("lake") / "hands", labels="ABC", count=8)
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(folder))
    label = F.element_at(F.split("path", "/"), -2)
    rows = files.select(
        F.col("path").alias("name"),
        F.col("content").alias("img"),
        label.alias("letter"),
        F.lit("anna").alias("who"),
        F.to_timestamp(
            F.concat(F.lit("2026-11-0"), F.substring(F.regexp_extract("path", r"(\d)\.jpg", 1), 1, 1))
        ).alias("taken"),
    )
    rows.write.mode("overwrite").saveAsTable("lake_pictures")
    image = F.struct(F.col("img").alias("bytes"), F.lit(None).cast("string").alias("path"))
    rows.select(image.alias("image"), F.col("letter").alias("label")).write.mode("overwrite").saveAsTable("lake_hf")
    yield SimpleNamespace(folder=str(folder), rows=24)
    for name in ("lake_pictures", "lake_hf"):
        spark.sql(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture(scope="module")
def model():
    network = torch_network.build("cnn", (28, 28, 1), len(LABELS), 0.0).eval()
    onnx = torch_network.to_onnx(network, (28, 28, 1), True)
    return SignClassifierModel(OnnxClassifier(onnx, LABELS, (28, 28, 1)), digest="d1")


def content_of(spark, ingested):
    rows = read_samples(spark, ingested).select("label", "signer", F.col("picture.data").alias("data"))
    return sorted((row["label"], row["signer"], bytes(row["data"])) for row in rows.collect())


@pytest.mark.parametrize("named", ["lake_pictures", "default.lake_pictures", "table:lake_pictures"])
def test_a_table_is_ingested_by_name_as_the_folder_of_its_files_is(spark, pictures, tmp_path, named):
    config = load_config(None, [*SMALL, *CALLED])
    report = ingest(spark, named, str(tmp_path / "table"), config=config)
    assert (report.kept, report.quarantined) == (pictures.rows, 0)
    ingest(spark, pictures.folder, str(tmp_path / "folder"), config=load_config(None, SMALL))
    ours, theirs = (content_of(spark, str(tmp_path / name)) for name in ("table", "folder"))
    assert [(label, data) for label, _, data in ours] == [(label, data) for label, _, data in theirs]
    assert {signer for _, signer, _ in ours} == {"anna"}


@pytest.mark.parametrize("kind", ["array<int>", "array<double>", "vector"])
def test_a_table_whose_pictures_are_arrays_or_vectors_is_a_pixel_table(spark, tmp_path, kind):
    pixels = [[(7 * row + place) % 256 for place in range(784)] for row in range(40)]
    rows = [(pixels[row], "AB"[row % 2]) for row in range(40)]
    frame = spark.createDataFrame(
        [*rows, ([1, 2, 3], "A"), (None, "B"), ([300] * 784, "A")], "img array<int>, sign string"
    )
    if kind == "vector":
        frame = frame.withColumn("img", F.when(F.col("img").isNotNull(), array_to_vector("img")))
    else:
        frame = frame.withColumn("img", F.col("img").cast(kind))
    frame.write.mode("overwrite").saveAsTable("lake_arrays")
    try:
        config = load_config(None, ["columns.picture=img", "columns.label=sign"])
        report = ingest(spark, "lake_arrays", str(tmp_path / "out"), config=config)
    finally:
        spark.sql("DROP TABLE lake_arrays")
    assert (report.kept, report.quarantined, report.labels.keys()) == (40, 3, {"A", "B"})
    assert {reason.reason: reason.rows for reason in report.reasons}["wrong column count"] == 2
    ours = [data for _, _, data in content_of(spark, str(tmp_path / "out"))]
    assert sorted(ours) == sorted(map(bytes, pixels))


def test_signers_beside_arrays_of_pixels_are_refused_in_one_line(spark, tmp_path):
    frame = spark.createDataFrame([([0] * 784, "A", "anna")], "picture array<int>, label string, signer string")
    with pytest.raises(AslsparkError, match="signer beside picture, an array of numbers"):
        ingest(spark, frame, str(tmp_path / "out"))
    with pytest.raises(AslsparkError, match="no column says the labels"):
        ingest(spark, frame.drop("label"), str(tmp_path / "out"))


def test_a_table_as_hugging_face_writes_it_needs_no_names_and_no_paths(spark, pictures, tmp_path):
    report = ingest(spark, "lake_hf", str(tmp_path / "table"), config=load_config(None, SMALL))
    assert (report.kept, report.quarantined, set(report.labels)) == (pictures.rows, 0, set(LABELS))


@pytest.mark.parametrize(
    ("source", "words", "message"),
    [
        ("table:nowhere", [], "table:nowhere: there is no such table in Spark's catalog; default has "),
        (
            "table:lake_pictres",
            [],
            "table:lake_pictres: there is no such table in Spark's catalog; did you mean lake_p",
        ),
        ("table:a b", [], "table:a b: give a name such as table:pictures or table:main.signs.pictures"),
        (
            "lake_pictures",
            ["columns.picture=photo"],
            "columns.picture=photo: lake_pictures has no such column; it has name",
        ),
        (
            "lake_pictures",
            ["columns.picture=img"],
            "lake_pictures: no column says the labels, nor do folders in the paths; name it with columns.label "
            "(--label-column); besides pictures and paths there are name, letter, who, taken",
        ),
        ("nowhere", [], "source nowhere does not exist, and Spark's catalog has no such table; default has lake_"),
        ("default.lake_pictres", [], f"source default.lake_pictres{NO_TABLE}; did you mean default.lake_pictures?"),
        ("defalt.lake_pictures", [], f"source defalt.lake_pictures{NO_TABLE}; did you mean default?"),
        ("nowhere.at.all", [], f"source nowhere.at.all{NO_TABLE}"),
        ("letters.csv", [], "source letters.csv does not exist"),
        ("my.old.csv", [], "source my.old.csv does not exist"),
    ],
)
def test_a_table_or_a_column_that_is_not_there_is_named_in_one_line(spark, pictures, tmp_path, source, words, message):
    with pytest.raises(AslsparkError) as error:
        ingest(spark, source, str(tmp_path / "out"), config=load_config(None, words))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("source", "is_warned"), [("folder", True), ("lake_pictures", False)])
def test_columns_that_are_named_where_no_table_is_are_warned_of(spark, pictures, tmp_path, caplog, source, is_warned):
    path = pictures.folder if source == "folder" else source
    with caplog.at_level("WARNING", logger="aslspark"):
        ingest(spark, path, str(tmp_path / "out"), config=load_config(None, [*CALLED, *SMALL]))
    said = [record.getMessage() for record in caplog.records]
    assert any(words.startswith("warning: columns.picture=img, columns.label=letter, ") for words in said) == is_warned


def test_scoring_and_the_monitor_name_the_table_that_was_probably_meant(spark, pictures, model):
    message = (
        "--data lake_pictres: it does not exist, and Spark's catalog has no such table; did you mean lake_pictures?"
    )
    for read in (lambda: score(spark, model, "lake_pictres"), lambda: _table(spark, "lake_pictres", ColumnConfig())):
        with pytest.raises(AslsparkError) as error:
            read()
        assert str(error.value).startswith(message)
    with pytest.raises(AslsparkError, match=r"those of Hive with spark\.sql\.catalogImplementation=hive"):
        score(spark, model, "nowhere.pictures")
    with pytest.raises(AslsparkError, match=r"--data letters\.csv: it does not exist; name a pixel table"):
        score(spark, model, "letters.csv")


def test_the_samples_of_a_table_have_its_name_for_their_source(spark, pictures, tmp_path):
    sources = ["table:lake_pictures", "default.lake_pictures"]
    config = load_config(None, [*SMALL, *CALLED])
    ingest(spark, sources, str(tmp_path / "two"), config=config)
    samples = read_samples(spark, str(tmp_path / "two"))
    assert {row["source"] for row in samples.select("source").distinct().collect()} == {
        "lake_pictures",
        "default.lake_pictures",
    }
    with pytest.raises(AslsparkError, match="lake_pictures is named twice among the sources"):
        ingest(spark, [sources[0], "lake_pictures"], str(tmp_path / "twice"), config=config)


def test_a_table_and_a_folder_of_one_name_are_told_apart(spark, pictures, tmp_path):
    folder = picture_files.fill(tmp_path / "lake_pictures", labels="ABC", count=8)
    config = load_config(None, [*SMALL, *CALLED])
    with pytest.raises(AslsparkError, match="lake_pictures is the name of two sources: give the table as table:SCHEMA"):
        ingest(spark, ["table:lake_pictures", str(folder)], str(tmp_path / "out"), config=config)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("_delta_log/0.json", "it is a Delta table, whose files say little alone"),
        ("metadata/version-hint.text", "Iceberg"),
    ],
)
def test_the_folder_of_a_table_format_that_this_session_lacks_is_refused_by_name(spark, model, tmp_path, inside, words):
    (tmp_path / "t" / inside).parent.mkdir(parents=True)
    (tmp_path / "t" / inside).write_text("{}")
    picture_files.fill(tmp_path / "t", count=1)
    for read in (lambda where: ingest(spark, where, str(tmp_path / "out")), lambda where: score(spark, model, where)):
        with pytest.raises(AslsparkError, match=words):
            read(str(tmp_path / "t"))


def test_a_table_that_is_judged_on_is_reported_as_test_and_not_as_train(spark, pictures, model, tmp_path, caplog):
    with caplog.at_level("INFO", logger="aslspark"):
        samples = labelled_samples(spark, model, ["lake_pictures"], tmp_path / "judged", load_config(None, CALLED))
    assert samples.where("split = 'test'").count() == pictures.rows
    (said,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("read ")]
    assert "All rows are judged on." in said
    assert [line.split() for line in said.splitlines() if line.startswith("all ")] == [["all", "0", "0", "24"]]


def test_answers_are_appended_to_a_table_with_the_bundle_and_the_time(spark, pictures, model):
    config = load_config(None, [*CALLED, "columns.time=taken"])
    try:
        first = score(spark, model, "lake_pictures", out_table="lake_answers", config=config)
        assert first.count() == pictures.rows
        assert first.columns == [
            *("path", "label", "signer", "taken"),
            *("letter", "probability", "top", "reason", "bundle", "scored_at"),
        ]
        with pytest.raises(AslsparkError, match="--out-table lake_answers: it exists already; give --mode append"):
            score(spark, model, "lake_pictures", out_table="lake_answers", config=config)
        second = score(
            spark, model, "lake_pictures", out_table="lake_answers", mode="append", where="label = 'A'", config=config
        )
        third = score(
            spark, model, "lake_pictures", out_table="lake_answers", mode="append", since="2026-11-05", config=config
        )
        assert (second.count(), third.count()) == (8, 12)
        everything = spark.table("lake_answers")
        assert everything.count() == pictures.rows + 8 + 12
        assert everything.select("bundle").distinct().collect() == [("d1",)]
        assert everything.select("scored_at").distinct().count() == 3
    finally:
        spark.sql("DROP TABLE IF EXISTS lake_answers")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"where": "no_such > 1"}, "--where no_such > 1: .*there are the columns"),
        ({"where": "label ="}, "--where label =: "),
        ({"since": "yesterday"}, "--since yesterday: give a time such as 2026-11-01"),
        ({"out_table": "a.b.c.d.e", "mode": "append"}, "--out-table a.b.c.d.e"),
        (
            {"out_table": "no_such.answers", "mode": "append"},
            r"--out-table no_such.answers: there is no schema no_such; make it \(CREATE SCHEMA no_such\)",
        ),
        ({"out_table": "lake_x", "mode": "replace"}, "--mode replace: choose one of errorifexists, append, overwrite"),
        ({"out_table": "lake_x", "out": "folder"}, "--out folder and --out-table lake_x: give one of them"),
    ],
)
def test_an_option_that_cannot_be_followed_is_named(spark, pictures, model, how, message):
    config = load_config(None, [*CALLED, "columns.time=taken"])
    with pytest.raises(AslsparkError, match=message):
        score(spark, model, "lake_pictures", config=config, **how)


def test_a_condition_that_spark_cannot_read_is_one_line_and_no_page_of_java(spark, pictures, model, capfd):
    with pytest.raises(AslsparkError, match="--where take > 1"):
        score(spark, model, "lake_pictures", config=load_config(None, CALLED), where="take > 1")
    assert "Logger" not in "".join(capfd.readouterr())


def test_output_columns_have_the_names_that_are_set_and_sparks_evaluator_takes_the_prediction(spark, pictures, model):
    table = spark.table("lake_pictures").withColumn("true", (F.ascii("letter") - 65).cast("double"))
    named = model.copy().setInputCol("img").setLetterCol("sign").setProbabilityCol("p").setTopCol("best")
    scored = named.setReasonCol("why").setPredictionCol("prediction").transform(table).persist()
    assert {"sign", "p", "best", "why", "prediction"} <= set(scored.columns)
    assert not {"probability", "top", "reason"} & set(scored.columns)
    rows = scored.select("sign", "prediction", "true").collect()
    assert [LABELS[int(row["prediction"])] for row in rows] == [row["sign"] for row in rows]
    evaluator = MulticlassClassificationEvaluator(labelCol="true", metricName="accuracy")
    right = sum(row["prediction"] == row["true"] for row in rows)
    assert evaluator.evaluate(scored) == pytest.approx(right / len(rows))
    scored.unpersist()


@pytest.mark.promise(
    "input",
    "A time given as --since is of the session's time zone, as the times that Spark shows.",
    kind="rows left out by another clock",
)
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("kind", ["timestamp", "timestamp_ntz", "string"])
def test_since_is_of_the_time_zone_in_which_spark_shows_times(spark, model, setting, zone, kind):
    config = load_config(None, ["columns.time=taken"])
    with setting("spark.sql.session.timeZone", zone):
        taken = F.expr(f"CAST('2026-11-01 07:00:00' AS {kind})").alias("taken")
        data = spark.range(1).select(F.lit(bytes(784)).alias("picture"), taken)
        rows = {
            since: score(spark, model, data, since=since, config=config).count()
            for since in ("2026-11-01 06:59:59", "2026-11-01 07:00:01", "2026-10-31T06:00:00+00:00")
        }
    assert list(rows.values()) == [1, 0, 1]


def test_since_of_a_column_of_numbers_is_refused_in_one_line(spark, model):
    data = spark.range(1).select(F.lit(bytes(784)).alias("picture"), F.col("id").alias("taken"))
    with pytest.raises(AslsparkError, match=r"--since 2026-11-01: columns.time=taken is no column of times") as error:
        score(spark, model, data, since="2026-11-01", config=load_config(None, ["columns.time=taken"]))
    assert "\n" not in str(error.value)


def test_a_pixel_table_is_ingested_by_a_name_that_no_path_has_as_it_is(spark, tmp_path):
    pixels = [F.lit(9).alias(f"pixel{number}") for number in range(1, 785)]
    table = spark.range(40).select((F.col("id") % 4).alias("label"), *pixels)
    table.createOrReplaceTempView("`my hands #1%41`")
    report = ingest(spark, "table:`my hands #1%41`", str(tmp_path / "out"), config=load_config(None, SMALL))
    assert (report.kept, list(report.sources)) == (40, ["my hands #1%41"])
    spark.catalog.dropTempView("my hands #1%41")


def test_a_row_without_a_time_is_older_than_any(spark, model):
    rows = [(bytearray(784), None), (bytearray(784), datetime(2026, 11, 2))]
    data = spark.createDataFrame(rows, "picture binary, taken timestamp")
    config = load_config(None, ["columns.time=taken"])
    assert score(spark, model, data, since="2026-11-01", config=config).count() == 1

"""The monitor as a job: on drawn hands, with a network that has learned nothing but answers all the same."""

import json
from datetime import datetime, timedelta

import numpy as np
import pytest
from browser import faults_of
from pyspark.sql import functions as F
from tables_with_hands import SCHEMA, SIDE, rows_with_hands

from aslspark.bundle.files import seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.errors import AslsparkError
from aslspark.data.samples import read_samples
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.monitoring.measures import FLAGS, HAND_MEASURES, MEASURES, score_and_measure
from aslspark.monitoring.profile import make_profile, read_reference, write_reference
from aslspark.scoring.model import SignClassifierModel, read_model
from aslspark.workflows.monitor import count_bins
from jobs import monitor, score

LETTERS = tuple("ABCDEFGHIKLMNOPQRSTUVWXY")


def bundle_of(samples, path):
    network = torch_network.build("cnn", (28, 28, 1), len(LETTERS), 0.0).eval()
    onnx = torch_network.to_onnx(network, (28, 28, 1), True)
    model = SignClassifierModel(OnnxClassifier(onnx, LETTERS, (28, 28, 1)))
    with whole_folder(path) as folder:
        write_model(model, None, folder, settings={})
        if samples is not None:
            write_reference(model, samples, folder)
        seal(folder)
    return path


@pytest.fixture(scope="module")
def bundle(spark, ingested, tmp_path_factory):
    return bundle_of(read_samples(spark, ingested), tmp_path_factory.mktemp("bundles") / "bundle")


@pytest.fixture(scope="module")
def batches(spark, ingested, tmp_path_factory):
    """Two days of the same pictures; on the second they are darker by 30 %."""
    rows = read_samples(spark, ingested).select("id", "picture.data").orderBy("id").collect()
    found = []
    for day, light in enumerate((1.0, 0.7)):
        for row in rows:
            pixels = (np.frombuffer(row["data"], np.uint8) * light).astype(np.uint8).tobytes()
            found.append((row["id"], datetime(2024, 5, 1, 9) + timedelta(days=day), (28, 28, 1, bytearray(pixels))))
    picture = "struct<height: int, width: int, channels: int, data: binary>"
    path = str(tmp_path_factory.mktemp("batches") / "pictures")
    spark.createDataFrame(found, f"id string, taken timestamp, picture {picture}").write.parquet(path)
    return path


def run(*words):
    """The exit code of the job."""
    try:
        monitor.main([str(word) for word in words])
    except SystemExit as left:
        return left.code
    return 0


def test_the_darker_day_is_drift_the_other_is_not_and_the_exit_code_says_so(spark, bundle, batches, tmp_path):
    assert run("--model", bundle, "--data", batches, "--out", tmp_path / "out", "--by", "taken") == monitor.DRIFT_CODE
    report = json.loads((tmp_path / "out" / "drift.json").read_text())
    first, second = report["batches"]
    assert (first["batch"], second["batch"]) == ("2024-05-01", "2024-05-02")
    assert (first["rows"], first["drift"], second["drift"]) == (720, False, True)
    assert "brightness ks" in second["alarms"]
    assert not any(name.startswith("sharpness") for name in second["alarms"])  # darker, not blurred
    for name in ("drift.png", "shares.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h1>Drift in 1 of 2 batches</h1>" in page
    assert "<td>2024-05-01</td><td>720</td><td>no drift</td>" in page
    assert "<td>2024-05-02</td><td>720</td><td>drift</td><td>" + ", ".join(second["alarms"]) in page
    assert "no hand gap" in page
    assert "no_hand" not in page
    assert page.count("data:image/png;base64,") == 2
    assert faults_of(tmp_path / "out" / "report.html") == []
    clean = str(tmp_path / "clean")
    spark.read.parquet(batches).where("taken < '2024-05-02'").write.parquet(clean)
    assert run("--model", bundle, "--data", clean, "--out", tmp_path / "silent") == 0


def test_a_scored_table_is_judged_by_its_answers_and_a_table_by_its_name(spark, bundle, batches, tmp_path):
    scored = tmp_path / "scored"
    score.main(["--model", str(bundle), "--data", batches, "--out", str(scored)])
    run("--model", bundle, "--data", scored, "--out", tmp_path / "of-scored", "--by", "taken")
    run("--model", bundle, "--data", batches, "--out", tmp_path / "of-pictures", "--by", "taken")
    spark.read.parquet(batches).createOrReplaceTempView("watched")
    run("--model", bundle, "--data", "watched", "--out", tmp_path / "of-table", "--by", "taken")
    names = ("of-scored", "of-pictures", "of-table")
    scored, pictures, table = (json.loads((tmp_path / name / "drift.json").read_text())["batches"] for name in names)
    assert pictures == table
    for one, other in zip(scored, pictures, strict=True):
        assert not any(name.startswith("brightness") for name in one["statistics"])
        for name, statistic in one["statistics"].items():
            assert statistic["value"] == other["statistics"][name]["value"]


def test_a_bundle_without_a_reference_still_reads_and_the_monitor_says_so_in_one_line(spark, batches, tmp_path):
    old = bundle_of(None, tmp_path / "old")
    assert read_model(str(old)).labels == LETTERS
    with pytest.raises(AslsparkError, match=r"--model .*old: it carries no reference\.json") as error:
        run("--model", old, "--data", batches, "--out", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_small_batches_are_not_judged_and_a_wrong_column_is_named(spark, bundle, batches, tmp_path):
    few = str(tmp_path / "few")
    spark.read.parquet(batches).where("taken > '2024-05-02'").limit(20).write.parquet(few)
    assert run("--model", bundle, "--data", few, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert (report["batches"][0]["judged"], report["drift"]) == (False, False)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h1>Nothing was judged</h1>" in page
    assert "50 rows or more are needed" in page
    assert not (tmp_path / "out" / "drift.png").exists()  # it would be empty
    for words, named in (
        (("--data", few, "--by", "day"), "--by day: there is no such column"),
        (("--data", few, "--alarm-rate", "0"), "--alarm-rate 0"),
        (("--data", "nowhere"), "--data nowhere: it does not exist, and Spark's catalog has no such table"),
    ):
        with pytest.raises(AslsparkError, match=named):
            run("--model", bundle, *words, "--out", tmp_path / "none")


def test_rows_counted_in_spark_are_the_rows_of_the_reference(spark, bundle, ingested):
    profile = read_reference(str(bundle))
    held_out = read_samples(spark, ingested, ["validation", "test"])
    found = count_bins(score_and_measure(read_model(str(bundle)), held_out, F.lit("all").alias("batch")), profile)[
        "all"
    ]
    inside = np.isin(profile.part_of, [profile.parts.index(part) for part in profile.held_out])
    assert found["rows"] == inside.sum()
    for name, size in profile.sizes().items():
        assert found[name].tolist() == np.bincount(profile.bins[name][inside], minlength=size).tolist()


def test_hands_are_measured_where_the_samples_have_them(spark):
    network = torch_network.build("small_cnn", (SIDE, SIDE, 3), 4, 0.0).eval()
    onnx = torch_network.to_onnx(network, (SIDE, SIDE, 3), True)
    model = SignClassifierModel(OnnxClassifier(onnx, ("K", "M", "N", "P"), (SIDE, SIDE, 3)))
    model.hands = HandDetector(HandOptions(), installed_networks("test"))
    samples = spark.createDataFrame(rows_with_hands(), SCHEMA)
    kept = ("id", "split", "source", "label", "signer")
    rows = score_and_measure(model, samples, *(F.col(name) for name in kept)).toPandas()
    assert set(rows.columns) == {*kept, *MEASURES, *FLAGS, "answer"}
    assert rows["no_hand"].sum() == 20
    assert rows.loc[~rows["no_hand"], list(HAND_MEASURES)].notna().all(axis=None)
    assert rows.loc[rows["no_hand"], list(HAND_MEASURES)].isna().all(axis=None)
    size = rows.groupby("signer")["hand_size"].median()
    assert size["bob"] == pytest.approx(0.1, abs=0.02)
    assert size["ann"] == pytest.approx(0.5, abs=0.05)
    assert set(make_profile(rows, model.labels).edges) == set(MEASURES)

"""Bundles side by side."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import faults_of
from pyspark.sql import functions as F
from serving_bundles import untrained

from aslspark import train
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.settings import load_config
from aslspark.data.samples import read_samples
from aslspark.evaluation.comparison_page import COLUMNS
from aslspark.evaluation.grad_cam import explain_bundle
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.multiply_adds import multiply_adds
from aslspark.evaluation.sample_pictures import as_read
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import fingerprint
from aslspark.workflows.compare import Candidate, LabelledSet, samples_for
from jobs import compare, evaluate

SETTINGS = load_config().as_dict()
SHAPE, LABELS = (28, 28, 1), STATIC_LETTERS
OF_THE_PLAIN_NETWORK = 24 * 24 * 32 * 25 + 8 * 8 * 64 * 25 * 32 + 2 * 2 * 128 * 9 * 64 + 128 * 128 + 128 * 24


@pytest.fixture(scope="module")
def table(spark, ingested, tmp_path_factory):
    """A pixel table of 480 of the drawn hands."""
    path = tmp_path_factory.mktemp("tables") / "letters.csv"
    rows = read_samples(spark, ingested).orderBy("id").limit(480).select("label", "id", F.col("picture.data")).collect()
    lines = [f"{ord(row['label']) - ord('A')}," + ",".join(map(str, row["data"])) for row in rows]
    path.write_text("\n".join(["label," + ",".join(f"pixel{n}" for n in range(1, 785)), *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def bundles(spark, ingested, table, tmp_path_factory):
    """A Keras network, as if trained on the ingested folder; one of torch; a forest trained on the table."""
    folder = tmp_path_factory.mktemp("bundles")
    known = {"fingerprint": fingerprint(spark, ingested), "sources": ["drawn"]}
    forest = ["mllib.classifier=forest", "mllib.trees=2", "mllib.depth=2"]
    train(spark, [str(table)], str(folder / "forest"), config=load_config(None, forest))
    return {
        "keras": untrained("keras", folder / "keras", LABELS, data=known, seconds={"fit": 12.3}),
        "torch": untrained(
            "torch", folder / "torch", LABELS, data={"fingerprint": "other", "sources": ["letters.csv"]}
        ),
        "forest": str(folder / "forest"),
    }


@pytest.fixture(scope="module")
def compared(spark, bundles, ingested, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "out"
    models = [bundles["keras"], f"second={bundles['torch']}", bundles["forest"]]
    compare.main(["--model", *models, "--data", f"drawn={ingested}", str(table), "--out", str(out)])
    return out, json.loads((out / "comparison.json").read_text())


def test_every_bundle_has_every_column_or_the_reason_why_not(compared):
    _, result = compared
    rows = {row["name"]: row for row in result["bundles"]}
    assert list(rows) == ["keras", "second", "forest"]
    for row in rows.values():
        for column in COLUMNS:
            assert (row[column] is None) == (column in row["why_empty"]), (row["name"], column)
        for judged in row["sets"].values():
            assert 0 <= judged["accuracy"] <= judged["top3_accuracy"] <= 1
            assert 0 <= judged["macro_f1"] <= 1
    for name in ("keras", "second"):
        assert rows[name]["parameters"] == 145_560
        assert rows[name]["multiply_adds"] == OF_THE_PLAIN_NETWORK
        assert rows[name]["ms_a_picture"] > 0
        assert rows[name]["pictures_a_second"] > 0
        assert rows[name]["file_bytes"] == (Path(rows[name]["path"]) / "network.onnx").stat().st_size
    assert rows["keras"]["fit_seconds"] == 12.3
    assert rows["forest"]["file_bytes"] > 1000
    assert set(rows["forest"]["why_empty"]) == {
        *("parameters", "multiply_adds", "ms_a_picture", "pictures_a_second"),
    }
    assert result["machine"]["threads"] == 1


def test_a_bundle_is_judged_on_the_test_split_of_what_it_was_trained_on_and_on_all_of_the_rest(
    spark, compared, bundles, ingested
):
    _, result = compared
    judged = {row["name"]: row["sets"] for row in result["bundles"]}
    tested = read_samples(spark, ingested, ["test"]).count()
    assert (judged["keras"]["drawn"]["judged_on"], judged["keras"]["drawn"]["rows"]) == ("its test split", tested)
    assert set(judged["keras"]["drawn"]["splits"]) == {"train", "validation", "test"}
    assert (judged["second"]["drawn"]["judged_on"], judged["second"]["drawn"]["rows"]) == ("all rows", 720)
    # The raw table is divided as the bundle's own training was.
    metrics = json.loads((Path(bundles["forest"]) / "metrics.json").read_text())
    of_forest = judged["forest"]["letters.csv"]
    assert of_forest["judged_on"] == "its test split"
    assert of_forest["rows"] == metrics["rows"] < 480
    assert of_forest["accuracy"] == pytest.approx(metrics["accuracy"])
    assert (judged["keras"]["letters.csv"]["rows"], judged["keras"]["letters.csv"]["warning"]) == (480, None)
    # Trained on something of that name, and not on these very rows.
    assert "letters.csv" in judged["second"]["letters.csv"]["warning"]


def test_disagreements_are_counted_on_the_rows_that_all_are_judged_on(spark, compared, bundles, ingested):
    out, result = compared
    drawn = result["sets"][0]
    test = read_samples(spark, ingested, ["test"]).select("id", "picture")
    letters = [
        SignClassifierModel.load(path).transform(test).select("id", "letter").toPandas().set_index("id")["letter"]
        for path in bundles.values()
    ]
    assert drawn["rows"] == len(letters[0])
    same = [(letters[a] == letters[b].reindex(letters[a].index)) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert list(drawn["agreement"].values()) == pytest.approx([pair.mean() for pair in same])
    assert drawn["differ"] == (~(same[0] & same[1])).sum() > 0
    assert (out / drawn["sheet"]).read_bytes().startswith(b"\x89PNG")


def test_the_page_needs_nothing_beside_it_and_is_for_all_screens_and_people(compared):
    out, _ = compared
    page = (out / "report.html").read_text()
    # Scores, cost, a sheet of disagreements a set, a sheet of heat maps a network.
    assert page.count('src="data:image/png;base64,') == 2 + 2 + 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "its test split" in page
    assert faults_of(out / "report.html") == []
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_the_network_that_is_looked_into_is_the_one_that_scores(spark, bundles, ingested, framework):
    path = bundles[framework]
    model = SignClassifierModel.load(path)
    rows = model.transform(read_samples(spark, ingested, ["test"]).limit(40)).collect()
    letters, heat = explain_bundle(path, np.stack([as_read(row["picture"], model) for row in rows]))
    assert letters == [row["letter"] for row in rows]
    assert heat.shape == (40, 28, 28)
    assert heat.max() == pytest.approx(1, abs=0.02)


def test_evaluate_draws_where_a_network_looks_and_refuses_what_has_none(spark, bundles, ingested, tmp_path):
    words = ["--data", ingested, "--grad-cam"]
    with pytest.raises(AslsparkError, match=r"--grad-cam: .*forest holds no network"):
        evaluate.main(["--model", bundles["forest"], *words, "--out", str(tmp_path / "forest")])
    assert list(tmp_path.iterdir()) == []
    evaluate.main(["--model", bundles["torch"], *words, "--out", str(tmp_path / "torch")])
    assert (tmp_path / "torch" / "grad_cam.png").read_bytes().startswith(b"\x89PNG")


def test_a_set_that_cannot_be_divided_as_the_training_data_was_is_judged_as_a_whole(spark, table, tmp_path):
    by_signer = {**SETTINGS, "split": {**SETTINGS["split"], "kind": "signer"}}
    candidate = Candidate("by signer", "", {"settings": by_signer, "data": {"fingerprint": "other"}}, None, {})
    samples, trained_on_it = samples_for(spark, candidate, LabelledSet("table", [str(table)]), tmp_path)
    assert (samples.count(), trained_on_it) == (480, False)


def test_bundles_of_one_name_must_be_named_apart(bundles, tmp_path):
    with pytest.raises(AslsparkError, match="there is a bundle keras already; name them apart"):
        compare.main(["--model", bundles["keras"], bundles["keras"], "--data", "x.csv", "--out", str(tmp_path / "out")])


def test_multiply_adds_are_those_counted_by_hand():
    from onnx import TensorProto, helper, numpy_helper

    def weight(name, *shape):
        return numpy_helper.from_array(np.zeros(shape, np.float32), name)

    nodes = [
        # (n, 4, 10, 10) -> (n, 6, 5, 5): each number of 2 channels (two groups) times 3x3.
        helper.make_node("Conv", ["picture", "w1"], ["a"], group=2, strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "w2"], ["d"], transB=1),
        helper.make_node("MatMul", ["d", "w3"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 4, 10, 10])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 3])],
        [weight("w1", 6, 2, 3, 3), weight("w2", 7, 150), weight("w3", 7, 3)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert multiply_adds(model.SerializeToString()) == 6 * 5 * 5 * (2 * 3 * 3) + 150 * 7 + 7 * 3


def test_the_range_that_chance_leaves_is_wilsons():
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    low, high = wilson(1.0, 10)
    assert high == pytest.approx(1)
    assert low == pytest.approx(0.7225, abs=1e-4)

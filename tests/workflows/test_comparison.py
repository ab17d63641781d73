"""Bundles side by side."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import faults_of
from pyspark.sql import functions as F
from scipy.stats import binomtest
from serving_bundles import untrained

import aslspark
from aslspark import train
from aslspark.bundle.files import seal
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.settings import load_config
from aslspark.data.samples import read_samples
from aslspark.evaluation.bundle_comparison import Candidate, LabelledSet, SetSamples, common_rows
from aslspark.evaluation.comparison_page import COLUMNS
from aslspark.evaluation.grad_cam import explain_bundle
from aslspark.evaluation.metrics import wilson
from aslspark.evaluation.multiply_adds import multiply_adds
from aslspark.evaluation.sample_pictures import as_read
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import fingerprint
from aslspark.workflows.compare import samples_for
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
    keras = untrained("keras", folder / "keras", LABELS, data=known, seconds={"fit": 12.3})
    other = {"fingerprint": "other", "sources": ["letters.csv"]}
    torch = untrained("torch", folder / "torch", LABELS, data=other)
    alert = {"rule": "still_learning", "epoch": 4, "seen": "val_loss was still falling", "stopped": False}
    for bundle, watch in ((keras, [alert]), (torch, [{**alert, "rule": "of another version"}])):
        (Path(bundle) / "metrics.json").write_text(json.dumps({"watch": watch}))
        seal(Path(bundle))
    return {"keras": keras, "torch": torch, "forest": str(folder / "forest")}


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


def test_a_network_that_was_still_learning_is_not_compared_without_a_word(compared):
    out, result = compared
    words = "epoch 4: still_learning: val_loss was still falling; try more training.epochs"
    assert {row["name"]: row["watch"] for row in result["bundles"]} == {"keras": [words], "second": [], "forest": []}
    assert f"keras, {words}." in (out / "report.html").read_text()


def test_all_bundles_are_judged_on_the_same_rows_of_a_set_those_that_none_was_trained_on(
    spark, compared, bundles, ingested
):
    _, result = compared
    judged = {row["name"]: row["sets"] for row in result["bundles"]}
    tested = read_samples(spark, ingested, ["test"]).count()
    on_drawn = [of_sets["drawn"] for of_sets in judged.values()]
    assert [(each["judged_on"], each["rows"]) for each in on_drawn] == [("the test split", tested)] * 3
    assert [sorted(each["splits"]) for each in on_drawn] == [["test", "train", "validation"], [], []]
    # The raw table is divided as the training of the forest, which learned from it, was.
    metrics = json.loads((Path(bundles["forest"]) / "metrics.json").read_text())
    of_forest = judged["forest"]["letters.csv"]
    assert of_forest["rows"] == metrics["rows"] < 480
    assert of_forest["accuracy"] == pytest.approx(metrics["accuracy"])
    for of_sets in judged.values():
        assert (of_sets["letters.csv"]["judged_on"], of_sets["letters.csv"]["rows"]) == (
            "the test split",
            metrics["rows"],
        )
    assert judged["keras"]["letters.csv"]["warning"] is None
    # Trained on something of that name, and not on these very rows.
    assert "letters.csv" in judged["second"]["letters.csv"]["warning"]


@pytest.fixture(scope="module")
def saved(bundles, tmp_path_factory):
    """A network of an estimator, as `save` writes it: nothing in it says what it was trained on."""
    folder = tmp_path_factory.mktemp("saved")
    SignClassifierModel.load(untrained("keras", folder / "bundle", LABELS)).save(str(folder / "own"))
    return str(folder / "own")


def test_a_saved_model_that_does_not_say_what_it_learned_from_is_judged_on_the_test_split_of_an_ingested_folder(
    spark, saved, bundles, ingested, tmp_path
):
    models = {"own": saved, "other": bundles["torch"]}
    result = aslspark.compare(spark, models, {"drawn": [ingested]}, str(tmp_path / "out"))
    tested = read_samples(spark, ingested, ["test"]).count()
    of_sets = [row["sets"]["drawn"] for row in result["bundles"]]
    assert [(each["judged_on"], each["rows"]) for each in of_sets] == [("the test split", tested)] * 2
    assert "does not say what it was trained on" in of_sets[0]["warning"]
    assert of_sets[1]["warning"] is None
    assert result["finding"].split()[0] in models


def test_a_bundle_that_may_have_seen_the_rows_is_not_called_best(spark, saved, table, tmp_path):
    result = aslspark.compare(spark, {"own": saved}, {"table": [str(table)]}, str(tmp_path / "out"))
    assert result["bundles"][0]["sets"]["table"]["rows"] == 480
    assert result["finding"] == "each may have learned from rows of table, so none is called best"


def test_of_two_splits_of_one_table_the_rows_count_that_both_bundles_were_not_trained_on(spark):
    def read(folder, test, test_alone=True):
        rows = [(f"{n}", "test" if n in test else "train") for n in range(6)]
        return SetSamples(folder, spark.createDataFrame(rows, "id string, split string"), True, test_alone)

    rows, words = common_rows([read("one", {0, 1, 2}), read("another", {1, 2, 3}), read("a third", {5}, False)])
    assert (sorted(row["id"] for row in rows.collect()), words) == (["1", "2"], "rows that none learned from")


@pytest.mark.long
def test_of_bundles_without_a_common_test_row_none_is_called_best(spark, bundles, table, tmp_path):
    words = ["mllib.classifier=forest", "mllib.trees=2", "mllib.depth=2", "split.seed=1", "split.test=0.4"]
    train(spark, [str(table)], str(tmp_path / "again"), config=load_config(None, words))
    models = {"forest": bundles["forest"], "again": str(tmp_path / "again")}
    result = aslspark.compare(spark, models, {"table": [str(table)]}, str(tmp_path / "out"))
    assert [row["sets"]["table"]["rows"] for row in result["bundles"]] == [
        json.loads((Path(path) / "metrics.json").read_text())["rows"] for path in models.values()
    ]
    assert (result["sets"][0]["rows"], result["sets"][0]["pairs"]) == (0, [])
    assert result["finding"] == "no row of table is judged for all of them, so none is called best"


def test_the_finding_says_whether_the_best_may_be_so_by_chance(spark, compared, bundles, ingested):
    _, result = compared
    test = read_samples(spark, ingested, ["test"])
    answers = {
        name: SignClassifierModel.load(bundles[path]).transform(test).select("id", "label", "letter").toPandas()
        for name, path in (("keras", "keras"), ("second", "torch"), ("forest", "forest"))
    }
    right = {name: frame.set_index("id").eval("label == letter") for name, frame in answers.items()}
    for pair in result["sets"][0]["pairs"]:
        first, second = right[pair["first"]], right[pair["second"]].reindex(right[pair["first"]].index)
        only = [int((first & ~second).sum()), int((second & ~first).sum())]
        assert [pair["only_first"], pair["only_second"]] == only
        assert pair["p"] == pytest.approx(binomtest(only[0], sum(only), 0.5).pvalue if sum(only) else 1.0)
    best = max(right, key=lambda name: right[name].mean())
    assert result["finding"].startswith(f"{best} is best on drawn, {right[best].mean():.2%} right")
    p = max(pair["p"] for pair in result["sets"][0]["pairs"] if best in (pair["first"], pair["second"]))
    assert ("which may be chance" in result["finding"]) == (p >= 0.05)


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
    assert [pair["same"] for pair in drawn["pairs"]] == [pair.sum() for pair in same]
    assert drawn["differ"] == (~(same[0] & same[1])).sum() > 0
    assert (out / drawn["sheet"]).read_bytes().startswith(b"\x89PNG")


def test_the_page_needs_nothing_beside_it_and_is_for_all_screens_and_people(compared):
    out, _ = compared
    page = (out / "report.html").read_text()
    # Scores, cost, a sheet of disagreements a set, a sheet of heat maps a network.
    assert page.count('src="data:image/png;base64,') == 2 + 2 + 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "the test split" in page
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
    candidate = Candidate("by signer", "", "", {"settings": by_signer, "data": {"fingerprint": "other"}}, None, {})
    read = samples_for(spark, candidate, LabelledSet("table", [str(table)]), tmp_path)
    assert (read.samples.count(), read.trained_on_it, read.test_alone) == (480, False, False)


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

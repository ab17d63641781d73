"""Temperature, threshold, calibration error, coverage."""

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F

from aslspark import train
from aslspark.bundle.files import seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.samples import TRAIN, VALIDATION, read_samples
from aslspark.evaluation.calibration import (
    TEMPERATURES,
    at_threshold,
    best_temperature,
    calibration_metrics,
    temperature_for,
    try_temperatures,
)
from aslspark.evaluation.calibration_plots import plot_calibration, plot_coverage
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.answer_columns import output_columns, ranking
from aslspark.scoring.calibration import (
    ABSTAINED,
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    fit_temperature,
    top_classes,
    with_temperature,
)
from aslspark.scoring.model import SignClassifierModel, read_model

LABELS = tuple("ABCDEFGHIKLMNOPQRSTUVWXY")
SHAPE = (28, 28, 1)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def too_sure():
    """Labels drawn by probabilities, and the same probabilities made three times too sure of themselves."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (6000, 8))
    true = softmax(logits).astype(np.float64)
    places = (true.cumsum(axis=1) < random.random((6000, 1))).sum(axis=1).clip(max=7)
    return softmax(3 * logits), places


def test_the_temperature_undoes_what_made_a_model_too_sure(too_sure):
    probabilities, places = too_sure
    assert fit_temperature(probabilities, places) == pytest.approx(3, rel=0.05)


def test_a_temperature_changes_how_sure_an_answer_is_and_never_which(too_sure):
    probabilities, _ = too_sure
    for temperature in (0.3, 2.0, 20.0):
        changed = with_temperature(probabilities, temperature)
        assert np.allclose(changed.sum(axis=1), 1, atol=1e-5)
        assert np.array_equal(changed.argmax(axis=1), probabilities.argmax(axis=1))
        assert (changed.max(axis=1).mean() < probabilities.max(axis=1).mean()) == (temperature > 1)
    assert with_temperature(probabilities, 1.0) is probabilities


def test_a_few_rows_that_are_all_right_do_not_make_a_model_certain_of_everything(too_sure):
    probabilities, _ = too_sure
    mild = with_temperature(probabilities, 3.0)[:40]
    found = fit_temperature(mild, mild.argmax(axis=1))
    assert MIN_TEMPERATURE * 1.5 < found < 1
    assert fit_temperature(mild[:0], np.array([], int)) == 1
    assert fit_temperature(np.eye(8, dtype=np.float32), np.arange(8)[::-1]) <= MAX_TEMPERATURE


@pytest.fixture(scope="module")
def network():
    import torch

    torch.manual_seed(3)
    return torch_network.to_onnx(torch_network.build("cnn", SHAPE, len(LABELS), 0.0).eval(), SHAPE, True)


@pytest.fixture
def model(network):
    return SignClassifierModel(OnnxClassifier(network, LABELS, SHAPE))


def test_scoring_applies_the_temperature_to_the_probability_and_to_the_best_three(spark, model, ingested):
    samples = read_samples(spark, ingested).limit(50)
    whole = {row["id"]: np.array(row["probabilities"]) for row in model.probabilities(samples).collect()}
    model.temperature = 0.2
    for row in model.best_guesses(samples).collect():
        given = whole[row["id"]]
        best = np.argsort(-given)[:3]
        changed = with_temperature(given[None].astype(np.float32), 0.2)[0]
        assert [top["letter"] for top in row["top"]] == [LABELS[place] for place in best]
        assert np.allclose([top["probability"] for top in row["top"]], changed[best], atol=1e-5)
        assert row["probability"] == row["top"][0]["probability"]
        assert row["as_given"] == pytest.approx(given.max(), abs=1e-6)


def test_below_the_threshold_there_is_no_letter_and_the_guesses_stay(spark, model, ingested):
    samples = read_samples(spark, ingested).limit(60)
    always = {row["id"]: row for row in model.transform(samples).collect()}
    middle = float(np.float32(np.median([row["probability"] for row in always.values()])))
    rows = model.setThreshold(middle).transform(samples).collect()
    sure = [row["probability"] >= middle for row in rows]
    assert 0 < sum(sure) < len(rows)
    for row, is_sure in zip(rows, sure, strict=True):
        assert (row["letter"], row["reason"]) == ((always[row["id"]]["letter"], None) if is_sure else (None, ABSTAINED))
        assert (row["probability"], row["top"]) == (always[row["id"]]["probability"], always[row["id"]]["top"])
    assert all(row["letter"] for row in model.best_guesses(samples).collect())
    unusable = model.transform(spark.createDataFrame([(None,)], "picture binary")).first()
    assert (unusable["letter"], unusable["top"], unusable["reason"]) == (None, None, "empty: no picture")


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_in_spark_the_threshold_is_held_against_the_probability_that_is_shown(spark, temperature):
    given = np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.05, 0.05, 0.9]], np.float32)
    shown = given ** (1 / temperature) / (given ** (1 / temperature)).sum(axis=1, keepdims=True)
    reasons = np.array([None, None, None, "empty"], object)
    ranked = ranking(temperature).make(np.vstack([given, np.zeros((1, 3), np.float32)]), reasons)
    frame = spark.createDataFrame(ranked.astype(object).where(ranked.notna(), None), ranking(temperature).columns)
    rows = frame.select(F.struct("*").alias("_ranked"))
    best = shown.max(axis=1)
    for beside, sure in ((-0.001, [True, False, True]), (0.001, [False, False, True])):
        # Held against the numbers before the temperature (0.6, 0.5, 0.9), others would be answered.
        scored = rows.select(*output_columns(("A", "B", "C"), float(best[0]) + beside)).collect()
        letters = [letter if yes else None for letter, yes in zip("BAC", sure, strict=True)]
        assert [row["letter"] for row in scored] == [*letters, None]
        assert [row["reason"] for row in scored] == [None if yes else ABSTAINED for yes in sure] + ["empty"]
        assert [row["probability"] for row in scored[:3]] == pytest.approx(best.tolist(), abs=1e-5)
        assert scored[3]["probability"] is scored[3]["top"] is None
        for row, shares in zip(scored[:3], shown, strict=True):
            assert [one["probability"] for one in row["top"]] == pytest.approx(sorted(shares.tolist())[::-1], abs=1e-5)


def test_known_probabilities_with_a_temperature_are_their_powers_brought_to_a_sum_of_1():
    given = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]], np.float32)
    np.testing.assert_allclose(with_temperature(given, 2.0)[0], [0.5228, 0.2795, 0.1976], atol=1e-4)
    np.testing.assert_allclose(with_temperature(given, 0.5)[0], [0.9074, 0.0741, 0.0185], atol=1e-4)
    # Trees give 0, which stands for one in ten million.
    np.testing.assert_allclose(with_temperature(given, 2.0)[1], [0.00022, 0.49989, 0.49989], atol=1e-5)
    places, shares, as_given = top_classes(given, 2.0)
    assert places.tolist() == [[0, 1, 2], [1, 2, 0]]
    np.testing.assert_allclose(shares[0], [0.5228, 0.2795, 0.1976], atol=1e-4)
    np.testing.assert_allclose(as_given, [0.7, 0.5])


def test_a_threshold_that_is_no_share_is_refused(model):
    for value in (-0.1, 1.5, float("nan")):
        with pytest.raises(AslsparkError, match=r"threshold=.*: give a number from 0 to 1"):
            model.setThreshold(value)


def test_bundles_and_stages_keep_temperature_threshold_and_column(spark, model, ingested, tmp_path):
    model.temperature = 1.7
    model.setThreshold(0.05).setInputCol("seen")
    with whole_folder(tmp_path / "bundle") as folder:
        write_model(model, None, folder)
        seal(folder)
    again = read_model(str(tmp_path / "bundle"))
    assert (again.temperature, again.getThreshold(), again.getInputCol()) == (1.7, 0.05, "picture")
    samples = read_samples(spark, ingested).limit(20).withColumnRenamed("picture", "seen")
    PipelineModel(stages=[model]).save(str(tmp_path / "saved"))
    loaded = PipelineModel.load(str(tmp_path / "saved"))
    assert (loaded.stages[0].temperature, loaded.stages[0].getThreshold()) == (1.7, 0.05)
    assert loaded.transform(samples).collect() == Pipeline(stages=[model]).fit(samples).transform(samples).collect()


def test_the_temperature_is_that_of_the_rows_it_is_given_and_1_without_any(spark, model, ingested):
    assert temperature_for(model, read_samples(spark, ingested, [VALIDATION]).limit(0)) == 1
    train = read_samples(spark, ingested, [TRAIN])
    found = temperature_for(model, train)
    whole = model.probabilities(train).toPandas()
    places = whole["label"].map(LABELS.index).to_numpy()
    assert found == pytest.approx(fit_temperature(np.stack(whole["probabilities"]), places), abs=1e-3)


def test_temperatures_are_tried_on_rows_and_the_chosen_one_is_the_best_of_all_together(spark, model, ingested):
    train = read_samples(spark, ingested, [TRAIN])
    found = try_temperatures(model, train)
    whole = model.probabilities(train).toPandas()
    probabilities, places = np.stack(whole["probabilities"]), whole["label"].map(LABELS.index).to_numpy()
    assert found["rows"] == len(whole)
    place = 20
    logs = np.log(with_temperature(probabilities, TEMPERATURES[place]))[np.arange(len(places)), places]
    assert found["log_loss"][place] == pytest.approx(-logs.mean(), abs=1e-4)
    model.temperature = TEMPERATURES[place]
    figures = calibration_metrics(model.best_guesses(train).withColumn("split", F.lit(TRAIN)), model.temperature, 0.0)
    assert found["calibration_error"][place] == pytest.approx(figures["splits"][TRAIN]["calibration_error"], abs=1e-3)
    losses = [[3.0] * len(TEMPERATURES) for _ in range(2)]
    losses[0][7], losses[1][9] = 1.0, 2.0
    tried = [{"rows": rows, "log_loss": loss} for rows, loss in zip((10, 30), losses, strict=True)]
    assert best_temperature(tried) == TEMPERATURES[9]  # thrice the rows, half the gain
    assert try_temperatures(model, train.limit(0)) is None


@pytest.mark.long
def test_a_temperature_that_the_settings_give_is_the_bundles(spark, few_letters, tmp_path):
    words = ["mllib.classifier=forest", "mllib.trees=2", "mllib.depth=2", "answers.temperature=1.7"]
    train(spark, [few_letters], str(tmp_path / "bundle"), config=load_config(None, words))
    assert read_model(str(tmp_path / "bundle")).temperature == 1.7


@pytest.fixture(scope="module")
def scored(spark):
    """500 test answers that are surer than they are right, 100 of validation, and some that could not be scored."""
    random = np.random.default_rng(4)
    rows = []
    for n in range(600):
        given = float(np.float32(random.uniform(0.3, 1)))
        probability = float(np.float32(given**2))
        right = random.random() < probability
        rows.append(("test" if n < 500 else "validation", "A", "A" if right else "B", probability, given))
    rows += [("test", "A", None, None, None)] * 7
    schema = "split string, label string, letter string, probability double, as_given double"
    frame = spark.createDataFrame(rows, schema).selectExpr(
        "split", "label", "letter", "cast(probability as float) probability", "cast(as_given as float) as_given"
    )
    return frame, pd.DataFrame(rows, columns=["split", "label", "letter", "probability", "as_given"])


def test_the_calibration_error_is_the_mean_gap_of_fifteen_bins(scored):
    frame, rows = scored
    found = calibration_metrics(frame, 2.0, 0.25)
    for split in ("test", "validation"):
        mine = rows[(rows["split"] == split) & rows["probability"].notna()]
        for column, name in (("probability", "calibration_error"), ("as_given", "calibration_error_before")):
            gaps = 0.0
            right = (mine["letter"] == mine["label"]).to_numpy()
            bins = np.minimum((mine[column].to_numpy() * 15).astype(int), 14)
            for n in np.unique(bins):
                gaps += (bins == n).sum() * abs(mine[column].to_numpy()[bins == n].mean() - right[bins == n].mean())
            assert found["splits"][split][name] == pytest.approx(gaps / len(mine), abs=1e-5)
    test = found["splits"]["test"]
    assert test["calibration_error"] < test["calibration_error_before"]
    assert sum(part["rows"] for part in test["bins"]) == 500


def test_coverage_is_the_share_that_is_answered_of_all_pictures(scored):
    frame, rows = scored
    test = calibration_metrics(frame, 1.0, 0.25)["splits"]["test"]
    mine = rows[rows["split"] == "test"]
    for threshold in (0.25, 0.5, 0.9):
        answered = mine[mine["probability"] >= threshold]
        mark = at_threshold(test, threshold)
        assert mark["coverage"] == pytest.approx(len(answered) / 507)
        assert mark["accuracy"] == pytest.approx((answered["letter"] == answered["label"]).mean())
    assert at_threshold(test, 0.0)["coverage"] == pytest.approx(500 / 507)
    assert test["curve"]["coverage"][-1] == pytest.approx(500 / 507, abs=1e-4)
    assert test["curve"]["accuracy"][-1] == pytest.approx(at_threshold(test, 0.0)["accuracy"], abs=1e-4)
    assert test["curve"]["coverage"] == sorted(test["curve"]["coverage"])


def test_probabilities_on_the_edges_count_as_answered_and_stay_in_the_last_bin(spark):
    rows = [("test", "A", "A", 1.0), ("test", "A", "B", 1.0), ("test", "A", "A", 0.95), ("test", "A", "A", 0.5)]
    frame = spark.createDataFrame(rows, "split string, label string, letter string, probability float")
    found = calibration_metrics(frame.withColumn("as_given", F.col("probability")), 1.0, 0.5)["splits"]["test"]
    coverage = {threshold: at_threshold(found, threshold)["coverage"] for threshold in (0.3, 0.5, 0.6, 0.95, 0.99)}
    assert coverage == {0.3: 1.0, 0.5: 1.0, 0.6: 0.75, 0.95: 0.75, 0.99: 0.5}
    assert at_threshold(found, 0.5)["accuracy"] == 0.75
    # 0.95 and 1 lie in the last of the fifteen bins: 14/15 is below both.
    assert [part["rows"] for part in found["bins"]] == [1, 3]
    assert found["calibration_error"] == pytest.approx((1 * 0.5 + 3 * (2.95 / 3 - 2 / 3)) / 4)


def test_nothing_scored_is_told_as_such(spark, scored, tmp_path):
    frame, _ = scored
    found = calibration_metrics(frame.where("letter is null"), 1.0, 0.0)
    assert found["splits"]["test"]["calibration_error"] is None
    assert at_threshold(found["splits"]["test"], 0.0) == {"threshold": 0.0, "coverage": 0.0, "accuracy": None}
    for figures in (found, calibration_metrics(frame, 2.0, 0.25)):
        plot_calibration(figures, tmp_path / "calibration.png")
        plot_coverage(figures, tmp_path / "coverage.png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())

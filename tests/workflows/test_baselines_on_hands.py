"""Landmarks as features of MLlib's models: from the column of hands to a bundle that scores."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql.pandas.types import to_arrow_schema
from tables_with_hands import LETTERS, SIDE, rows_with_hands, write_ingested

from aslspark import evaluate, train
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.data.samples import HAND_TYPE, TEST, read_samples
from aslspark.features.landmarks import FEATURES, hand_vectors, landmark_features
from aslspark.features.pipeline import LandmarkFeatures, feature_pipeline
from aslspark.models.onnx_classifier import NO_HAND_FOUND
from aslspark.scoring.calibration import ABSTAINED
from aslspark.scoring.model import SignClassifierModel
from jobs import score
from jobs import train_baseline as job

FOREST = ["mllib.classifier=forest", "mllib.trees=5", "mllib.depth=4"]
PIXELS = SIDE * SIDE * 3


@pytest.fixture(scope="module")
def rows():
    return rows_with_hands()


@pytest.fixture(scope="module")
def with_hands(spark, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hands") / "ingested"
    folder.mkdir()
    return write_ingested(spark, rows, folder)


@pytest.fixture(scope="module")
def expected(rows):
    """The features of each row, by numpy alone."""
    hands = pa.array(
        [None if row[6] is None else dict(zip(HAND_TYPE.names, row[6], strict=True)) for row in rows],
        pa.struct(list(to_arrow_schema(HAND_TYPE))),
    )
    features = landmark_features(hand_vectors(hands), True)
    return {row[0]: feature for row, feature in zip(rows, features, strict=True)}


@pytest.fixture(scope="module")
def bundles(spark, with_hands, tmp_path_factory):
    """A forest on landmarks and a perceptron on both, with what their training said."""
    out = tmp_path_factory.mktemp("baselines")
    found = {}
    for name, words in (
        ("landmarks", FOREST),
        ("both", ["mllib.classifier=mlp", "mllib.hidden='8'", "mllib.iterations=5"]),
    ):
        config = load_config(None, ["answers.threshold=0.4", *words, f"mllib.reads={name}"])
        found[name] = train(spark, [with_hands], str(out / name), config=config).metrics
    return out, found


def test_the_features_in_spark_are_those_of_numpy_and_0_where_no_hand_was_found(spark, with_hands, rows, expected):
    samples = read_samples(spark, with_hands)
    found = LandmarkFeatures(upright=True).transform(samples).select("id", vector_to_array("landmarks", "float32"))
    in_spark = {row[0]: row[1] for row in found.collect()}
    assert in_spark.keys() == expected.keys()
    for row in rows:
        assert np.array_equal(in_spark[row[0]], expected[row[0]])
        assert np.any(expected[row[0]]) == (row[6] is not None and row[6][0] is not None)


@pytest.mark.long
def test_without_validation_rows_a_forest_keeps_its_own_probabilities(spark, rows, tmp_path):
    write_ingested(spark, [row for row in rows if row[5] != "validation"], tmp_path / "ingested")
    config = load_config(None, [*FOREST, "mllib.reads=landmarks"])
    train(spark, [str(tmp_path / "ingested")], str(tmp_path / "bundle"), config=config)
    assert SignClassifierModel.load(str(tmp_path / "bundle")).temperature == 1


@pytest.mark.parametrize("name", ["landmarks", "both"])
def test_an_empty_table_is_scored_too(name, spark, with_hands, bundles):
    model = SignClassifierModel.load(str(bundles[0] / name))
    assert model.transform(read_samples(spark, with_hands).where("false")).collect() == []


def test_it_is_the_same_stage_after_saving(spark, with_hands, tmp_path):
    LandmarkFeatures(upright=True, outputCol="shape").save(str(tmp_path / "stage"))
    again = LandmarkFeatures.load(str(tmp_path / "stage"))
    assert again.getOrDefault("upright") is True
    assert again.getOutputCol() == "shape"
    assert len(again.transform(read_samples(spark, with_hands)).first()["shape"]) == FEATURES


def test_the_pipeline_puts_the_landmarks_behind_the_pixels(spark, with_hands, expected, tmp_path):
    samples = read_samples(spark, with_hands)
    fitted = feature_pipeline(spark, LETTERS, True, ("picture", "landmarks"), True).fit(samples)
    fitted.save(str(tmp_path / "pipeline"))
    row = PipelineModel.load(str(tmp_path / "pipeline")).transform(samples).first()
    assert len(row["pixels"]) == PIXELS
    assert np.array_equal(row["scaled_features"].toArray()[:PIXELS], row["pixels"].toArray())
    assert np.array_equal(row["scaled_features"].toArray()[PIXELS:], expected[row["id"]])
    alone = feature_pipeline(spark, LETTERS, True, ["landmarks"]).fit(samples).transform(samples)
    assert "pixels" not in alone.columns
    assert len(alone.first()["scaled_features"]) == FEATURES


def test_a_forest_reads_from_landmarks_what_the_pictures_do_not_show(bundles):
    out, found = bundles
    hands = {figures["group"]: figures for figures in found["landmarks"]["groups"]["hand"]}
    assert hands["yes"]["accuracy"] > 0.9
    assert (hands["no"]["accuracy"], hands["no"]["rows"]) == (0, found["landmarks"]["unscored"])
    assert hands["no"]["rows"] > 0
    manifest = json.loads((out / "landmarks" / "bundle.json").read_text())
    assert manifest["inputs"] == ["landmarks"]
    card = (out / "landmarks" / "README.md").read_text()
    assert "which reads the landmarks of the hand" in card
    assert f"In {hands['no']['rows']} of 48 test pictures no hand was found" in card


def test_without_a_hand_a_model_of_landmarks_says_so_and_one_of_both_reads_the_picture(spark, bundles, with_hands):
    out, _ = bundles
    samples = read_samples(spark, with_hands, [TEST])
    for name in ("landmarks", "both"):
        model = SignClassifierModel.load(str(out / name)).setThreshold(0)
        for row in model.transform(samples).collect():
            blind = name == "landmarks" and (row["hand"] is None or row["hand"]["found"] is None)
            assert row["reason"] == (NO_HAND_FOUND if blind else None)
            assert (row["letter"] is None) == (row["top"] is None) == (row["probability"] is None) == blind


def test_the_scoring_job_leaves_out_what_it_is_not_sure_of(spark, bundles, with_hands, tmp_path):
    out, _ = bundles
    for name, words, least in (("as the bundle says", [], 0.4), ("as asked", ["--threshold", "0.9"], 0.9)):
        score.main(["--model", str(out / "landmarks"), "--data", with_hands, "--out", str(tmp_path / name), *words])
        rows = spark.read.parquet(str(tmp_path / name)).collect()
        assert {row["reason"] for row in rows} == {None, NO_HAND_FOUND, *([ABSTAINED] if least == 0.9 else [])}
        for row in rows:
            if row["reason"] != NO_HAND_FOUND:
                assert (row["letter"] is None) == (row["reason"] == ABSTAINED) == (row["probability"] < least)
                assert row["letter"] in (None, row["top"][0]["letter"])


def test_a_table_without_hands_is_refused_by_name(spark, ingested, bundles, tmp_path):
    words = ["--model", "forest", "--data", ingested, "--out", str(tmp_path / "out")]
    with pytest.raises(AslsparkError, match=r"\(--features\): .*no column hand; .*hands\.on=true"):
        job.main([*words, "--features", "both"])
    assert list(tmp_path.iterdir()) == []
    out, _ = bundles
    model = SignClassifierModel.load(str(out / "landmarks"))
    model.hands = None  # or it would look for them itself
    with pytest.raises(AslsparkError, match=r"there is no column hand, .* takes landmarks; .*hands\.on=true"):
        model.transform(read_samples(spark, ingested))


def test_groups_and_certainty_are_told_where_a_bundle_is_judged_too(spark, bundles, with_hands, rows, tmp_path):
    out, found = bundles
    metrics = evaluate(spark, str(out / "both"), [with_hands], str(tmp_path / "judged"))
    assert metrics["groups"] == found["both"]["groups"]
    tested = [row for row in rows if row[5] == TEST]
    seen = [row for row in tested if row[6] is not None and row[6][0] is not None]

    def counted(kind):
        return {figures["group"]: figures["rows"] for figures in metrics["groups"][kind]}

    assert counted("signer") == {name: sum(row[4] == name for row in tested) for name in ("ann", "bob", "cyd")}
    assert counted("side") == {side: sum(row[6][3] == side for row in seen) for side in ("left", "right")}
    bobs = sum(row[4] == "bob" for row in seen)
    assert counted("size") == {"below 20%": bobs, "40% to 60%": len(seen) - bobs}
    of_signer = {"very light": "ann", "brown": "bob", "dark": "cyd"}
    assert counted("skin") == {band: sum(row[4] == name for row in seen) for band, name in of_signer.items()}
    assert metrics["certainty"]["threshold"] == 0.4
    assert metrics["certainty"]["splits"][TEST] == found["both"]["certainty"]["splits"][TEST]
    drawn = {path.name for path in (tmp_path / "judged").iterdir() if path.suffix == ".png"}
    assert drawn == {
        *("confusion.png", "mistakes.png", "confusable.png"),
        *("calibration.png", "coverage.png", "groups.png"),
    }

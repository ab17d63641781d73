import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as F
from real_hands import options

from aslspark import evaluate, train
from aslspark.common.settings import HandConfig, load_config
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import HAND_COLUMN, PICTURE_TYPE, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.images.decoding import decode
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.models import torch_network
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel

SHAPE = (64, 64, 3)
LABELS = ("A", "B", "J", "nothing")
FOREST = ["mllib.classifier=forest", "mllib.trees=3", "mllib.depth=4"]
TURNED = HandConfig(on=True, upright=True, margin=0.4)


@pytest.fixture(scope="module")
def ingested(spark, hands, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("scored") / "out")
    split = SplitOptions(blocks=4, test=0.3, validation=0.0)
    ingest_sources(spark, [str(hands)], out, pictures=options(spark, TURNED), split=split)
    return out


@pytest.fixture(scope="module")
def bundle(spark, ingested, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("bundles") / "forest")
    train(spark, [ingested], out, config=load_config(None, FOREST))
    return out


def network():
    import torch

    torch.manual_seed(5)
    built = torch_network.build("small_cnn", SHAPE, len(LABELS), 0.0).eval()
    return OnnxClassifier(torch_network.to_onnx(built, SHAPE, True), LABELS, SHAPE)


@pytest.fixture(scope="module")
def model():
    model = SignClassifierModel(network())
    model.hands = HandDetector(HandOptions(margin=0.4, upright=True), installed_networks("test"))
    return model


@pytest.fixture(scope="module")
def expected(model, spark, ingested):
    """What the network says to the crops that ingest has stored."""
    return answers(model.setInputCol("picture").transform(read_samples(spark, ingested)), F.col("id"))


def answers(scored, name):
    rows = scored.select(F.substring_index(name, "/", -1).alias("name"), "letter", "probability", "reason").collect()
    return {row["name"]: (row["letter"], row["probability"], row["reason"]) for row in rows}


def binary(spark, folder):
    return spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(folder))


def test_files_are_cropped_as_ingest_crops_them(spark, model, hands, expected):
    scored = model.setInputCol("content").transform(binary(spark, hands).select("path", "content"))
    assert scored.columns == ["path", "content", "letter", "probability", "top", "reason"]
    found = answers(scored, F.col("path"))
    assert found.pop("cut.jpg")[2].startswith("cut short")
    assert found.keys() == expected.keys()
    for name, (letter, probability, reason) in found.items():
        assert (letter, reason) == (expected[name][0], None)
        assert probability == pytest.approx(expected[name][1], abs=1e-4)


def test_images_and_pictures_of_other_sizes_are_cropped_too(spark, model, hands, expected):
    folder = str(hands / "A")
    images = spark.read.format("image").option("dropInvalid", True).load(f"{folder}/A*.jpg")
    found = answers(model.setInputCol("image").transform(images), F.col("image.origin"))
    paths = sorted((hands / "A").glob("A*.jpg"))
    rows = [
        (path.name, (224, 224, 3, bytearray(np.asarray(Image.open(path).convert("RGB")).tobytes()), None))
        for path in paths
    ]
    structs = spark.createDataFrame(rows, f"name string, picture {PICTURE_TYPE.simpleString()}")
    as_structs = answers(model.setInputCol("picture").transform(structs), F.col("name"))
    assert found.keys() == as_structs.keys() == {path.name for path in paths}
    for name in found:
        for said in (found[name], as_structs[name]):
            # libjpeg is Spark's own there, so pixels differ by a little.
            assert said[1] == pytest.approx(expected[name][1], abs=0.02)


def test_pictures_of_the_models_size_and_tables_with_hands_are_taken_as_they_are(spark, model, ingested, expected):
    samples = read_samples(spark, ingested)
    without = answers(model.setInputCol("picture").transform(samples.drop(HAND_COLUMN)), F.col("id"))
    assert without == expected
    whole = SignClassifierModel(model.classifier)
    assert answers(whole.transform(samples), F.col("id")) == expected


def test_a_model_without_the_stage_sees_whole_pictures(spark, model, hands, expected):
    whole = SignClassifierModel(model.classifier).setInputCol("content")
    files = binary(spark, hands / "A")
    found = answers(whole.transform(files), F.col("path"))
    different = [abs(found[name][1] - expected[name][1]) > 1e-4 for name in found if name in expected]
    assert all(different)


def test_a_stage_of_a_pipeline_keeps_its_hands(spark, model, hands, expected, tmp_path):
    files = binary(spark, hands / "A")
    pipeline = Pipeline(stages=[model.setInputCol("content")]).fit(files)
    pipeline.save(str(tmp_path / "saved"))
    again = PipelineModel.load(str(tmp_path / "saved"))
    assert again.stages[0].hands == model.hands
    found = answers(again.transform(files), F.col("path"))
    assert found["A0.jpg"][1] == pytest.approx(expected["A0.jpg"][1], abs=1e-4)


@pytest.mark.long
def test_a_trained_bundle_keeps_how_its_pictures_were_cropped(bundle):
    kept = json.loads(Path(bundle, "bundle.json").read_text())["preprocessing"]["hands"]
    assert (kept["upright"], kept["margin"]) == (True, 0.4)
    loaded = SignClassifierModel.load(bundle)
    assert isinstance(loaded.classifier, MllibClassifier)
    assert loaded.hands.options == HandOptions(upright=True, margin=0.4)


@pytest.mark.long
def test_mllib_scores_files_by_their_crops(spark, bundle, ingested, hands):
    forest = SignClassifierModel.load(bundle)
    stored = answers(forest.transform(read_samples(spark, ingested)), F.col("id"))
    files = answers(forest.setInputCol("content").transform(binary(spark, hands)), F.col("path"))
    assert files.pop("cut.jpg")[0] is None
    assert files.keys() == stored.keys()
    assert all(files[name][1] == pytest.approx(stored[name][1], abs=1e-6) for name in files)


def test_evaluating_on_raw_pictures_ingests_them_as_the_bundle_wants(spark, bundle, hands, tmp_path):
    metrics = evaluate(spark, bundle, [str(hands)], str(tmp_path / "out"))
    assert metrics["splits"]["test"]["rows"] == 21
    kept = json.loads((tmp_path / "out" / "ingested" / "ingest.json").read_text())
    assert (kept["hands"]["upright"], kept["hands"]["margin"]) == (True, 0.4)
    assert kept["hands_found"]["hands"]["found"]["plain"] > 5


def test_the_whole_picture_is_scored_where_there_is_no_hand(spark, model, hands):
    path = hands / "nothing" / "N0.jpg"
    seen = decode(path.read_bytes(), model.form)
    schema = f"picture {PICTURE_TYPE.simpleString()}"
    fitted = spark.createDataFrame([((*SHAPE, bytearray(seen.tobytes()), None),)], schema)
    alone = model.setInputCol("picture").transform(fitted).first()
    as_file = model.setInputCol("content").transform(binary(spark, path)).first()
    assert as_file["probability"] == pytest.approx(alone["probability"], abs=1e-3)

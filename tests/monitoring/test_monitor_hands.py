"""What the monitor sees in real pictures whose hands are found first."""

import pytest
from pyspark.sql import functions as F
from real_hands import options

from aslspark.common.settings import HandConfig
from aslspark.data.ingest import ingest_sources
from aslspark.data.samples import read_samples
from aslspark.data.splits import SplitOptions
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.monitoring.measures import HAND_MEASURES, PICTURE_MEASURES, score_and_measure
from aslspark.scoring.model import SignClassifierModel

SHAPE = (64, 64, 3)


@pytest.mark.long
def test_pictures_in_files_are_measured_as_those_that_were_ingested(spark, hands, tmp_path):
    settings = options(spark, HandConfig(on=True, looks=1))
    split = SplitOptions(blocks=4, test=0.3, validation=0.0)
    ingest_sources(spark, [str(hands)], str(tmp_path / "out"), pictures=settings, split=split)
    network = torch_network.build("small_cnn", SHAPE, 3, 0.0).eval()
    model = SignClassifierModel(OnnxClassifier(torch_network.to_onnx(network, SHAPE, True), ("A", "B", "J"), SHAPE))
    model.hands = settings.hands
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(hands))

    def rows(table, name):
        named = F.substring_index(name, "/", -1).alias("name")
        return score_and_measure(model, table, named).toPandas().set_index("name").sort_index()

    ingested = rows(read_samples(spark, str(tmp_path / "out")), F.col("id"))
    found = rows(files.select("path", F.col("content").alias("picture")), F.col("path"))
    assert found.loc["cut.jpg", ["unread", "no_hand"]].tolist() == [True, False]
    assert found.loc["cut.jpg", [*PICTURE_MEASURES, *HAND_MEASURES]].isna().all()
    found = found.drop("cut.jpg")
    assert found.index.tolist() == ingested.index.tolist()
    assert found["no_hand"].tolist() == ingested["no_hand"].tolist()
    assert 0 < found["no_hand"].sum() < len(found) / 2
    for name in (*PICTURE_MEASURES, *HAND_MEASURES, "confidence"):
        ours, theirs = (table[name].astype(float).to_numpy() for table in (found, ingested))
        assert ours == pytest.approx(theirs, abs=1e-4, nan_ok=True), name
    assert found.loc[~found["no_hand"], "hand_size"].astype(float).between(0.1, 1.1).all()

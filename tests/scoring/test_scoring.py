import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.linalg import Vectors
from pyspark.sql import Row
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, FloatType, StructField, StructType

from aslspark.common.errors import AslsparkError
from aslspark.data.samples import PICTURE_TYPE
from aslspark.features.scaling import scale
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel

LABELS = ("A", "B", "C", "D")
SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def network():
    import torch

    torch.manual_seed(3)
    return torch_network.build("cnn", SHAPE, len(LABELS), 0.0).eval()


@pytest.fixture
def model(network):
    return SignClassifierModel(OnnxClassifier(torch_network.to_onnx(network, SHAPE, True), LABELS, SHAPE))


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (700, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(network, pictures):
    """What the network itself says, without Spark and without ONNX."""
    import torch

    inputs = torch.from_numpy(scale(pictures, True)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return torch.softmax(network(inputs), dim=1).numpy()


def column_of(spark, kind, pictures):
    """Make a DataFrame (n, picture) with pictures in one of the forms that callers have."""
    values = [picture.tobytes() for picture in pictures]
    if kind == "bytes":
        return spark.createDataFrame([(n, bytearray(v)) for n, v in enumerate(values)], "n int, picture binary")
    if kind == "vector":
        rows = [(n, Vectors.dense(picture.ravel().astype(float))) for n, picture in enumerate(pictures)]
        return spark.createDataFrame(rows, ["n", "picture"])
    if kind in ("array<float>", "array<int>", "array<double>"):
        convert = int if kind == "array<int>" else float
        rows = [(n, [convert(x) for x in picture.ravel()]) for n, picture in enumerate(pictures)]
        return spark.createDataFrame(rows, f"n int, picture {kind}")
    if kind == "picture":
        schema = StructType([StructField("n", FloatType()), StructField("picture", PICTURE_TYPE)])
        rows = [(float(n), (28, 28, 1, bytearray(v), "raw")) for n, v in enumerate(values)]
        return spark.createDataFrame(rows, schema)
    assert kind == "image"
    image = "struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>"
    rows = [(n, ("", 28, 28, 1, 0, bytearray(v))) for n, v in enumerate(values)]
    return spark.createDataFrame(rows, f"n int, picture {image}")


@pytest.mark.parametrize("kind", ["bytes", "vector", "array<float>", "array<int>", "array<double>", "picture", "image"])
def test_every_form_of_picture_gets_what_the_network_says(spark, model, pictures, expected, kind):
    some = 40
    rows = model.transform(column_of(spark, kind, pictures[:some])).orderBy("n").collect()
    assert [row["letter"] for row in rows] == [LABELS[place] for place in expected[:some].argmax(axis=1)]
    assert np.allclose([row["probability"] for row in rows], expected[:some].max(axis=1), atol=1e-5)
    assert all(row["reason"] is None for row in rows)


def test_the_best_three_are_in_order_and_begin_with_the_letter(spark, model, pictures, expected):
    rows = model.transform(column_of(spark, "bytes", pictures)).orderBy("n").collect()
    assert len(rows) == len(pictures)
    for row, probabilities in zip(rows, expected, strict=True):
        best = np.argsort(-probabilities)[:3]
        assert [top["letter"] for top in row["top"]] == [LABELS[place] for place in best]
        assert np.allclose([top["probability"] for top in row["top"]], probabilities[best], atol=1e-5)


def test_a_network_of_two_letters_has_a_best_two(spark, pictures):
    two = torch_network.build("cnn", SHAPE, 2, 0.0).eval()
    model = SignClassifierModel(OnnxClassifier(torch_network.to_onnx(two, SHAPE, True), ("A", "B"), SHAPE))
    row = model.transform(column_of(spark, "bytes", pictures[:1])).first()
    assert sorted(top["letter"] for top in row["top"]) == ["A", "B"]


def test_what_cannot_be_scored_keeps_its_row_with_a_reason_and_nulls(spark, model, pictures):
    good = pictures[0].ravel().astype(float).tolist()
    cases = [
        (good, None),
        (None, "empty"),
        ([], "wrong size: 0 values"),
        (good[:-1], "wrong size: 783 values"),
        ([float("nan"), *good[1:]], "not a number"),
        ([None, *good[1:]], "not a number"),
        ([float("inf"), *good[1:]], "not a number"),
        ([-1.0, *good[1:]], "out of 0-255"),
        ([256.0, *good[1:]], "out of 0-255"),
    ]
    schema = StructType([StructField("n", FloatType()), StructField("picture", ArrayType(FloatType()))])
    rows = spark.createDataFrame([(float(n), values) for n, (values, _) in enumerate(cases)], schema)
    for row, (_, reason) in zip(model.transform(rows).orderBy("n").collect(), cases, strict=True):
        if reason is None:
            assert row["letter"] in LABELS
        else:
            assert (row["letter"], row["probability"], row["top"]) == (None, None, None)
            assert row["reason"].startswith(reason)


def test_broken_structs_keep_their_rows_too(spark, model):
    cases = [
        ((28, 28, 1, bytearray(784)), None),
        (None, "empty"),
        ((28, 28, 1, bytearray(0)), "empty"),
        ((28, 28, 1, bytearray(7)), "wrong size"),
        ((28, 28, 2, bytearray(1568)), "wrong size: 2 channels"),
        ((-28, -28, 1, bytearray(784)), "wrong size"),
        ((56, 56, 3, bytearray(56 * 56 * 3)), None),
    ]
    schema = StructType([StructField("n", FloatType()), StructField("picture", PICTURE_TYPE)])
    with_encoding = [(float(n), value and (*value, None)) for n, (value, _) in enumerate(cases)]
    rows = spark.createDataFrame(with_encoding, schema)
    for row, (_, reason) in zip(model.transform(rows).orderBy("n").collect(), cases, strict=True):
        assert (row["reason"] or "").startswith(reason or "")
        assert (row["letter"] is None) == (reason is not None)


def test_sparks_image_source_gives_bgr_which_is_turned(spark):
    network = torch_network.build("cnn", (28, 28, 3), 4, 0.0).eval()
    model = SignClassifierModel(OnnxClassifier(torch_network.to_onnx(network, (28, 28, 3), False), LABELS, (28, 28, 3)))
    rgb = np.random.default_rng(5).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    image = "struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>"
    as_image = spark.createDataFrame(
        [Row(picture=("", 28, 28, 3, 16, bytearray(rgb[:, :, ::-1].tobytes())))], f"picture {image}"
    )
    as_bytes = spark.createDataFrame([Row(picture=bytearray(rgb.tobytes()))], "picture binary")
    assert model.transform(as_image).first()["probability"] == pytest.approx(
        model.transform(as_bytes).first()["probability"], abs=1e-6
    )


def test_other_columns_and_all_rows_stay(spark, model, pictures):
    frame = column_of(spark, "bytes", pictures[:50]).withColumn("odd. `name", F.lit(1)).repartition(3)
    scored = model.transform(frame)
    assert scored.columns == [*frame.columns, "letter", "probability", "top", "reason"]
    assert sorted(row["n"] for row in scored.collect()) == list(range(50))


def test_an_empty_frame_gives_an_empty_frame(spark, model):
    assert model.transform(spark.createDataFrame([], "n int, picture binary")).collect() == []


def test_a_missing_column_a_wrong_type_and_a_taken_name_are_named(spark, model, pictures):
    frame = column_of(spark, "bytes", pictures[:1])
    with pytest.raises(AslsparkError, match=r"inputCol=hand: .*n, picture"):
        SignClassifierModel(model.classifier).setInputCol("hand").transform(frame)
    with pytest.raises(AslsparkError, match=r"inputCol=n: int is no picture"):
        SignClassifierModel(model.classifier).setInputCol("n").transform(frame)
    with pytest.raises(AslsparkError, match=r"already has letter"):
        model.transform(frame.withColumn("letter", F.lit("A")))
    assert isinstance(frame.schema["picture"].dataType, BinaryType)


def test_it_is_a_stage_of_a_pipeline_that_can_be_saved(spark, model, pictures, tmp_path):
    frame = column_of(spark, "bytes", pictures[:20])
    pipeline = Pipeline(stages=[model]).fit(frame)
    pipeline.save(str(tmp_path / "saved"))
    again = PipelineModel.load(str(tmp_path / "saved"))
    assert again.transform(frame).collect() == pipeline.transform(frame).collect()

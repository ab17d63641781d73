"""Networks that take landmarks, through real Horovod into a bundle and back, in both frameworks."""

import json

import numpy as np
import pytest
from hand_tables import with_hands
from horovod.spark.common.store import Store
from pyspark.sql import functions as F
from tiny_training import SimpleTraining, answers, random_inputs

from aslspark import train
from aslspark.bundle.checks import NETWORK_FILES
from aslspark.bundle.files import read_bundle, read_manifest, seal
from aslspark.bundle.framework_network import framework_network
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import AugmentConfig, load_config
from aslspark.data.samples import TEST, TRAIN, VALIDATION, read_samples
from aslspark.evaluation.grad_cam import explain_bundle, require_network, write_sheet
from aslspark.evaluation.sample_pictures import as_read, hands_of, one_of_each_label
from aslspark.evaluation.speed import measure_speed
from aslspark.features.landmarks import FEATURES, HAND_FOUND, landmark_features
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.initial_weights import check_network

TWO = ["network.name=two_branch", "training.epochs=3", "features.upright=true"]


@pytest.fixture(scope="module")
def table(spark, ingested, tmp_path_factory):
    """The drawn hands, with made-up landmarks that tell the letters apart."""
    return with_hands(spark, ingested, tmp_path_factory.mktemp("hands"))


@pytest.fixture(scope="module", params=[pytest.param("keras", marks=pytest.mark.long), "torch"])
def bundle(request, spark, table, tmp_path_factory):
    """A bundle of the network with two branches, from two processes."""
    out = tmp_path_factory.mktemp("bundles") / request.param
    train(spark, [table], str(out), config=load_config(None, [*TWO, f"training.framework={request.param}"]))
    return out


def build(framework, name, shape, classes=24):
    if framework == "keras":
        from aslspark.models.keras_network import build
    else:
        from aslspark.models.torch_network import build
    return build(name, shape, classes, 0.1)


def test_it_learns_from_the_landmarks_what_pictures_do_not_tell_so_soon(bundle):
    metrics = json.loads((bundle / "metrics.json").read_text())
    # Letters cannot be told apart in the eighth of the rows without a hand.
    assert metrics["splits"]["test"]["accuracy"] > 0.6


def test_the_bundle_says_what_the_network_takes(bundle):
    manifest = read_manifest(str(bundle))
    assert manifest["inputs"] == ["picture", "landmarks"]
    assert manifest["preprocessing"]["upright"] is True
    assert manifest["preprocessing"]["landmark_features"] == FEATURES
    assert manifest["shape"] == [28, 28, 1]
    card = (bundle / "README.md").read_text()
    assert f"takes `picture`, uint8 (n, 28, 28, 1), unscaled, and `landmarks`, float32 (n, {FEATURES})" in card
    assert "landmark (100%)" in card


def test_a_loaded_bundle_scores_as_its_network_on_pictures_and_features(spark, bundle, table):
    import onnxruntime

    model = SignClassifierModel.load(str(bundle))
    assert model.classifier.inputs == ("picture", "landmarks")
    samples = read_samples(spark, table, [TEST]).orderBy("id").limit(40)
    rows = samples.collect()
    hands = hands_of(rows)
    assert 0 < (hands[:, HAND_FOUND] == 0).sum() < len(rows)
    session = onnxruntime.InferenceSession(str(bundle / "network.onnx"))
    pictures = np.stack([as_read(row["picture"], model) for row in rows])
    given = {"picture": pictures, "landmarks": landmark_features(hands, True)}
    expected = session.run(["probability"], given)[0]
    scored = {row["id"]: row for row in model.best_guesses(samples).collect()}
    for row, probabilities in zip(rows, expected, strict=True):
        assert scored[row["id"]]["as_given"] == pytest.approx(probabilities.max(), abs=1e-5)
        assert scored[row["id"]]["letter"] == model.labels[probabilities.argmax()]


def test_the_network_file_and_the_onnx_file_say_the_same(bundle, table):
    import onnxruntime

    given = random_inputs(("picture", "landmarks"), (28, 28, 1), 20)
    by_onnx = onnxruntime.InferenceSession(str(bundle / "network.onnx")).run(None, given)[0]
    framework = read_manifest(str(bundle))["framework"]
    network = framework_network(read_bundle(str(bundle), keep=NETWORK_FILES), str(bundle))
    assert np.allclose(by_onnx, answers(framework, network, *given.values()), atol=1e-5)


def test_either_branch_may_be_missing(spark, bundle, table):
    model = SignClassifierModel.load(str(bundle))
    samples = read_samples(spark, table, [TEST])
    letters = {}
    black = F.struct(
        *(F.col(f"picture.{name}") for name in ("height", "width", "channels")), F.lit(bytearray(28 * 28)).alias("data")
    )
    for name, given in (
        ("both", samples),
        ("no hand", samples.withColumn("hand", F.lit(None).cast(samples.schema["hand"].dataType))),
        ("no picture", samples.withColumn("picture", black)),
    ):
        scored = model.transform(given).select("label", "letter", "reason").collect()
        assert all(row["reason"] is None for row in scored)
        letters[name] = np.mean([row["label"] == row["letter"] for row in scored])
    assert letters["no picture"] > 0.6
    assert letters["no hand"] < letters["both"]


def test_samples_without_hands_are_refused_at_scoring(spark, bundle, ingested):
    model = SignClassifierModel.load(str(bundle))
    samples = read_samples(spark, ingested)
    with pytest.raises(AslsparkError, match=r"no column hand, and the network takes landmarks; .*hands\.on=true"):
        model.transform(samples)
    with pytest.raises(AslsparkError, match="column hand: string is no hand"):
        model.transform(samples.withColumn("hand", F.lit("left")))


def test_a_saved_stage_keeps_its_inputs(bundle, tmp_path):
    model = SignClassifierModel.load(str(bundle))
    model.save(str(tmp_path / "stage"))
    loaded = SignClassifierModel.load(str(tmp_path / "stage")).classifier
    assert (loaded.inputs, loaded.upright) == (("picture", "landmarks"), True)


def test_a_bundle_with_another_number_of_features_is_refused(bundle, tmp_path):
    import shutil

    shutil.copytree(bundle, tmp_path / "old")
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["preprocessing"]["landmark_features"] = FEATURES + 1
    (tmp_path / "old" / "bundle.json").write_text(json.dumps(manifest))
    seal(tmp_path / "old")
    with pytest.raises(AslsparkError, match=f"takes {FEATURES + 1} features .* makes {FEATURES}: use the version"):
        SignClassifierModel.load(str(tmp_path / "old"))


def test_grad_cam_looks_at_the_picture_branch_with_the_landmarks_given(spark, bundle, table, tmp_path):
    model = SignClassifierModel.load(str(bundle))
    rows = one_of_each_label(read_samples(spark, table, [TEST]))
    pictures = np.stack([as_read(row["picture"], model) for row in rows])
    letters, heat = explain_bundle(str(bundle), pictures, hands_of(rows))
    assert heat.shape == (len(rows), 28, 28)
    assert heat.max() == pytest.approx(1)
    scored = {row["id"]: row["letter"] for row in model.transform(read_samples(spark, table, [TEST])).collect()}
    assert letters == [scored[row["id"]] for row in rows]
    write_sheet(str(bundle), model, rows, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.fixture(scope="module")
def alone(spark, table, tmp_path_factory):
    """A bundle of the network that takes nothing but landmarks."""
    out = tmp_path_factory.mktemp("bundles") / "alone"
    words = ["training.framework=keras", "network.name=landmark_net", "training.epochs=3", "training.num_proc=1"]
    train(spark, [table], str(out), config=load_config(None, words))
    return out


@pytest.mark.long
def test_a_network_of_landmarks_alone_needs_no_pictures(spark, alone, table):
    model = SignClassifierModel.load(str(alone))
    assert model.classifier.inputs == ("landmarks",)
    assert model.form.shape == (28, 28, 1)
    scored = model.transform(read_samples(spark, table, [TEST]).drop("picture")).collect()
    for row in scored:
        assert (row["reason"] is None) == (row["letter"] is not None) == (row["hand"] is not None)
    assert {row["reason"] for row in scored} == {None, "no hand found"}
    assert np.mean([row["label"] == row["letter"] for row in scored if row["letter"]]) > 0.7
    assert not (alone / "augmented.png").exists()


@pytest.mark.long
def test_grad_cam_refuses_a_network_without_pictures(alone):
    with pytest.raises(AslsparkError, match="takes no pictures that it could look at"):
        require_network(str(alone))


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_picture_that_is_left_out_stays_so_however_pictures_are_changed(framework):
    shape = (16, 16, 1)
    model = build(framework, "two_branch", shape)
    augment = AugmentConfig(brightness_probability=1.0, brightness=1.0, background_probability=1.0)
    training = SimpleTraining(framework, model, shape, inputs=("picture", "landmarks"), augment=augment)
    batch = training.batch()
    batch.pictures[1] = 0
    given = batch.inputs(("picture", "landmarks"))
    if framework == "torch":
        import torch

        given = [torch.from_numpy(value) for value in given]
    pictures, landmarks = training.trainable._ready(given, training=True)
    assert [bool(np.any(picture)) for picture in np.asarray(pictures)] == [True, False, True, True]
    assert np.array_equal(np.asarray(landmarks), batch.landmarks)


@pytest.mark.parametrize("name", ["two_branch", "landmark_net"])
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_data_without_hands_is_refused_before_anything_is_launched(framework, name, spark, ingested, tmp_path):
    words = [f"network.name={name}", f"training.framework={framework}"]
    with pytest.raises(AslsparkError, match=r"no column hand, and the network takes landmarks; .*hands\.on=true"):
        train(spark, [ingested], str(tmp_path / "bundle"), config=load_config(None, words))
    with pytest.raises(AslsparkError, match=f"network.name={name}: .* get with hands.on=true"):
        train(spark, ["letters.csv"], str(tmp_path / "bundle"), config=load_config(None, words))
    assert list(tmp_path.iterdir()) == []


def test_petastorm_is_refused_for_landmarks(spark, table, tmp_path):
    with pytest.raises(AslsparkError, match="feed=petastorm: its flat copy holds no landmarks"):
        check_network(load_config(None, ["network.name=two_branch", "training.feed=petastorm"]))
    with pytest.raises(AslsparkError, match="feed=petastorm: its flat copy holds no landmarks"):
        estimator("torch", tmp_path, [[-1, FEATURES]], feed="petastorm").fit_on_parquet()


def estimator(framework, folder, input_shapes, **more):
    import torch

    from aslspark.training.torch_estimator import SignTorchEstimator

    torch.manual_seed(1)
    model = build(framework, "landmark_net", (28, 28, 1))
    return SignTorchEstimator(
        model=model,
        input_shapes=input_shapes,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        loss=torch.nn.CrossEntropyLoss(),
        **{
            "num_proc": 1,
            "store": Store.create(f"file://{folder}/store", save_runs=False),
            "labels": list("ABCDEFGHIKLMNOPQRSTUVWXY"),
            "feature_cols": ["picture"],
            "label_cols": ["label"],
            "validation": "held_out",
            "batch_size": 32,
            "epochs": 1,
            **more,
        },
    )


def test_an_estimator_takes_landmarks_from_the_column_that_is_named(spark, table, tmp_path):
    samples = read_samples(spark, table, [TRAIN, VALIDATION]).withColumn("held_out", F.col("split") == VALIDATION)
    bare = samples.select("label", "held_out", F.col("hand").alias("fingers"))
    fitted = estimator("torch", tmp_path, [[-1, FEATURES]], hand_col="fingers", upright=True).fit(bare)
    assert fitted.classifier.inputs == ("landmarks",)
    assert fitted.classifier.upright
    assert fitted.getHistory()[0]["rows"] == samples.where("not held_out").count()
    with pytest.raises(AslsparkError, match=r"the DataFrame: there is no column fingers, .*hands\.on=true"):
        estimator("torch", tmp_path, [[-1, FEATURES]], hand_col="fingers").fit(samples)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([[-1, FEATURES + 3]], rf"it takes \({FEATURES + 3},\); give .* landmarks \(n, {FEATURES}\)"),
        ([[-1, 3, 7]], rf"give \[-1, channels, height, width\] for pictures, \[-1, {FEATURES}\] for landmarks"),
        ([], "give .* in a list of one or both"),
    ],
)
def test_inputs_that_are_neither_pictures_nor_landmarks_are_refused(spark, table, tmp_path, shapes, message):
    with pytest.raises(AslsparkError, match=message):
        estimator("torch", tmp_path, shapes).fit(read_samples(spark, table).withColumn("held_out", F.lit(False)))


@pytest.mark.slow
def test_speed_is_measured_of_every_kind_of_network():
    from aslspark.models.torch_network import to_onnx

    networks = {}
    for name, inputs in (("two_branch", ("picture", "landmarks")), ("landmark_net", ("landmarks",))):
        model = build("torch", name, (28, 28, 1))
        onnx = to_onnx(model, (28, 28, 1), True, inputs)
        networks[name] = OnnxClassifier(onnx, tuple("ABC"), (28, 28, 1), inputs=inputs)
    speeds = measure_speed(networks, threads=1)
    assert all(speeds[name].pictures_a_second > 0 and speeds[name].ms_a_picture > 0 for name in networks)

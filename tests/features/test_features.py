import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array

from aslspark.common.errors import AslsparkError
from aslspark.data.samples import TRAIN, read_samples
from aslspark.features.pictures import fit_picture
from aslspark.features.pipeline import feature_pipeline
from aslspark.features.scaling import scale
from aslspark.images.image_spec import ImageSpec
from aslspark.training.feed import RowReader, SampleFeed

LABELS = [letter for letter in "ABCDEFGHIKLMNOPQRSTUVWXY"]


@pytest.fixture
def pictures():
    some = np.random.default_rng(1).integers(20, 200, (6, 28, 28, 3), dtype=np.uint8)
    some[3] = 77  # one single value
    return some


def test_stretched_pictures_reach_from_0_to_1_and_flat_ones_become_0(pictures):
    stretched = scale(pictures, stretch=True)
    assert stretched.dtype == np.float32
    assert stretched[0].min() == 0
    assert stretched[0].max() == 1
    assert not stretched[3].any()


def test_unstretched_pictures_are_divided_by_255(pictures):
    assert np.array_equal(scale(pictures, stretch=False), (pictures / 255).astype(np.float32))


@pytest.mark.parametrize("stretch", [True, False])
def test_keras_and_torch_scale_to_the_same_numbers(pictures, stretch):
    import torch

    from aslspark.models import keras_network, torch_network

    expected = scale(pictures, stretch)
    assert np.allclose(keras_network.scale(pictures, stretch).numpy(), expected, atol=1e-6)
    in_torch = torch_network.scale(torch.from_numpy(pictures), stretch).permute(0, 2, 3, 1).numpy()
    assert np.allclose(in_torch, expected, atol=1e-6)


@pytest.mark.parametrize("stretch", [True, False])
def test_the_fast_feed_gives_the_numbers_of_the_feature_pipeline(spark, ingested, stretch):
    samples = read_samples(spark, ingested, [TRAIN])
    features = feature_pipeline(spark, LABELS, stretch).fit(samples).transform(samples)
    rows = features.select(
        vector_to_array("scaled_features").alias("x"), "index_label", vector_to_array("label_vec").alias("y")
    ).collect()
    feed = SampleFeed(f"{ingested}/samples/split={TRAIN}", RowReader(LABELS, (28, 28, 1)), batch_size=64)
    fed = {
        (scale(picture[None], stretch).ravel().tobytes(), label)
        for batch in feed.epoch(0)
        for picture, label in zip(batch.pictures, batch.labels.tolist(), strict=True)
    }
    piped = {(np.array(row["x"], np.float32).tobytes(), int(row["index_label"])) for row in rows}
    assert fed == piped
    assert all(int(np.argmax(row["y"])) == row["index_label"] and sum(row["y"]) == 1 for row in rows)


def test_labels_are_numbered_alphabetically_and_all_have_a_place(spark, ingested):
    samples = read_samples(spark, ingested)
    row = feature_pipeline(spark, LABELS, True).fit(samples).transform(samples.where("label = 'K'")).first()
    assert (row["index_label"], len(row["label_vec"])) == (9.0, 24)


def test_labels_out_of_order_are_refused(spark):
    with pytest.raises(AslsparkError, match="alphabetical"):
        feature_pipeline(spark, ["B", "A"], True)


def test_the_pipeline_gives_the_same_after_saving(spark, ingested, tmp_path):
    samples = read_samples(spark, ingested).limit(5)
    fitted = feature_pipeline(spark, LABELS, True).fit(samples)
    fitted.save(str(tmp_path / "pipeline"))
    again = PipelineModel.load(str(tmp_path / "pipeline"))
    columns = ("scaled_features", "index_label", "label_vec")
    assert again.transform(samples).select(*columns).collect() == fitted.transform(samples).select(*columns).collect()


@pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28, 3), (20, 30, 3)])
@pytest.mark.parametrize("given", [(56, 56, 1), (60, 90, 3), (90, 60, 4), (10, 10, 3)])
def test_a_picture_of_any_size_is_brought_to_the_models(given, shape):
    picture = np.full(given, 100, np.uint8)
    assert np.array_equal(fit_picture(picture, ImageSpec(*shape)), np.full(shape, 100, np.uint8))


def test_keras_and_torch_change_pictures_alike_where_the_amounts_are_the_same():
    import tensorflow as tf
    import torch

    from aslspark.features import augment_keras, augment_torch

    random = np.random.default_rng(4)
    pictures = random.random((5, 30, 44, 3), np.float32)
    pictures[:3, :8] = pictures[:3, -8:] = pictures[:3, :, :8] = pictures[:3, :, -8:] = 0  # studio shots
    ground = random.random(pictures.shape, np.float32)
    amounts = random.uniform(-0.5, 0.5, (4, 5)).astype(np.float32)
    shift = random.uniform(-0.2, 0.2, (2, 5)).astype(np.float32)
    flip, some = np.array([True, False, False, True, False]), np.array([True, False, True, True, True])
    order, sides = np.array([0, 1, 2, 3, 5], np.int32), np.array([1, 3, 5, 7, 7], np.int32)

    def all_of_them(twin, tensor, picture):
        angle, size, shear, light = (tensor(part) for part in amounts)
        matrices = twin.colour_matrices(angle, 1 + size, tensor(order))
        yield twin.move(picture(pictures), angle, 1 + size, shear, tensor(shift), tensor(flip))
        yield twin.recolour(picture(pictures), 1 + size, light)
        yield twin.recolour(picture(pictures), 1 + size, light, matrices)
        yield twin.blur(picture(pictures), tensor(sides))
        yield twin.replace_background(picture(pictures), picture(ground), tensor(some), 0.2)

    in_keras = [part.numpy() for part in all_of_them(augment_keras, tf.constant, tf.constant)]
    in_torch = [
        part.permute(0, 2, 3, 1).numpy()
        for part in all_of_them(
            augment_torch, torch.from_numpy, lambda array: torch.from_numpy(array).permute(0, 3, 1, 2)
        )
    ]
    for one, other in zip(in_keras, in_torch, strict=True):
        assert not np.allclose(one, pictures, atol=0.01)
        assert np.allclose(one, other, atol=1e-4)


@pytest.mark.slow
def test_keras_builds_its_graph_of_changes_once():
    import tensorflow as tf

    from aslspark.common.settings import AugmentConfig
    from aslspark.features.augment_keras import augment

    settings = AugmentConfig(
        flip_probability=0.5,
        hue_probability=0.5,
        blur_probability=0.5,
        coarse_dropout_probability=0.5,
        background_probability=0.5,
    )
    graph = tf.function(
        lambda pictures: augment(pictures, settings), input_signature=[tf.TensorSpec([None, 28, 28, 3], tf.float32)]
    )
    for n in (1, 3, 8):
        assert graph(tf.zeros([n, 28, 28, 3])).shape == (n, 28, 28, 3)
    assert graph.experimental_get_tracing_count() == 1

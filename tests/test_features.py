import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array

from aslspark.decoding import Form
from aslspark.errors import AslsparkError
from aslspark.features.pictures import fit_picture
from aslspark.features.pipeline import feature_pipeline
from aslspark.features.scaling import scale
from aslspark.samples import TRAIN, read_samples
from aslspark.training.feed import SampleFeed

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
    feed = SampleFeed(
        f"{ingested}/samples/split={TRAIN}", labels=LABELS, shape=(28, 28, 1), batch_size=64, rank=0, size=1
    )
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
    assert np.array_equal(fit_picture(picture, Form(*shape)), np.full(shape, 100, np.uint8))


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_augmentation_changes_each_picture_by_itself_and_keeps_the_hand(framework):
    picture = np.zeros((28, 28, 1), np.float32)
    picture[8:20, 8:20] = 1.0
    batch = np.stack([picture] * 32)
    if framework == "keras":
        import tensorflow as tf

        from aslspark.features.augment_keras import augment

        tf.random.set_seed(1)
        changed = augment(tf.constant(batch)).numpy()
    else:
        import torch

        from aslspark.features.augment_torch import augment

        torch.manual_seed(1)
        changed = augment(torch.from_numpy(batch).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert changed.shape == batch.shape
    assert len({one.tobytes() for one in changed}) == 32
    middle = changed[:, 12:16, 12:16].mean(axis=(1, 2, 3))
    corner = changed[:, :2, :2].mean(axis=(1, 2, 3))
    assert np.all(middle - corner > 0.5)

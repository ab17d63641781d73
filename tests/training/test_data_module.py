"""Our feed under Horovod's own estimators, through their `data_module` param."""

import itertools
from functools import partial

import numpy as np
import pytest
from feed_tables import LABELS, SHAPE, rows_of, write_table
from horovod.spark.keras import KerasEstimator
from horovod.spark.torch import TorchEstimator
from stacks import has_horovods_estimators, needs_horovods_estimators

from aslspark.common.errors import AslsparkError
from aslspark.data.samples import read_samples
from aslspark.training.data_module import IngestedStore, InPlaceData
from aslspark.training.keras_data_module import InPlaceKerasData
from aslspark.training.torch_data_module import InPlaceTorchData

STATIC_LABELS = list("ABCDEFGHIKLMNOPQRSTUVWXY")


def modules(kind, folder, size, **more):
    """Open a module on each rank with what Horovod's processes give it."""
    given = {
        "labels": LABELS,
        "shape": SHAPE,
        "train_dir": folder,
        "val_dir": folder,
        "schema_fields": ["picture", "label"],
        "shard_count": size,
        "random_seed": 1,
        "train_batch_size": 8,
        "val_batch_size": 8,
        **more,
    }
    return [kind(cur_shard=rank, **given) for rank in range(size)]


class RowsOfBatches(InPlaceData):
    """The rows of each batch, as `feed_tables` numbers them."""

    def train_data(self):
        return map(rows_of, self._train_batches())

    def val_data(self):
        return map(rows_of, self._val_batches())


@pytest.mark.parametrize("steps", [101 // 8 // 2, -(-101 // 16)], ids=["as many as torch's", "as many as Keras'"])
def test_an_epoch_of_horovods_estimators_holds_every_row_once_on_exactly_one_rank(tmp_path, steps):
    folder = write_table(tmp_path / "t", [101], group_rows=20)
    ranks = modules(RowsOfBatches, folder, 2, steps_per_epoch_train=steps)
    batches = [module.train_data() for module in ranks]
    epochs = [[list(itertools.islice(rank, steps)) for rank in batches] for _ in range(2)]
    for epoch in epochs:
        assert sorted(row for rank in epoch for batch in rank for row in batch) == list(range(101))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("steps", [2, 1000])
def test_another_number_of_steps_than_an_epoch_makes_gives_plain_batches(tmp_path, steps):
    folder = write_table(tmp_path / "t", [101], group_rows=20)
    (module,) = modules(RowsOfBatches, folder, 1, steps_per_epoch_train=steps)
    assert [len(batch) for batch in itertools.islice(module.train_data(), 2)] == [8, 8]


def test_batches_have_the_form_that_each_framework_takes(tmp_path):
    folder = write_table(tmp_path / "t", [20], group_rows=20)
    (keras,) = modules(InPlaceKerasData, folder, 1, steps_per_epoch_val=3, stretch=False)
    pictures, one_hot = next(iter(keras.val_data()))
    (torch,) = modules(InPlaceTorchData, folder, 1, steps_per_epoch_val=3, stretch=False)
    columns = next(torch.val_data())
    assert pictures.dtype.name == one_hot.dtype.name == "float32"
    assert pictures.shape == (7, 2, 3, 1)
    assert columns["picture"].shape == (7, 1, 2, 3)
    assert pictures.numpy()[0, 0, :, 0].tolist() == pytest.approx([0, 0, 1 / 255])
    assert one_hot.numpy().argmax(axis=1).tolist() == columns["label"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert one_hot.numpy().sum(axis=1).tolist() == [1] * 7


def test_what_a_module_cannot_do_is_said(tmp_path):
    folder = write_table(tmp_path / "t", [20], group_rows=20)
    with pytest.raises(AslsparkError, match="columns picture, label, weight: give one in feature_cols"):
        modules(RowsOfBatches, folder, 1, schema_fields=["picture", "label", "weight"])
    (module,) = modules(RowsOfBatches, folder, 1, steps_per_epoch_train=0)
    with pytest.raises(AslsparkError, match="batch_size=8: the training samples make no full batch"):
        next(module.train_data())


@pytest.fixture(params=["keras", "torch"])
def horovods_estimator(request, ingested, tmp_path):
    params = {
        "num_proc": 2,
        "store": IngestedStore(ingested, str(tmp_path / "store")),
        "feature_cols": ["picture"],
        "label_cols": ["label"],
        "validation": "held_out",
        "batch_size": 32,
        "epochs": 6,
        "random_seed": 1,
        "verbose": 0,
        "use_gpu": False,
    }
    of_labels = {"labels": STATIC_LABELS, "shape": (28, 28, 1)}
    if request.param == "keras":
        import tensorflow as tf

        from aslspark.models.keras_network import build

        tf.keras.utils.set_random_seed(1)
        return KerasEstimator(
            data_module=partial(InPlaceKerasData, **of_labels),
            model=build("cnn", (28, 28, 1), 24, 0.0),
            optimizer=tf.keras.optimizers.Adam(0.003),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
            **params,
        )
    import torch

    from aslspark.models.torch_network import build

    torch.manual_seed(1)
    model = build("cnn", (28, 28, 1), 24, 0.0)
    return TorchEstimator(
        data_module=partial(InPlaceTorchData, **of_labels),
        model=model,
        input_shapes=[[-1, 1, 28, 28]],
        optimizer=torch.optim.Adam(model.parameters(), lr=0.003),
        loss=lambda outputs, labels: torch.nn.functional.cross_entropy(outputs, labels.long()),
        **params,
    )


@needs_horovods_estimators
def test_horovods_own_estimator_learns_from_the_ingested_files(horovods_estimator, spark, ingested):
    before = read_samples(spark, ingested).count()
    history = horovods_estimator.fit_on_parquet().getHistory()
    if isinstance(history, dict):
        loss, held_out_loss = history["loss"], history["val_loss"]
    else:
        loss, held_out_loss = ([epoch[part]["loss"] for epoch in history] for part in ("train", "validation"))
    assert len(loss) == len(held_out_loss) == 6
    assert loss[-1] < 0.9 * loss[0]
    assert min(held_out_loss) < np.log(24)  # of equal chances for 24 letters
    assert read_samples(spark, ingested).count() == before  # nothing was left among the samples


@pytest.mark.skipif(has_horovods_estimators, reason="they run here")
def test_where_horovods_estimators_cannot_read_it_is_said_where_they_can(ingested, tmp_path):
    with pytest.raises(AslsparkError, match=r"IngestedStore: Horovod's own estimators .*STACK=spark35"):
        IngestedStore(ingested, str(tmp_path / "store"))

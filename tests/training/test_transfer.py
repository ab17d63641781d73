"""Transfer learning: weights from files and bundles, a frozen backbone, its thaw; real Horovod, two processes."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import serving_bundles
from stacks import has_petastorm
from tiny_training import OneBatch, Recorded, SimpleTraining

from aslspark import train
from aslspark.bundle.files import seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import TrainingConfig, load_config
from aslspark.data.samples import SAMPLE_SCHEMA, SAMPLES_FOLDER
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import TrainingData
from aslspark.training.fit_network import fit_network
from aslspark.training.initial_weights import check_network, started_network
from aslspark.training.loop import fit_epochs

FRAMEWORKS = ("keras", "torch")
SHAPE = (24, 28, 3)
LABELS = ("A", "B", "C")


def settings(framework, *words):
    quick = ["training.batch_size=8", "augment.on=false", "network.name=small_cnn"]
    return load_config(None, [f"training.framework={framework}", *quick, *words])


@pytest.fixture(scope="module")
def data(spark, tmp_path_factory):
    """Sixty colour pictures of three letters, each of one colour with noise."""
    folder = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(5)
    rows = []
    for n in range(60):
        picture = random.integers(0, 120, SHAPE, np.uint8)
        picture[:, :, n % 3] += 100
        split = "validation" if n >= 44 else "train"
        content = {"height": SHAPE[0], "width": SHAPE[1], "channels": 3, "data": bytearray(picture.tobytes())}
        rows.append((f"made:{n}", content, LABELS[n % 3], "made", None, split))
    samples = spark.createDataFrame(rows, SAMPLE_SCHEMA).coalesce(1)
    samples.write.partitionBy("split").parquet(f"{folder}/{SAMPLES_FOLDER}")
    return TrainingData(str(folder), LABELS, SHAPE, {"made": 44}, frozenset(), {}, "")


def arrays(framework, model):
    """Every array of a network, of its backbone and of its head."""
    if framework == "keras":
        from aslspark.models.keras_network import backbone_of

        everything = model.get_weights()
        count = len(backbone_of(model).weights)
        return everything[:count], everything[count:]
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    head = [value for key, value in state.items() if key.startswith("head.")]
    return [value for key, value in state.items() if key.startswith("backbone.")], head


def same(some, others):
    return [a.tobytes() == b.tobytes() for a, b in zip(some, others, strict=True)]


def save_weights(model, path):
    """Keras 3 writes no other HDF5 of weights alone than .weights.h5, and reads them from that of a whole model."""
    import tensorflow as tf

    whole = hasattr(tf.keras, "ops") and not path.name.endswith(".weights.h5")
    model.save(path) if whole else model.save_weights(path)


def write_weights(framework, path, name="small_cnn", shape=SHAPE, classes=3):
    """A file of a new network's weights; returns the network."""
    if framework == "keras":
        from aslspark.models.keras_network import build, save

        model = build(name, shape, classes, 0.0)
        if path.suffix == ".keras":
            path.with_name(save(model, path.parent)).rename(path)
        else:
            save_weights(model, path)
        return model
    import torch
    from safetensors.torch import save_file

    from aslspark.models.torch_network import build

    model = build(name, shape, classes, 0.0)
    save_file(model.state_dict(), path) if path.suffix == ".safetensors" else torch.save(model.state_dict(), path)
    return model


@pytest.fixture(scope="module", params=[pytest.param("keras", marks=pytest.mark.long), "torch"])
def frozen_fit(request, spark, data, tmp_path_factory):
    """Two processes, three epochs, the backbone frozen: the framework, the file it began with, the network in it, the
    fitted model."""
    folder = tmp_path_factory.mktemp("frozen")
    path = folder / ("start.weights.h5" if request.param == "keras" else "start.pth")
    given = write_weights(request.param, path)
    words = [f"network.weights={path}", "network.freeze=true", "network.hidden=8", "training.epochs=3"]
    words += ["training.learning_rate=0.01"]
    if request.param == "keras":  # with other layers behind it, the head does not fit a file of the whole network
        from aslspark.models.keras_network import backbone_of

        backbone_of(given).save_weights(path)
    return request.param, path, given, fit_network(data, settings(request.param, *words), folder)


def test_a_frozen_backbone_keeps_every_byte_while_the_head_learns(frozen_fit):
    framework, _, given, fitted = frozen_fit
    backbone, head = arrays(framework, fitted.network.model)
    assert all(same(backbone, arrays(framework, given)[0]))
    assert [array.ndim for array in head] == [2, 1, 2, 1]
    history = fitted.history
    assert history[2]["loss"] < history[0]["loss"]
    assert len(set(fitted.digests)) == 1
    assert len(fitted.digests) == 2


@pytest.mark.long
def test_an_unfrozen_backbone_learns_and_all_ranks_hold_the_same_statistics(frozen_fit, data, tmp_path):
    framework, path, given, _ = frozen_fit
    # Without validation samples the last epoch's weights are those that are kept.
    shutil.copytree(f"{data.folder}/{SAMPLES_FOLDER}/split=train", tmp_path / "all" / SAMPLES_FOLDER / "split=train")
    data = replace(data, folder=str(tmp_path / "all"))
    words = [f"network.weights={path}", "network.freeze=true", "network.unfreeze_after=1", "training.epochs=2"]
    # Two optimizers in one step, with all else that looks at gradients or feeds them.
    words += ["training.precision=mixed", "training.clip_norm=1", *["training.feed=petastorm"] * has_petastorm]
    words += ["training.optimizer=adamw", "training.weight_decay=0.01", "training.label_smoothing=0.1"]
    said = []
    log = logging.getLogger("aslspark")
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())
    log.addHandler(listener)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        fitted = fit_network(data, settings(framework, *words, "training.schedule=constant"), tmp_path)
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
    assert any("epoch 2: the backbone learns too" in line for line in said)
    backbone, _ = arrays(framework, fitted.network.model)
    moved = [not equal for equal in same(backbone, arrays(framework, given)[0])]
    assert all(moved)
    # The digest is over BatchNorm's statistics as well, which each rank gathers from pictures of its own.
    assert len(set(fitted.digests)) == 1


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_frozen_is_in_no_message_and_learns_more_slowly_once_thawed(framework, tmp_path):
    from aslspark.training import initial_weights

    path = tmp_path / ("w.keras" if framework == "keras" else "w.safetensors")
    write_weights(framework, path)
    config = settings(framework, f"network.weights={path}", "network.freeze=true", "training.learning_rate=0.01")
    training = SimpleTraining(
        framework, initial_weights.started_network(config, SHAPE, LABELS), SHAPE, unfreeze_rate=0.01
    )
    learned = training.learning()
    before = training.weights()
    training.step()
    assert len(learned) == 2
    assert training.sent() == [sum(before[name].size for name in learned)]
    after = training.weights()
    assert [name for name in before if before[name].tobytes() != after[name].tobytes()] == learned
    training.trainable.unfreeze()
    training.step()
    last = training.weights()
    assert sum(training.sent()) == sum(last[name].size for name in training.learning())
    assert len(training.learning()) > 20
    steps = {name: np.abs(last[name] - after[name]).max() for name in training.learning()}
    # Adam's first step is about as long as the learning rate.
    assert all(0 < steps[name] < 0.001 * 0.02 for name in steps if name not in learned)
    assert all(steps[name] > 0.001 * 0.1 for name in learned)


def test_statistics_are_averaged_before_each_validation_and_the_thaw_comes_after_its_epoch():
    network = Recorded([3.0, 2.0, 1.0])
    training = TrainingConfig(epochs=3, patience=9, schedule="constant")
    fit_epochs(network, OneBatch(), OneBatch(), training, lambda event: None, unfreeze_after=2)
    epoch = ["train", "average", "evaluate"]
    assert network.asked == [*epoch, *epoch, "unfreeze", *epoch]


def test_patience_is_counted_from_the_thaw_and_from_where_one_cycle_is_down_again():
    def epochs(unfreeze_after, schedule="constant"):
        network = Recorded([1.0] * 40)
        training = TrainingConfig(epochs=40, patience=3, schedule=schedule)
        outcome = fit_epochs(network, OneBatch(), OneBatch(), training, lambda event: None, unfreeze_after)
        return len(outcome.history)

    assert epochs(0) == 4
    assert epochs(8) == 11
    assert epochs(0, "one_cycle") == 36 + 3


def test_a_bundle_gives_its_head_to_the_same_letters_and_its_backbone_to_others(frozen_fit, tmp_path, spark):
    framework, _, _, fitted = frozen_fit
    model = SignClassifierModel(fitted.classifier, fitted=fitted)
    config = settings(framework, "network.hidden=8")
    with whole_folder(tmp_path / "bundle") as folder:
        write_model(model, None, folder, settings=config.as_dict())
        seal(folder)
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    trained = arrays(framework, fitted.network.model)
    assert manifest["parameters"] == sum(a.size for part in trained for a in part) - statistics(framework, model)
    config.network.weights = f"file://{tmp_path}/bundle"
    check_network(config)
    for labels, keeps_head in ((LABELS, True), (("A", "B", "D"), False), (("A", "B", "C", "D"), False)):
        backbone, head = arrays(framework, started_network(config, SHAPE, labels))
        assert all(same(backbone, trained[0]))
        if len(labels) == len(LABELS):
            assert all(same(head, trained[1])) == keeps_head
        else:
            assert head[-1].shape == (4,)
    config.network.name = "cnn"
    with pytest.raises(AslsparkError, match=r"no weights for network.name=cnn: the bundle's network is small_cnn"):
        check_network(config)
    config.training.framework = "torch" if framework == "keras" else "keras"
    with pytest.raises(AslsparkError, match=f"the bundle's model is of {framework}"):
        check_network(config)


def statistics(framework, model):
    """Numbers in a network's arrays that are no parameters."""
    from aslspark.common.catalog import SMALL_CNN_CHANNELS

    layers = [*SMALL_CNN_CHANNELS, *SMALL_CNN_CHANNELS[1:]]
    counters = len(layers) if framework == "torch" else 0
    return 2 * sum(layers) + counters


@pytest.mark.parametrize(
    ("framework", "file"),
    [
        ("keras", "whole.keras"),
        ("keras", "whole.weights.h5"),
        ("keras", "whole.h5"),
        ("torch", "whole.safetensors"),
        ("torch", "whole.pt"),
    ],
)
@pytest.mark.parametrize("name", ["cnn", "small_cnn"])
def test_a_file_of_a_whole_network_is_taken_with_its_head(framework, file, name, tmp_path):
    shape = (28, 28, 1)
    given = write_weights(framework, tmp_path / file, name, shape)
    config = settings(framework, f"network.weights={tmp_path / file}")
    config.network.name = name
    check_network(config)
    taken = started_network(config, shape, LABELS)
    if framework == "keras":
        assert all(same(taken.get_weights(), given.get_weights()))
    else:
        state, wanted = taken.state_dict(), given.state_dict()
        assert all(bool((state[key] == wanted[key]).all()) for key in wanted)


def test_torchvisions_own_names_are_understood_and_its_head_is_left_out(tmp_path):
    import torch

    from aslspark.models.torchvision_ops import models

    theirs = models.squeezenet1_0(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "squeezenet.pth")
    config = settings("torch", f"network.weights={tmp_path / 'squeezenet.pth'}", "network.name=squeezenet")
    ours = started_network(config, (64, 64, 3), LABELS).eval()
    pictures = torch.rand(2, 3, 64, 64)
    normal = (pictures - torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).reshape(3, 1, 1)
    with torch.inference_mode():
        assert torch.allclose(ours.backbone(ours.before(pictures)), theirs.features(normal).mean(dim=(2, 3)), atol=1e-5)


@pytest.mark.long
def test_a_file_of_keras_applications_is_understood(tmp_path):
    import tensorflow as tf

    theirs = tf.keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3))
    save_weights(theirs, tmp_path / "notop.h5")  # what keras.applications publishes is of this kind
    config = settings("keras", f"network.weights={tmp_path / 'notop.h5'}", "network.name=mobilenet_v2")
    ours = started_network(config, (64, 64, 1), LABELS)
    assert all(same(arrays("keras", ours)[0], theirs.get_weights()))


WRONG = [
    (["network.weights=nowhere.pth"], "nowhere.pth: there is no such file or bundle"),
    (["network.weights={folder}/broken.pth"], "broken.pth: these are no weights .* cannot be read"),
    (["network.weights={folder}/broken.safetensors"], "broken.safetensors: these are no weights .* cannot be read"),
    (["network.weights={folder}/code.pth"], "code.pth: these are no weights .* cannot be read"),
    (["network.weights={folder}/list.pth"], "list.pth: .* holds no state dict"),
    (["network.weights={folder}/cnn.pth"], r"cnn.pth: .* it lacks backbone.0.0.weight, .* and \d+ more; it has "),
    (["network.weights={folder}/grey.pth"], "grey.pth: .*backbone.0.0.weight is 16x1x3x3 where 16x3x3x3 is wanted"),
    (["network.weights={folder}/other.keras"], "other.keras: training.framework=torch reads .safetensors, .pth, .pt"),
    (["network.weights={folder}"], "no bundle"),
    (["network.weights=imagenet"], "there are none for small_cnn; they exist for resnet18, resnet50"),
    (["network.freeze=true"], "network.freeze=true: .* set network.weights"),
    (["network.unfreeze_after=2"], "network.unfreeze_after=2: nothing is frozen"),
    (["training.batch_size=2"], "training.batch_size=2: .* give 3 or more"),
    (
        ["network.weights={folder}/grey.pth", "network.freeze=true", "network.unfreeze_after=9", "training.epochs=9"],
        "training.epochs=9 end before",
    ),
]


@pytest.fixture(scope="module")
def wrong_files(tmp_path_factory):
    import torch

    folder = tmp_path_factory.mktemp("wrong")
    write_weights("torch", folder / "cnn.pth", "cnn", (28, 28, 3))
    write_weights("torch", folder / "grey.pth", shape=(28, 28, 1))
    torch.save(Path("runs code when read"), folder / "code.pth")
    torch.save([1, 2], folder / "list.pth")
    for name in ("broken.pth", "broken.safetensors", "other.keras", "broken.keras", "broken.h5"):
        (folder / name).write_bytes(b"\x00not weights")
    write_weights("keras", folder / "cnn.keras", "cnn", (28, 28, 3))
    write_weights("keras", folder / "cnn.weights.h5", "cnn", (28, 28, 3))
    write_weights("keras", folder / "grey.keras", shape=(28, 28, 1))
    write_weights("keras", folder / "grey.weights.h5", shape=(28, 28, 1))
    return folder


def assert_refused(framework, words, message, folder):
    config = settings(framework, *(word.format(folder=folder) for word in words))

    def start():
        check_network(config)
        started_network(config, SHAPE, LABELS)

    with pytest.raises(AslsparkError, match=message) as error:
        start()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_settings_that_cannot_work_are_one_line_on_the_driver(words, message, wrong_files):
    assert_refused("torch", words, message, wrong_files)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("broken.keras", "it cannot be read"),
        ("broken.h5", "it cannot be read"),
        ("cnn.keras", r"its backbone has \d+ arrays where \d+ are wanted"),
        ("cnn.weights.h5", "neither of the network .* nor of its backbone"),
        ("grey.keras", "is 3x3x1x16 where 3x3x3x16 is wanted"),
        ("grey.weights.h5", "neither of the network .* nor of its backbone"),
        ("grey.pth", "training.framework=keras reads .keras, .h5"),
    ],
)
def test_keras_files_of_other_networks_are_one_line_on_the_driver(file, message, wrong_files):
    assert_refused("keras", [f"network.weights={{folder}}/{file}"], message, wrong_files)


def test_a_wrong_network_is_said_before_any_data_is_read(spark, tmp_path):
    config = settings("keras", "network.name=resnet18")
    with pytest.raises(AslsparkError, match=r"network.name=resnet18: there is no such network in keras; choose cnn"):
        train(spark, ["nowhere.csv"], str(tmp_path / "out"), config=config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({}, "the bundle's network is one that it does not name"),
        ({"settings": {"network": {"name": "small_cnn"}}}, "the bundle has it as ONNX alone"),
    ],
)
def test_a_bundle_whose_manifest_lacks_what_is_needed_is_one_line(about, message, tmp_path):
    model = SignClassifierModel(serving_bundles.network())
    with whole_folder(tmp_path / "bundle") as folder:
        write_model(model, None, folder, framework="torch", **about)
        seal(folder)
    with pytest.raises(AslsparkError, match=message):
        check_network(settings("torch", f"network.weights={tmp_path / 'bundle'}"))

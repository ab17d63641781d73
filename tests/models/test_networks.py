"""The networks by name, in both frameworks: sizes, parameters, errors, ONNX, one step."""

import os
import subprocess
import sys
from dataclasses import replace

import cloudpickle
import numpy as np
import pytest
from conftest import REPOSITORY
from feed_tables import job_on
from tiny_training import SimpleTraining, answers, random_inputs

from aslspark.common.catalog import NETWORKS
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.training.initial_weights import check_network

PAIRS = [(framework, name) for name, known in NETWORKS.items() for framework in known.frameworks]
OURS = [name for name, known in NETWORKS.items() if not known.imagenet]
CLASSES = 29


def build(framework, name, shape, classes=CLASSES, hidden=0, dropout=0.1, **convolutions):
    if framework == "keras":
        from aslspark.models.keras_network import build
    else:
        from aslspark.models.torch_network import build
    return build(name, shape, classes, dropout, hidden, **convolutions)


def parameters(framework, model):
    if framework == "keras":
        from aslspark.models.keras_network import count_parameters

        return count_parameters(model)
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framework", "name", "expected"),
    [
        # A published count for 1000 classes, less the last layer of 1000 classes, plus ours of 29.
        ("torch", "resnet18", 11_689_512 - 513 * 1000 + 513 * CLASSES),
        ("torch", "resnet50", 25_557_032 - 2049 * 1000 + 2049 * CLASSES),
        ("torch", "mobilenet_v2", 3_504_872 - 1281 * 1000 + 1281 * CLASSES),
        ("torch", "squeezenet", 1_248_424 - 513 * 1000 + 513 * CLASSES),
        pytest.param("keras", "resnet50", 25_636_712 - 53_120 - 2049 * 1000 + 2049 * CLASSES, marks=pytest.mark.long),
        pytest.param(
            "keras", "mobilenet_v2", 3_538_984 - 34_112 - 1281 * 1000 + 1281 * CLASSES, marks=pytest.mark.long
        ),
    ],
)
def test_the_libraries_networks_have_their_published_number_of_parameters(framework, name, expected):
    assert parameters(framework, build(framework, name, (64, 64, 3))) == expected


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_the_plain_cnn_is_the_notebooks(framework):
    assert parameters(framework, build(framework, "cnn", (28, 28, 1), classes=24)) == 145_560


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("hidden", [0, 48])
@pytest.mark.parametrize("name", [name for name in OURS if len(NETWORKS[name].frameworks) == 2])
def test_a_network_of_ours_is_the_same_in_both_frameworks(name, channels, hidden):
    keras, torch = (build(framework, name, (64, 64, channels), hidden=hidden) for framework in ("keras", "torch"))
    assert parameters("keras", keras) == parameters("torch", torch)
    # Convolutions have their height and width first in Keras, and their outputs first in torch.
    counted = [sorted(int(np.prod(array.shape)) for array in keras.get_weights())]
    counted.append(sorted(array.numel() for array in torch.state_dict().values() if array.ndim))
    assert counted[0] == counted[1]


@pytest.mark.parametrize("name", ["small_cnn", "landmark_net", "two_branch"])
def test_the_small_networks_have_less_than_half_a_million_weights(name):
    assert parameters("torch", build("torch", name, (64, 64, 3), hidden=48)) < 500_000


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_the_plain_cnn_has_the_channels_and_kernels_that_are_given(framework):
    model = build(framework, "cnn", (28, 28, 1), channels="8,16,24", kernels="3,5,3", hidden=10)
    # 28 -> 13 -> 4 -> 1 pixels a side.
    layers = [9 * 1 * 8 + 8, 25 * 8 * 16 + 16, 9 * 16 * 24 + 24, 24 * 10 + 10, 10 * CLASSES + CLASSES]
    assert parameters(framework, model) == sum(layers)


@pytest.mark.parametrize("name", ["small_cnn", "two_branch"])
def test_the_stages_of_a_small_network_have_the_channels_that_are_given(name):
    sizes = [parameters(f, build(f, name, (64, 64, 3), channels="4,8,12,20")) for f in ("keras", "torch")]
    assert sizes[0] == sizes[1] < parameters("torch", build("torch", name, (64, 64, 3)))


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_the_pooled_network_s_head_sees_where_features_are(framework):
    model = build(framework, "pooled_cnn", (28, 29, 1), channels="4,8,12", hidden=10)
    # 28x29 -> 14x14 -> 7x7 -> 3x3; BatchNorm has two numbers a channel.
    convolutions = [9 * 1 * 4, 9 * 4 * 8, 9 * 8 * 8, 9 * 8 * 12, 9 * 12 * 12]
    head = [9 * 12 * 10, 10 * CLASSES + CLASSES]
    assert parameters(framework, model) == sum(convolutions) + 2 * (4 + 8 + 8 + 12 + 12 + 10) + sum(head)


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_kernels_that_leave_nothing_of_a_picture_are_an_error(framework):
    with pytest.raises(AslsparkError, match=r"network\.kernels=7,7,5: they leave nothing of pictures of 28x28"):
        build(framework, "cnn", (28, 28, 1), kernels="7,7,5")


@pytest.mark.parametrize(
    ("name", "setting", "value", "message"),
    [
        ("cnn", "channels", "8,16", "network.channels=8,16: give 3 numbers for network.name=cnn, such as 32,64,128"),
        ("cnn", "kernels", "5,0,3", "network.kernels=5,0,3: give 3 numbers"),
        ("small_cnn", "channels", "wide", "give 4 numbers for network.name=small_cnn, such as 16,32,64,128"),
        ("small_cnn", "kernels", "3,3,3,3", "network.name=small_cnn has its own; they can be given for cnn"),
        ("resnet18", "channels", "8,16,32,64", "they can be given for cnn, small_cnn, two_branch, pooled_cnn"),
    ],
)
def test_channels_and_kernels_that_a_network_has_not_are_said_before_it_is_built(name, setting, value, message):
    config = load_config(None, ["training.framework=torch", f"network.name={name}", f"network.{setting}='{value}'"])
    with pytest.raises(AslsparkError, match=message):
        check_network(config)


def multiply_adds(model, shape):
    """Of the convolutions and dense layers of a torch network, for one picture."""
    import torch

    counts = []

    def count(layer, inputs, output):
        places = output[0][0].numel() if output.ndim == 4 else 1
        counts.append(places * layer.weight.numel())

    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    model.eval()(torch.zeros(1, shape[2], *shape[:2]))
    return sum(counts)


def test_the_small_network_costs_little_at_64_pixels():
    shape = (64, 64, 3)
    assert 2 * multiply_adds(build("torch", "small_cnn", shape), shape) < 25e6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framework", "name", "channels"),
    [
        # Networks of the libraries take up to a minute to trace and to convert; torch's ResNet-18 stands for them.
        pytest.param(framework, name, channels, marks=() if name in (*OURS, "resnet18") else pytest.mark.long)
        for framework, name in PAIRS
        for channels in ((1, 3) if name in ("cnn", "small_cnn", "two_branch") else (1,))
    ],
)
def test_a_network_takes_a_step_and_says_the_same_in_onnx(framework, name, channels):
    import onnxruntime

    shape = (36, 40, channels)
    model = build(framework, name, shape, hidden=16 if channels == 1 else 0)
    names = NETWORKS[name].inputs
    training = SimpleTraining(framework, model, shape, inputs=names)
    before = training.weights()
    training.step()
    after = training.weights()
    assert all(np.isfinite(after[key]).all() for key in after)
    assert all((before[key] != after[key]).any() for key in training.learning())

    given = random_inputs(names, shape, 3, seed=3)
    session = onnxruntime.InferenceSession(training.onnx())
    kinds = {"picture": "tensor(uint8)", "landmarks": "tensor(float)"}
    assert {i.name: i.type for i in session.get_inputs()} == {name: kinds[name] for name in names}
    probability = session.run(["probability"], given)[0]
    assert probability.shape == (3, CLASSES)
    assert np.allclose(probability, answers(framework, training.model, *given.values()), atol=1e-4)
    first = {name: value[:1] for name, value in given.items()}
    assert np.allclose(session.run(None, first)[0], probability[:1], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framework", "name"), [pair for pair in PAIRS if NETWORKS[pair[1]].imagenet and pair != ("keras", "resnet50")]
)
def test_grey_pictures_are_seen_as_the_same_colour_in_all_three_channels(framework, name):
    grey = np.random.default_rng(1).integers(0, 256, (2, 40, 40, 1), np.uint8)
    of_grey = build(framework, name, (40, 40, 1), dropout=0.0)
    of_colour = build(framework, name, (40, 40, 3), dropout=0.0)
    if framework == "keras":
        of_colour.set_weights(of_grey.get_weights())
    else:
        of_colour.load_state_dict(of_grey.state_dict())
    one = answers(framework, of_grey, grey)
    three = answers(framework, of_colour, np.repeat(grey, 3, axis=3))
    assert np.allclose(one, three, atol=1e-5)  # sums of another order, through fifty layers of chance weights


@pytest.mark.slow
def test_keras_networks_see_what_their_librarys_preprocessing_makes():
    import tensorflow as tf

    pictures = np.random.default_rng(1).random((2, 32, 32, 3), np.float32)
    for name, library in (
        ("resnet50", tf.keras.applications.resnet50),
        ("mobilenet_v2", tf.keras.applications.mobilenet_v2),
    ):
        model = build("keras", name, (32, 32, 3))
        before = model.layers[[layer.name for layer in model.layers].index("backbone") - 1]
        seen = tf.keras.Model(model.input, before.output)(pictures)
        assert np.allclose(seen, library.preprocess_input(pictures * 255), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["landmark_net", "two_branch"])
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_networks_of_landmarks_learn_in_16_bits_with_weights_of_32(framework, name):
    shape = (16, 16, 1)
    model = build(framework, name, shape)
    training = SimpleTraining(framework, model, shape, half="bfloat16", inputs=NETWORKS[name].inputs)
    before = training.weights()
    training.step()
    after = training.weights()
    assert all((before[key] != after[key]).any() for key in training.learning())
    assert {array.dtype for array in after.values() if array.ndim} == {np.dtype(np.float32)}


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "name"), [pair for pair in PAIRS if "picture" in NETWORKS[pair[1]].inputs])
def test_pictures_too_small_for_a_network_are_refused_with_the_smallest_size(framework, name):
    least = NETWORKS[name].least
    build(framework, name, (least, least, 3))
    with pytest.raises(AslsparkError, match=f"network.name={name}: .* too small; give {least}x{least}"):
        build(framework, name, (least, least - 1, 3))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet", "resnet"])
def test_a_network_that_keras_lacks_is_refused_with_those_that_it_has(name):
    with pytest.raises(AslsparkError, match=f"network.name={name}: .* in keras; choose cnn, small_cnn, resnet50, mob"):
        build("keras", name, (64, 64, 3))


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_pictures_of_five_channels_are_refused_where_weights_know_three(framework):
    with pytest.raises(AslsparkError, match="5 channels; give grey"):
        build(framework, "resnet50", (64, 64, 5))


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_imagenet_weights_that_cannot_be_fetched_are_one_line(framework, monkeypatch, tmp_path):
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # a port that nothing listens on
    for variable in ("HOME", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    if framework == "keras":
        from aslspark.models.keras_network import build
    else:
        from aslspark.models.torch_network import build
    with pytest.raises(AslsparkError, match=r"network.weights=imagenet: the weights of mobilenet_v2") as error:
        build("mobilenet_v2", (64, 64, 3), 24, 0.0, 0, True)
    assert "\n" not in str(error.value)


@pytest.mark.long
@pytest.mark.slow
def test_a_fresh_worker_process_takes_torchvisions_own_network(tmp_path):
    import torch

    from aslspark.models.torchvision_ops import models

    spec = {
        "model": cloudpickle.dumps(models.squeezenet1_0(weights=None)),
        "optimizer": (torch.optim.Adam, {"lr": 0.001}),
        "loss": cloudpickle.dumps(torch.nn.CrossEntropyLoss()),
    }
    (tmp_path / "job").write_bytes(cloudpickle.dumps(replace(job_on(""), spec=spec)))
    code = """
import sys, cloudpickle
from aslspark.training.torch_worker import TorchTrainable, torch
from tiny_training import alone
assert "torchvision" not in sys.modules
job = cloudpickle.load(open(sys.argv[1], "rb"))
print(len(TorchTrainable(job, alone(), torch.device("cpu")).weights()))
"""
    paths = [str(REPOSITORY / "tests"), os.environ["PYTHONPATH"]]
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "job")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 1_248_424 * 4


SAVES_TWICE = """
import sys, threading, zipfile
from pathlib import Path

thread = threading.Thread(target=__import__, args=("tensorflow",))
thread.start()
thread.join()
from aslspark.models import keras_network

model = keras_network.build("small_cnn", (28, 28, 1), 3, 0.0)
for _ in range(2):
    print(zipfile.is_zipfile(Path(sys.argv[1]) / keras_network.save(model, Path(sys.argv[1]))))
"""


@pytest.mark.long
@pytest.mark.slow
def test_a_network_is_saved_in_keras_own_format_again_and_again_where_a_thread_has_imported_keras(tmp_path):
    command = [sys.executable, "-c", SAVES_TWICE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]

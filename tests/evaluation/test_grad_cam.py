"""Where networks look, in both frameworks."""

import numpy as np
import pytest

from aslspark.bundle.files import BundleContents
from aslspark.bundle.framework_network import framework_network
from aslspark.common.errors import AslsparkError
from aslspark.evaluation.grad_cam_maps import choose_map, heat_maps

SIDE, PATCH = 16, 6
UPRIGHT = np.array([[0, 0, 0], [-0.5, 1, -0.5], [0, 0, 0]], np.float32)
"""Answers to upright stripes, and not to level ones."""


def striped(upright_at, level_at):
    """A picture with a patch of upright stripes, and a fainter one of level stripes."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    row, column = upright_at
    picture[row : row + PATCH, column : column + PATCH : 2] = 1.0
    row, column = level_at
    picture[row : row + PATCH : 2, column : column + PATCH] = 0.6
    return picture


@pytest.fixture(scope="module")
def torch_network():
    """Class 0: how much is upright; class 1: how much is level."""
    import torch
    from torch import nn

    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, bias=False),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 2, bias=False),
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.from_numpy(np.stack([UPRIGHT, UPRIGHT.T])[:, None]))
        network[4].weight.copy_(torch.eye(2))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def keras_network():
    """The same, its convolution in a nested model."""
    import tensorflow as tf

    layers = tf.keras.layers
    inside = layers.Input((SIDE, SIDE, 1))
    maps = layers.Conv2D(2, 3, padding="same", use_bias=False, activation="relu")(inside)
    backbone = tf.keras.Model(inside, layers.GlobalAveragePooling2D()(maps))
    picture = layers.Input((SIDE, SIDE, 1))
    outputs = layers.Dense(2, use_bias=False, activation="softmax")(backbone(picture))
    network = tf.keras.Model(picture, outputs)
    network.set_weights([np.stack([UPRIGHT, UPRIGHT.T], axis=-1)[:, :, None], np.eye(2, dtype=np.float32)])
    network.trainable = False
    return network


def test_a_torch_bundle_is_loaded_with_the_shape_that_its_settings_gave_it(tmp_path):
    from aslspark.models.torch_network import build, save

    shaped = {"channels": "4,8,12", "kernels": "3,3,3"}
    file = save(build("cnn", (28, 28, 1), 3, 0.1, 16, **shaped), tmp_path)
    settings = {"network": {"name": "cnn", "dropout": 0.1, "hidden": 16, **shaped}}
    about = {"settings": settings, "shape": [28, 28, 1], "labels": ["A", "B", "C"]}
    about |= {"framework": "torch", "network_file": file}
    network = framework_network(BundleContents(about, {file: (tmp_path / file).read_bytes()}, ""), "the bundle")
    assert network[0].weight.shape == (4, 1, 3, 3)


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_the_heat_lies_where_the_answer_comes_from_and_nowhere_else(framework, request):
    network = request.getfixturevalue(f"{framework}_network")
    if framework == "torch":
        from aslspark.evaluation.grad_cam_torch import explain
    else:
        from aslspark.evaluation.grad_cam_keras import explain
    corner, other = (1, 1), (SIDE - PATCH - 1, SIDE - PATCH - 1)
    upright = [striped(corner, other), striped(other, corner)]
    pictures = np.stack([*upright, upright[0].T])[:, :, :, None]
    before = np.asarray(network(pictures)) if framework == "keras" else None
    explained = explain(network, pictures)
    assert explained.answers.tolist() == [0, 0, 1]
    heat = heat_maps(explained, SIDE, SIDE)
    assert heat.shape == (3, SIDE, SIDE)
    middle = SIDE // 2
    for picture, planted in zip(heat, (corner, other, corner), strict=True):
        near = picture[:middle, :middle] if planted == corner else picture[middle:, middle:]
        assert picture.max() == near.max() == pytest.approx(1)
        assert near.sum() > 0.9 * picture.sum()  # the ends of level stripes answer a little
    if before is not None:  # looked into, not changed
        assert np.array_equal(np.asarray(network(pictures)), before)


def test_the_maps_are_those_of_the_last_convolution_that_still_says_where():
    # The plain network: 5x5, activated, pooled, 5x5, activated, pooled, 3x3, activated, pooled.
    sizes = [(24, 24), (24, 24), (12, 12), (8, 8), (8, 8), (4, 4), (2, 2), (2, 2), (1, 1)]
    convolutions = [True, False, False, True, False, False, True, False, False]
    assert choose_map(list(zip(convolutions, sizes, strict=True))) == 4
    assert choose_map([(True, (3, 3)), (True, (1, 1))]) == 0
    with pytest.raises(AslsparkError, match="no convolution"):
        choose_map([(False, (4, 4))])


def test_nothing_that_speaks_for_the_answer_is_no_heat():
    from aslspark.evaluation.grad_cam_maps import Explanation

    nothing = Explanation(np.ones((1, 4, 4, 2), np.float32), -np.ones((1, 4, 4, 2), np.float32), np.zeros(1, int))
    assert heat_maps(nothing, 8, 8).max() == 0


def test_where_a_network_looks_is_lighter_the_more_it_looks_there_for_eyes_that_see_no_colours_too():
    from aslspark.evaluation.grad_cam import _under_heat

    grey = np.full((1, 11, 1), 128, np.uint8)
    shown = _under_heat(grey, np.linspace(0, 1, 11, dtype=np.float32)[None])
    assert (np.diff(shown[0] @ [0.2126, 0.7152, 0.0722]) > 0.01).all()

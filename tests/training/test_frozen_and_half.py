"""What a Keras version may leave undone without a word: layers that stay in 32 bits, that stay frozen, or that thaw."""

import numpy as np
import pytest
from tiny_training import SimpleTraining

from aslspark.common.catalog import NETWORKS

pytestmark = pytest.mark.slow
SHAPE = (32, 32, 3)


def network(name):
    from aslspark.models.keras_network import build

    return build(name, SHAPE, 3, 0.1)


def layers_of(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from layers_of(layer)
        else:
            yield layer


@pytest.mark.parametrize("name", ["cnn", "small_cnn", "landmark_net", "two_branch", "pooled_cnn", "mobilenet_v2"])
def test_every_layer_computes_in_16_bits_but_the_last_and_all_weights_have_32(name):
    training = SimpleTraining("keras", network(name), SHAPE, half="bfloat16", inputs=NETWORKS[name].inputs)
    layers = [layer for layer in layers_of(training.model) if not type(layer).__name__.startswith("Input")]
    assert layers.pop().compute_dtype == "float32"
    assert {layer.compute_dtype for layer in layers if layer.weights} == {"bfloat16"}
    assert {weight.dtype for weight in training.weights().values()} == {np.dtype("float32")}


def test_the_layers_of_a_sequential_network_that_a_user_gives_compute_in_16_bits_too():
    import tensorflow as tf

    layers = [tf.keras.Input(SHAPE), tf.keras.layers.Conv2D(2, 3), tf.keras.layers.Flatten()]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(3, activation="softmax")])
    training = SimpleTraining("keras", model, SHAPE, half="bfloat16")
    assert [layer.compute_dtype for layer in training.model.layers if layer.weights] == ["bfloat16", "float32"]
    training.step()


@pytest.mark.parametrize("name", ["small_cnn", "two_branch", pytest.param("mobilenet_v2", marks=pytest.mark.long)])
def test_a_frozen_backbone_stays_as_it_is_and_thaws_whole(name):
    from aslspark.models import keras_network

    model = network(name)
    everything = len(model.trainable_weights)
    keras_network.freeze(model)
    training = SimpleTraining("keras", model, SHAPE, inputs=NETWORKS[name].inputs)
    backbone = len(keras_network.backbone_of(training.model).weights)
    before = training.weights()
    training.step()
    after = training.weights()
    changed = [key for key in before if (before[key] != after[key]).any()]
    assert changed == [*before][backbone:] == training.learning()

    training.trainable.unfreeze()
    assert len(training.learning()) == everything
    assert all(layer.trainable for layer in layers_of(training.model))
    training.step()
    thawed = training.weights()
    assert all((after[key] != thawed[key]).any() for key in thawed)


def test_a_network_that_was_trained_frozen_is_finished_with_every_layer_thawed(tmp_path):
    from aslspark.models import keras_files, keras_network
    from aslspark.training.keras_fit import KerasNetwork

    model = network("small_cnn")
    everything = len(model.trainable_weights)
    keras_network.freeze(model)
    weights = SimpleTraining("keras", model, SHAPE).trainable.weights()
    finished, _ = KerasNetwork(model, "adam", "categorical_crossentropy").finished(weights, True)
    name = finished.save(tmp_path)
    loaded = keras_files.load_model((tmp_path / name).read_bytes())
    assert len(finished.model.trainable_weights) == len(loaded.trainable_weights) == everything

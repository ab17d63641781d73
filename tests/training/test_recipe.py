"""Optimizers, schedules, smoothing, clipping, and the rules that watch a fit."""

import math
import re
import sys

import numpy as np
import pytest
from tiny_training import OneBatch, Recorded, SimpleTraining, answers

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import TrainingConfig, load_config
from aslspark.training.data import look_at
from aslspark.training.fit_network import fit_network, keras_optimizer, torch_optimizer
from aslspark.training.initial_weights import check_network
from aslspark.training.loop import fit_epochs, learning_rate_factor
from aslspark.training.profiling import Recording
from aslspark.training.training_alerts import in_words, new_notes

FRAMEWORKS = ("keras", "torch")
SHAPE = (28, 28, 1)


def network(framework, name="cnn"):
    if framework == "keras":
        import tensorflow as tf

        from aslspark.models.keras_network import build

        tf.keras.utils.set_random_seed(3)
    else:
        import torch

        from aslspark.models.torch_network import build

        torch.manual_seed(3)
    return build(name, SHAPE, 5, 0.0)


def trained_by(framework, words, name="cnn", **more):
    """A network in this process, with the optimizer of the settings, rebuilt as a worker rebuilds it."""
    model, settings = network(framework, name), load_config(None, words).training
    if framework == "keras":
        return SimpleTraining(framework, model, SHAPE, optimizer=keras_optimizer(settings), **more)
    from aslspark.training.torch_fit import TorchNetwork

    spec = TorchNetwork(model, torch_optimizer(settings), cross_entropy(), []).spec(settings)
    return SimpleTraining(framework, model, SHAPE, optimizer=spec["optimizer"], **more)


def cross_entropy():
    import torch

    return torch.nn.CrossEntropyLoss()


def plain_steps(framework):
    """Gradient descent: a step is the gradient times the learning rate."""
    if framework == "keras":
        import tensorflow as tf

        return tf.keras.optimizers.SGD(0.001)
    import torch

    return torch.optim.SGD, {"lr": 0.001}


def length(before, after):
    return math.sqrt(sum(float(((after[name] - before[name]) ** 2).sum()) for name in before))


def test_one_cycle_rises_and_falls_over_the_whole_run_in_steps():
    training = TrainingConfig(epochs=11, patience=1, schedule="one_cycle")
    course = [learning_rate_factor(training, step, 11) for step in range(1, 122)]
    assert course[0] == pytest.approx(0.1)
    assert course[27] == pytest.approx(0.55)
    assert course[54] == max(course) == pytest.approx(1.0)
    assert course[81] == pytest.approx(0.55)
    assert course[108] == pytest.approx(0.1)
    assert course[120] == min(course) == pytest.approx(0.001)
    # Twice as many ranks, half as many steps: the same curve.
    fewer = [learning_rate_factor(training, step, 5) for step in (1, 28, 55)]
    assert fewer == pytest.approx([course[round((step - 1) / 54 * 120)] for step in (1, 28, 55)], abs=0.02)
    assert learning_rate_factor(TrainingConfig(epochs=1, patience=1, schedule="one_cycle"), 1, 1) == pytest.approx(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_weight_decay_takes_its_share_of_weights_and_leaves_biases_and_batchnorm_alone(framework):
    words = ["training.optimizer=adamw", "training.weight_decay=0.5"]
    training = trained_by(framework, words, "small_cnn")
    before = training.weights()
    training.step(weight=0.0)  # no loss, no gradient: what moves, decays
    after = training.weights()
    learning = training.learning()
    for name in learning:
        decays = before[name].ndim > 1
        assert np.allclose(after[name], before[name] * (1 - 0.001 * 0.5 * decays), rtol=1e-6, atol=0), name
    assert {before[name].ndim for name in learning} >= {1, 2, 4}


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_epsilon_and_adam_as_they_are_by_default_arrive_in_the_worker(framework):
    def steps(*words):
        training = trained_by(framework, [f"training.framework={framework}", *words])
        before = training.weights()
        training.step()
        return length(before, training.weights())

    # Adam's first step is as long as the learning rate where epsilon is small beside the gradient, else much shorter.
    assert steps("training.epsilon=1.0") < 0.1 * steps()
    training = trained_by(framework, [])
    optimizer = training.trainable._optimizers[0][0]
    assert type(optimizer).__name__ == "Adam"
    assert (optimizer.epsilon if framework == "keras" else optimizer.param_groups[0]["eps"]) == pytest.approx(
        {"keras": 1e-7, "torch": 1e-8}[framework]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("half", "close"), [(None, 1e-4), ("float16", 0.02)])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_clipping_bounds_the_gradient_of_all_parts_together(framework, half, close):
    def step(clip_norm, frozen=False):
        model = network(framework)
        if frozen:
            sys.modules[f"aslspark.models.{framework}_network"].freeze(model)
        given = {"optimizer": plain_steps(framework), "half": half, "unfreeze_rate": 1.0, "clip_norm": clip_norm}
        training = SimpleTraining(framework, model, SHAPE, **given)
        if frozen:
            training.trainable.unfreeze()
            assert len(training.trainable._optimizers) == 2
        before = training.weights()
        for _ in range(12):  # in float16 some steps overflow before the loss is scaled well
            training.step()
            norm, steps = training.trainable.take_sums()[4:6]
            if steps:
                break
        return length(before, training.weights()) / 0.001, norm

    free, norm = step(0.0)
    assert free == pytest.approx(norm, rel=close)
    assert step(norm * 2)[0] == pytest.approx(norm, rel=close)
    for frozen in (False, True):
        clipped, before_clipping = step(norm / 4, frozen)
        assert clipped == pytest.approx(norm / 4, rel=close)
        assert before_clipping == pytest.approx(norm, rel=close)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_smoothed_labels_change_the_training_loss_as_the_formula_says_and_no_other(framework):
    training = SimpleTraining(framework, network(framework), SHAPE, label_smoothing=0.3)
    batch = training.batch()
    logs = -np.log(answers(framework, training.model, batch.pictures))
    plain = logs[range(4), batch.labels].sum()
    smoothed = (0.7 * logs[range(4), batch.labels] + 0.3 * logs.mean(axis=1)).sum()
    training.trainable.evaluate(batch)
    sums = training.trainable.take_sums()
    assert sums[0] == pytest.approx(plain, rel=1e-5)
    said = answers(framework, training.model, batch.pictures).argmax(axis=1)
    assert sums[7:].tolist() == np.bincount(said, minlength=5).tolist()
    training.step()
    assert training.trainable.take_sums()[0] == pytest.approx(smoothed, rel=1e-5)
    assert abs(plain - smoothed) > 1e-3 * plain


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["training.weight_decay=0.1"], "training.weight_decay=0.1: training.optimizer=adam has none; set .*adamw"),
        (["training.optimizer=adamw"], "training.optimizer=adamw: without training.weight_decay it is adam; set one"),
    ],
)
def test_optimizers_and_decay_that_do_not_go_together_are_named(framework, words, message):
    with pytest.raises(AslsparkError, match=message):
        check_network(load_config(None, [f"training.framework={framework}", *words]))


def test_a_torch_loss_that_cannot_smooth_is_named():
    import torch

    from aslspark.training.torch_fit import TorchNetwork

    given = TorchNetwork(network("torch"), (torch.optim.Adam, {}), torch.nn.MultiMarginLoss(), [])
    with pytest.raises(AslsparkError, match=r"label_smoothing=0\.1: MultiMarginLoss has none; give torch\.nn\.Cross"):
        given.spec(TrainingConfig(label_smoothing=0.1))


def row(epoch=1, **more):
    good = {"loss": 1.0, "accuracy": 0.5, "gradient_norm": 1.0, "val_loss": 1.0, "val_accuracy": 0.5}
    return {"epoch": epoch, **good, "val_commonest": 0.3, **more}


def falling(*rows):
    """Epochs of a training as it should be, and then others."""
    good = [row(n, loss=2.0 / n) for n in range(1, 8)]
    return [*good, *(row(8 + n, **{"loss": 0.2, **more}) for n, more in enumerate(rows))]


@pytest.mark.parametrize(
    ("rule", "stops", "history"),
    [
        ("not_finite", True, falling({"loss": math.nan})),
        ("not_finite", True, falling({"val_loss": math.inf})),
        ("not_finite", True, [row(gradient_norm=math.nan)]),
        ("no_gradient", True, falling({"gradient_norm": 0.0})),
        ("exploding", False, [row(loss=20.0)]),
        ("exploding", False, falling({"gradient_norm": 150.0})),
        ("loss_not_falling", False, [row(n, loss=2.0) for n in range(1, 7)]),
        ("far_apart", False, falling({"accuracy": 0.9, "val_accuracy": 0.7})),
        ("one_answer", False, falling({"val_commonest": 1.0})),
    ],
)
def test_a_rule_sees_what_it_is_there_for_and_only_that(rule, stops, history):
    (note,) = new_notes(history, 24)
    assert (note["rule"], note["stopped"], note["epoch"]) == (rule, stops, len(history))
    line = in_words(note)
    assert line.startswith(f"epoch {len(history)}: {rule}: ")
    assert re.search(r"try .*(training|network)\.\w+", line)
    assert "\n" not in line
    assert new_notes(history[:-1], 24) == [] if len(history) > 1 else True


@pytest.mark.parametrize(
    "history",
    [
        falling(),
        [row(n, loss=0.001, accuracy=1.0, val_accuracy=0.95) for n in range(1, 9)],  # nothing is left to learn
        falling({"gradient_norm": 50.0}),
        falling({"gradient_norm": None}),  # 16 bits: all steps overflowed, the scale comes down
        [{key: value for key, value in row().items() if "val" not in key}],
    ],
)
def test_a_training_as_it_should_be_is_not_noted(history):
    assert new_notes(history, 24) == []


def test_a_rule_that_goes_on_is_noted_once_and_again_after_a_pause():
    history = falling(*({"val_commonest": share} for share in (1.0, 1.0, 0.5, 1.0)))
    noted = [note["epoch"] for n in range(1, len(history) + 1) for note in new_notes(history[:n], 24)]
    assert noted == [8, 11]


def test_a_loss_that_is_no_number_stops_the_run_and_the_best_epoch_before_is_kept():
    told = []
    outcome = fit_epochs(
        Recorded([2.0, 1.0, math.nan, 0.5]),
        OneBatch(),
        OneBatch(),
        TrainingConfig(epochs=4, patience=9, schedule="cosine"),
        told.append,
    )
    assert [row["epoch"] for row in outcome.history] == [1, 2, 3]
    assert outcome.best_epoch == 2
    assert [(note["rule"], note["epoch"]) for note in outcome.watch if note["stopped"]] == [("not_finite", 3)]
    assert [event["rule"] for event in told if event["event"] == "watch" and event["stopped"]] == ["not_finite"]


@pytest.mark.parametrize("broken", ["loss", "norm"])
def test_a_first_epoch_that_is_stopped_leaves_no_model(broken):
    fitted = Recorded([math.nan if broken == "loss" else 1.0] * 3)
    fitted.norm = 0.0 if broken == "norm" else 1.0
    outcome = fit_epochs(fitted, OneBatch(), OneBatch(), TrainingConfig(epochs=3, patience=9), lambda event: None)
    assert outcome.best_epoch == 0
    assert len(outcome.history) == 1


@pytest.mark.parametrize(
    ("wanted", "steps", "stopped", "traced"),
    [(3, 100, 100, [6, 7, 8]), (3, 4, 4, [2, 3, 4]), (9, 4, 4, [1, 2, 3, 4]), (0, 4, 4, []), (3, 100, 7, [6, 7])],
)
def test_steps_are_traced_after_the_first_few_where_there_are_as_many(wanted, steps, stopped, traced):
    seen, network = [], Recorded([])
    network.start_trace = lambda: seen.append("on")
    network.stop_trace = lambda: {"trace": str(seen)}
    recording = Recording(network, wanted, steps)
    for step in range(1, stopped + 1):
        recording.before(step)
        seen.append(step)
        recording.after(step)
        if recording.files:
            break
    recording.end()
    assert recording.files == ({"trace": str([*range(1, traced[0]), "on", *traced])} if traced else {})


@pytest.mark.parametrize("framework", [pytest.param("keras", marks=pytest.mark.long), "torch"])
def test_an_absurd_learning_rate_stops_all_processes_with_one_line(framework, spark, ingested, tmp_path):
    words = ["training.optimizer=adamw", "training.weight_decay=0.01", "training.schedule=one_cycle"]
    config = load_config(None, [*words, f"training.framework={framework}"])
    config.training.learning_rate = 1e30  # the settings themselves would refuse it
    with pytest.raises(AslsparkError) as error:
        fit_network(look_at(spark, ingested), config, tmp_path)
    line = str(error.value)
    assert re.match(r"epoch 1: not_finite: \w+ was (nan|inf), so the training was stopped; try .*learning_rate", line)
    assert "no epoch before it left a model to keep" in line
    assert "\n" not in line

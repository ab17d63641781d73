import dataclasses
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import AugmentConfig, Config, augment_settings, load_config


def test_without_file_or_words_the_settings_are_the_defaults():
    assert load_config() == Config()


def test_words_are_stronger_than_the_file_and_the_file_than_the_defaults(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("training:\n  epochs: 3\n  batch_size: 16\n")
    config = load_config(str(path), ["training.epochs=4"])
    assert (config.training.epochs, config.training.batch_size) == (4, 16)
    assert config.training.learning_rate == Config().training.learning_rate


def test_one_word_needs_no_list_around_it():
    assert load_config(overrides="training.epochs=4").training.epochs == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": {"training": {"epochs": 3}}}, r"path: a dict is no YAML file; give settings as words: overrides=\["),
        ({"overrides": {"training.epochs": 3}}, r"overrides: a dict is no sequence of words; give settings as words"),
    ],
    ids=["in place of a file", "in place of words"],
)
def test_a_dictionary_of_settings_is_refused_with_what_would_work(given, message):
    with pytest.raises(AslsparkError, match=message):
        load_config(**given)


def test_on_can_be_written_in_a_file_as_it_is_called(tmp_path):
    path = tmp_path / "hands.yaml"
    path.write_text("hands:\n  on: true\naugment:\n  on: false\n")
    config = load_config(str(path))
    assert config.hands.on
    assert not config.augment.on


@pytest.mark.parametrize("written", ["0.01", "1e-2", "1"])
def test_numbers_are_read_as_people_write_them(written):
    assert load_config(None, [f"training.learning_rate={written}"]).training.learning_rate == float(written)


@pytest.mark.parametrize("written", ["64", "'64'", "64,32"])
def test_a_list_of_numbers_may_hold_one(written):
    assert load_config(None, [f"mllib.hidden={written}"]).mllib.hidden == written.strip("'")


def test_a_word_may_be_nothing():
    of_bundle = {"network": {"channels": "8,16"}}
    assert load_config(None, ["network.channels="], of_bundle=of_bundle).network.channels == ""


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("training.epoch=3", ["training.epoch", "training.epochs"]),
        ("training.epochs=many", ["training.epochs", "many", "whole number"]),
        ("training.epochs=1.5", ["training.epochs", "1.5", "whole number"]),
        ("training.epochs=0", ["training.epochs", "0", "1 or more"]),
        ("augment.on=1", ["augment.on", "1", "true or false"]),
        ("augment.flip_probability=1.5", ["augment.flip_probability", "1.5", "from 0.0 to 1.0"]),
        ("augment.rotation_degrees=-5", ["augment.rotation_degrees", "-5", "from 0.0 to 180.0"]),
        ("augment.blur_least=4", ["augment.blur_least", "4", "3, 5, 7"]),
        ("augment.holes_least=20", ["augment.holes_least", "20", "at most augment.holes_most, which is 10"]),
        ("training.framework=kears", ["training.framework", "kears", "keras"]),
        ("split.test=0.9", ["split.test", "0.9", "0.5"]),
        ("epochs=3", ["epochs", "training.epochs"]),
        ("training.epochs", ["training.epochs", "key=value"]),
    ],
)
def test_a_wrong_word_is_named_with_its_value_and_what_would_work(word, named):
    with pytest.raises(AslsparkError) as error:
        load_config(None, [word])
    assert all(part in str(error.value) for part in named)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["training: [1, 2", "- a\n- b\n", "training:\n  epochz: 3\n"])
def test_a_wrong_file_is_named(tmp_path, text):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(AslsparkError, match=r"wrong\.yaml"):
        load_config(str(path))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "conf").glob("*.yaml")), ids=lambda p: p.name)
def test_the_settings_that_come_with_the_package_are_right(path):
    assert isinstance(load_config(str(path)), Config)


def test_an_estimators_augment_is_on_or_off_or_some_of_the_settings():
    assert augment_settings(True) == AugmentConfig()
    assert augment_settings(False) == AugmentConfig(on=False)
    assert augment_settings({"flip_probability": 1, "shear": 0.1}) == AugmentConfig(flip_probability=1.0, shear=0.1)
    assert augment_settings(AugmentConfig(shift=0.2)) == AugmentConfig(shift=0.2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flip_probabilty": 0.5}, r"augment\.flip_probabilty=0\.5: .* did you mean augment\.flip_probability\?"),
        ({"blur_probability": -1}, r"augment\.blur_probability=-1\.0: out of range; it may be from 0\.0 to 1\.0"),
        ({"blur_least": 7, "blur_most": 5}, r"augment\.blur_least=7: out of range; .* which is 5"),
        (AugmentConfig(hue_probability=2.0), r"augment\.hue_probability=2\.0: out of range"),
        ("yes", "augment=yes: give true, false, or settings"),
    ],
)
def test_an_estimators_wrong_augment_is_named(given, message):
    with pytest.raises(AslsparkError, match=message):
        augment_settings(given)


def test_every_setting_says_what_it_means():
    for section in dataclasses.fields(Config):
        for setting in dataclasses.fields(section.default_factory):
            assert setting.metadata["meaning"], setting.name


def modules_with(*imported, then="pass"):
    """What a fresh interpreter holds once it has imported these, and done what follows."""
    code = f"import sys, {', '.join(imported)}; {then}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_is_light():
    modules = modules_with(
        "aslspark",
        "aslspark.common.settings",
        "aslspark.scoring.model",
        "aslspark.bundle.read",
        "aslspark.cli.fetch_hand_models",
    )
    assert not {"tensorflow", "torch", "horovod", "petastorm", "onnxruntime", "matplotlib"} & modules


def test_a_torch_job_never_imports_tensorflow():
    modules = modules_with("aslspark.training.torch_estimator", "aslspark.training.torch_worker")
    assert "horovod.spark.torch" in modules
    assert not {"tensorflow", "tensorboard.compat.notf"} & modules


@pytest.mark.long
@pytest.mark.slow
def test_a_keras_worker_imports_tensorflow_alone():
    process = "aslspark.training.keras_process"
    modules = modules_with(process, then=f"{process}.import_tensorflow(); import horovod.tensorflow")
    assert {"keras.src.engine.training", "keras.src.trainers.trainer"} & modules  # of Keras 2 and 3
    assert "scipy" not in modules
    assert "scipy.stats" in modules_with(process, then=f"{process}.import_tensorflow(); import scipy.stats")


def test_a_setting_that_has_no_meaning_any_more_is_passed_over_with_one_line(caplog, tmp_path):
    (tmp_path / "former.yaml").write_text("hands:\n  seconds: 3.0\n  looks: 2\n")
    config = load_config(str(tmp_path / "former.yaml"), [])
    assert config == load_config(None, ["hands.looks=2"])
    (line,) = caplog.messages
    assert line.startswith("hands.seconds has no meaning now: ")
    assert "\n" not in line

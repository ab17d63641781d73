"""All settings of a job in one typed schema, from YAML files and `key=value` words.

In: `conf/NAME.yaml`, overrides such as `training.epochs=15`. Out: a checked `Config`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from aslspark.common.catalog import CLASSIFIERS, NETWORKS, NO_CLASSIFIER, own_sizes
from aslspark.common.errors import AslsparkError
from aslspark.common.setting_values import check_ranges, checked_value, leaves, say_once, setting


@dataclass
class SplitConfig:
    """How samples are divided into train, validation and test."""

    kind: str = setting("block", "what is kept together", choices=("block", "signer", "source", "random"))
    validation: float = setting(0.1, "share of the samples that chooses the best epoch", least=0.0, most=0.5)
    test: float = setting(0.1, "share that nothing is chosen by", least=0.0, most=0.5)
    blocks: int = setting(10, "contiguous pieces of each source and label, for kind 'block'", least=2)
    seed: int = setting(42, "the same seed gives the same split", least=0)


@dataclass
class PictureConfig:
    """What pictures in files are brought to at ingest; pixel tables and drawn hands stay as they are."""

    size: int = setting(64, "height and width to store them in", least=8, most=1024)
    grey: bool = setting(False, "grey instead of RGB; with size=28, the layout of pixel tables")
    fit: str = setting(
        "crop", "of pictures that are not square: cut the longer side, or add black bars", choices=("crop", "letterbox")
    )
    store: str = setting("raw", "bytes in the table: fast to read, or small", choices=("raw", "png", "jpeg"))
    max_pixels: int = setting(
        50_000_000, "larger pictures are quarantined without being decoded", least=1, most=89_000_000
    )
    skin_mask: bool = setting(False, "make skin white and all else black, by colour")
    skin_low: str = setting("0,60,110", "lowest hue, saturation, value of skin, each 0-255")
    skin_high: str = setting("255,209,255", "highest hue, saturation, value of skin, each 0-255")
    labels: str = setting("", 'JSON file of labels by other names, such as {"0": "A"}; none: the names are labels')
    signer_pattern: str = setting("", "regular expression over the path whose group is the signer, such as hand(\\d)_")
    near_bits: int = setting(
        6, "of 64: test and training pictures that differ by no more are near duplicates", least=0, most=16
    )
    drop_near_duplicates: bool = setting(False, "quarantine near duplicates of test pictures")
    roots: str = setting(
        "", "folders, apart by commas, in which manifests may name pictures beside their own; none: their own alone"
    )
    keep: str = setting(
        "all",
        "labels that are wanted, the others are quarantined; letters: A to Z, static: those without J and Z",
        choices=("all", "letters", "static"),
    )


@dataclass
class ColumnConfig:
    """What the columns of tables are called; empty: as `aslspark.ingest` and `aslspark.score` know them."""

    picture: str = setting(
        "",
        "bytes of a file, Hugging Face's or Spark's image, a struct or an array; empty: picture, image, content, ...",
    )
    label: str = setting("", "the letter; of files, numbers are names that pictures.labels explains")
    signer: str = setting("", "whose hand it is")
    split: str = setting("", "train, validation or test")
    path: str = setting("", "what tells pictures apart; empty and no column path: a hash of the bytes")
    time: str = setting("", "when a row came to be, for --since")


@dataclass
class HandConfig:
    """Whether pictures in files are cropped to the hand, and how it is found."""

    on: bool = setting(False, "find the hand, crop to it and keep its landmarks")
    margin: float = setting(0.25, "room around the landmarks, as a share of their square's side", least=0.0, most=2.0)
    upright: bool = setting(False, "turn the crop so that the middle finger's knuckle stands above the wrist")
    background: str = setting("keep", "what lies outside of the hand: keep it, or blur it", choices=("keep", "blur"))
    confidence: float = setting(
        0.3, "least score of a palm, and a third of it where none has it; lower finds more hands", least=0.01, most=1.0
    )
    looks: int = setting(
        4, "at a hand: the first finds its place, landmarks are what the others agree on", least=1, most=4
    )
    small_pixels: int = setting(
        0,
        "a hand's longer side in a small copy of its picture, in which it is found again, to learn from; 0: no copy",
        least=0,
    )


@dataclass
class FeatureConfig:
    """What is done to the numbers of a picture before a model sees them."""

    stretch: bool = setting(True, "stretch each picture to its own darkest and brightest point")
    upright: bool = setting(False, "turn each hand's landmarks upright: how it is turned in the picture is not told")


@dataclass
class NetworkConfig:
    """The shape of the network."""

    name: str = setting("pooled_cnn", "which network", choices=tuple(NETWORKS), built=True)
    dropout: float = setting(0.15, "share of the units dropped while training", least=0.0, most=0.9, built=True)
    hidden: int = setting(
        0,
        f"units of the dense layer before the last; 0: as the network has it ({own_sizes('hidden')}; others: none)",
        least=0,
        built=True,
    )
    channels: str = setting(
        "",
        f"of its convolutions, or of its stages; empty: as the network has them ({own_sizes('channels')})",
        built=True,
    )
    kernels: str = setting(
        "",
        f"sides of its convolutions' kernels; empty: as the network has them ({own_sizes('kernels')})",
        built=True,
    )
    branch_dropout: float = setting(
        0.2,
        "of two_branch: share of the training samples of which the picture or the landmarks, evenly, are left out",
        least=0.0,
        most=0.9,
    )
    weights: str = setting("none", "what it starts from: none, imagenet, a file of weights or a bundle", built=True)
    freeze: bool = setting(False, "let the head alone learn; the backbone keeps its weights", built=True)
    unfreeze_after: int = setting(0, "epochs after which a frozen backbone learns too; 0: never", least=0)
    unfreeze_rate: float = setting(
        0.1, "share of the learning rate that it learns with from then on", least=1e-6, most=1.0
    )


@dataclass
class MllibConfig:
    """MLlib's classifiers, to compare with; each takes those of the settings that it has."""

    classifier: str = setting(
        NO_CLASSIFIER, "which classifier, in place of the network", choices=(NO_CLASSIFIER, *CLASSIFIERS)
    )
    reads: str = setting(
        "picture", "landmarks need data that was ingested with hands.on=true", choices=("picture", "landmarks", "both")
    )
    trees: int = setting(50, "of the forest", least=1)
    depth: int = setting(8, "of the trees of forest and boosted", least=1, most=30)
    rounds: int = setting(10, "of boosted: trees a letter, each mending what those before it got wrong", least=1)
    hidden: str = setting("256", "units of mlp's hidden layers: 256, or 256,128")
    iterations: int = setting(100, "of the solver of mlp and logistic, at most", least=1)
    regularisation: float = setting(0.001, "of logistic: weight of the squared weights in the loss", least=0.0)


@dataclass
class TrainingConfig:
    """How the network is fitted."""

    framework: str = setting("keras", "which framework", choices=("keras", "torch"), built=True)
    launcher: str = setting(
        "horovod",
        "what averages the processes' gradients; torch: torch.distributed, for torch networks without Horovod",
        choices=("horovod", "torch"),
        before={"torch_distributor": "torch"},
        built=True,
        resumable=True,
    )
    num_proc: int = setting(2, "processes, one a Spark task slot", least=1, resumable=True)
    epochs: int = setting(40, "passes over the training samples", least=1)
    batch_size: int = setting(32, "samples a step in each process", least=1)
    optimizer: str = setting(
        "adam", "what takes the steps; adamw: with weight_decay", choices=("adam", "adamw"), built=True
    )
    learning_rate: float = setting(
        0.001,
        "Adam's step size for one process; multiplied by num_proc",
        least=1e-8,
        most=1.0,
        built=True,
    )
    weight_decay: float = setting(
        0.0,
        "of adamw: share of each weight, times the learning rate, that a step takes away; not of biases and BatchNorm",
        least=0.0,
        most=1.0,
        built=True,
    )
    epsilon: float = setting(
        0.0,
        "added where Adam divides; 0: as the framework has it, 1e-7 in keras, 1e-8 in torch",
        least=0.0,
        most=1.0,
        built=True,
    )
    schedule: str = setting(
        "cosine",
        "the learning rate after an epoch of rising: falls, or stays; one_cycle: rises and falls over the whole run",
        choices=("cosine", "constant", "one_cycle"),
    )
    label_smoothing: float = setting(
        0.0, "share of each label that is divided evenly among all, in training alone", least=0.0, most=0.5
    )
    clip_norm: float = setting(
        0.0, "gradients, averaged over the processes, are shortened to this norm of all together; 0: never", least=0.0
    )
    patience: int = setting(
        10,
        "epochs without a better validation loss before it stops; counted once one_cycle's rate is down again",
        least=1,
    )
    balance_sources: bool = setting(True, "let every source weigh the same in the loss", built=True)
    seed: int = setting(42, "starting weights, order of samples, dropout", least=0)
    feed: str = setting(
        "in_place",
        "who reads the samples: we, where they lie, or petastorm, from a flat copy written first",
        choices=("in_place", "petastorm"),
        resumable=True,
    )
    cache_mb: int = setting(
        2048,
        "MiB of pictures that each process keeps in memory; a larger share is streamed",
        least=1,
        resumable=True,
    )
    threads: int = setting(0, "of each process; 0: as many as its Spark task has cores", least=0, resumable=True)
    cycle_ms: float = setting(
        0.0,
        "how often Horovod looks for gradients to average; 0: by the batch size",
        least=0.0,
        most=1000.0,
        resumable=True,
    )
    use_gpu: bool = setting(
        False,
        "one GPU a process: the one that Spark gives its task, in local mode the one of its local rank",
        resumable=True,
    )
    precision: str = setting(
        "float32",
        "what the network computes in; mixed: 16 bits, bfloat16 where the device has it, with float32 weights and loss",
        choices=("float32", "mixed"),
    )
    tries: int = setting(
        3,
        "to come to the end: when a worker is lost, training goes on from the last epoch with those that are left",
        least=1,
        most=100,
        resumable=True,
    )
    profile_steps: int = setting(
        0,
        "steps whose trace the first process leaves in the bundle; 0: none",
        least=0,
        most=100,
        resumable=True,
    )


@dataclass
class AugmentConfig:
    """How training pictures are changed at random; `aslspark.features.augmentation` says what each change does.

    Each change has a probability, with which it befalls a picture, or the landmarks of a hand, and where there is
    something to draw, a range: the amount is drawn evenly, for each picture alone. Amounts of landmarks are drawn from
    normal distributions.
    """

    on: bool = setting(True, "change the training pictures at random")
    rotation_probability: float = setting(1.0, "that a picture is turned", least=0.0, most=1.0)
    rotation_degrees: float = setting(10.0, "at most, either way", least=0.0, most=180.0)
    shift_probability: float = setting(1.0, "that it is shifted", least=0.0, most=1.0)
    shift: float = setting(0.07, "share of the width and of the height, at most, either way", least=0.0, most=0.5)
    scale_probability: float = setting(1.0, "that it is made larger or smaller", least=0.0, most=1.0)
    scale: float = setting(0.1, "share of the size, at most, either way", least=0.0, most=0.9)
    shear_probability: float = setting(1.0, "that it is slanted", least=0.0, most=1.0)
    shear: float = setting(0.2, "sideways for each pixel of height, at most, either way", least=0.0, most=1.0)
    flip_probability: float = setting(
        0.0, "that it is mirrored left to right: a hand's mirror is the other hand", least=0.0, most=1.0
    )
    brightness_probability: float = setting(1.0, "that its brightness is moved", least=0.0, most=1.0)
    brightness: float = setting(0.1, "of 0-1, at most, either way", least=0.0, most=1.0)
    contrast_probability: float = setting(1.0, "that its contrast is changed", least=0.0, most=1.0)
    contrast: float = setting(0.2, "share of the contrast, at most, either way", least=0.0, most=1.0)
    hue_probability: float = setting(0.0, "that its colours are turned; RGB only", least=0.0, most=1.0)
    hue_degrees: float = setting(20.0, "on the colour circle, at most, either way", least=0.0, most=180.0)
    saturation_probability: float = setting(
        0.0, "that its colours are made stronger or weaker; RGB only", least=0.0, most=1.0
    )
    saturation: float = setting(0.3, "share of the colours' strength, at most, either way", least=0.0, most=1.0)
    channel_shuffle_probability: float = setting(
        0.0, "that red, green and blue change places; RGB only", least=0.0, most=1.0
    )
    blur_probability: float = setting(0.0, "that it is blurred", least=0.0, most=1.0)
    blur_least: int = setting(3, "pixels: side of the square that is averaged", choices=(3, 5, 7), upto="blur_most")
    blur_most: int = setting(7, "pixels: side of the square that is averaged", choices=(3, 5, 7))
    coarse_dropout_probability: float = setting(0.0, "that dark holes are cut into it", least=0.0, most=1.0)
    holes_least: int = setting(8, "holes in a picture", least=1, most=64, upto="holes_most")
    holes_most: int = setting(10, "holes in a picture", least=1, most=64)
    hole_size_least: float = setting(
        0.045, "share of the picture's side, height and width apart", least=0.0, most=1.0, upto="hole_size_most"
    )
    hole_size_most: float = setting(0.134, "share of the picture's side, height and width apart", least=0.0, most=1.0)
    background_probability: float = setting(
        0.0, "that a dark background, as in a studio, is replaced", least=0.0, most=1.0
    )
    background_darkness: float = setting(
        0.2, "of 0-1: a pixel is background if every channel is below", least=0.01, most=1.0
    )
    landmark_probability: float = setting(1.0, "that a hand's landmarks are changed", least=0.0, most=1.0)
    landmark_drawn_probability: float = setting(
        0.0, "that a drawn hand of the same letter stands in, without a picture", least=0.0, most=1.0
    )
    landmark_mix_probability: float = setting(
        0.0,
        "that it is mixed with another hand of the same letter, for networks that take no picture",
        least=0.0,
        most=1.0,
    )
    landmark_noise: float = setting(
        0.02, "share of the palm's length by which each is moved: standard deviation", least=0.0, most=0.5
    )
    landmark_turn_degrees: float = setting(
        12.0, "turn in the picture's plane: standard deviation", least=0.0, most=180.0
    )
    landmark_tilt_degrees: float = setting(18.0, "turn out of it: standard deviation", least=0.0, most=90.0)
    landmark_bone: float = setting(
        0.15, "share of its length by which each bone and each finger grows: standard deviation", least=0.0, most=0.5
    )


@dataclass
class AnswerConfig:
    """When the finished model answers."""

    threshold: float = setting(
        0.0,
        "the least probability with which a letter is answered; 0: always",
        least=0.0,
        most=1.0,
        resumable=True,
    )
    temperature: float = setting(
        0.0,
        "by which the logarithms of probabilities are divided; 0: as the validation samples ask for. For people that "
        "were not met: what cross_validate.py --leave-one finds",
        least=0.0,
        most=20.0,
    )


@dataclass
class TrackingConfig:
    """Whether jobs leave a run in MLflow, and where."""

    mlflow: bool = setting(False, "log settings, figures, plots and bundles; needs mlflow-skinny", resumable=True)
    uri: str = setting(
        "mlruns", "a folder, or a tracking server such as http://host:5000 or databricks", resumable=True
    )
    experiment: str = setting("aslspark", "by which runs are found", resumable=True)
    registered_model: str = setting(
        "",
        "name in MLflow's registry, where retraining registers what it promotes; none: nothing is registered",
        resumable=True,
    )


@dataclass
class DrawnConfig:
    """The drawn hands that stand in where no data is given."""

    count: int = setting(4800, "pictures", least=24)
    signers: int = setting(20, "different hands", least=3)
    seed: int = setting(7, "the same seed gives the same bytes", least=0)


FORMER_SETTINGS = {"hands.seconds": "the networks that find hands run in the process itself, and cannot hang"}
"""Settings of earlier versions, and why they are none now."""


@dataclass
class Config:
    """Every setting of every job."""

    split: SplitConfig = field(default_factory=SplitConfig)
    pictures: PictureConfig = field(default_factory=PictureConfig)
    columns: ColumnConfig = field(default_factory=ColumnConfig)
    hands: HandConfig = field(default_factory=HandConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    mllib: MllibConfig = field(default_factory=MllibConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    answers: AnswerConfig = field(default_factory=AnswerConfig)
    drawn: DrawnConfig = field(default_factory=DrawnConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the settings as plain nested dictionaries."""
        return asdict(self)


_AS_WORDS = "give settings as words: overrides=['training.epochs=15', 'split.kind=signer']"


def load_config(
    path: str | None = None, overrides: str | Sequence[str] = (), of_bundle: Mapping[str, Any] | None = None
) -> Config:
    """Read the settings: the defaults, then those of a bundle, then a YAML file, then overrides.

    Parameters
    ----------
    path : str, optional
        A YAML file with some of the settings.
    overrides : str or sequence of str
        Words such as ``training.epochs=15``, strongest last.
    of_bundle : mapping, optional
        `settings` of a bundle's manifest, by section or by whole names such as 'training.epochs'; what this
        version does not know of them is passed over.

    Returns
    -------
    Config

    Raises
    ------
    AslsparkError
        For an unknown key, a wrong type or a value out of range; it names the key, the value and what would work.

    Examples
    --------
    >>> import aslspark
    >>> config = aslspark.load_config(overrides=["training.epochs=15", "split.kind=signer"])
    >>> config.training.epochs, config.split.kind, config.training.batch_size
    (15, 'signer', 32)
    >>> aslspark.load_config(overrides=["training.epoch=15"])
    Traceback (most recent call last):
        ...
    aslspark.common.errors.AslsparkError: --set training.epoch=15: unknown setting; did you mean training.epochs?
    """
    import yaml

    config = Config()
    known = declarations()
    for key, value in leaves(_as_named_now(of_bundle or {})):
        if key in known:
            _set(config, key, value, "settings of the bundle: ")
    if path is not None:
        if not isinstance(path, str | os.PathLike):
            raise AslsparkError(f"path: a {type(path).__name__} is no YAML file; {_AS_WORDS}")
        if not Path(path).is_file():
            raise AslsparkError(f"--config {path}: no such file")
        try:
            from_file = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise AslsparkError(f"--config {path}: not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(from_file, dict):
            raise AslsparkError(f"--config {path}: no settings: expected 'section:' lines with keys under them")
        for key, value in leaves(from_file):
            _set(config, key, value, f"{path}: ")
    if isinstance(overrides, Mapping):
        raise AslsparkError(f"overrides: a {type(overrides).__name__} is no sequence of words; {_AS_WORDS}")
    for word in [overrides] if isinstance(overrides, str) else overrides:
        key, equals, text = word.partition("=")
        if not equals:
            raise AslsparkError(f"--set {word}: write it as key=value, for example training.epochs=15")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if isinstance(value, list | dict):
            value = text  # a regular expression such as [a-z]+
        _set(config, key.strip(), value, "--set ")
    check_ranges(config)
    return config


def check_setting(key: str, value: Any) -> None:
    """See that a setting may hold a value, wherever it comes from.

    Raises
    ------
    AslsparkError
        As from `load_config`.
    """
    _set(Config(), key, value, "")


def settings_from(values: Mapping[str, Any]) -> Config:
    """Check settings that are given by their whole names, such as 'training.epochs'; all others are as by default.

    Raises
    ------
    AslsparkError
        As from `load_config`.
    """
    config = Config()
    for key, value in values.items():
        _set(config, key, value, "")
    check_ranges(config)
    return config


def augment_settings(given: bool | AugmentConfig | Mapping[str, Any]) -> AugmentConfig:
    """Read what an estimator's param `augment` may hold.

    Parameters
    ----------
    given : bool, AugmentConfig or mapping
        On or off with the default changes; or settings by their names in `AugmentConfig`.

    Raises
    ------
    AslsparkError
        For an unknown key, a wrong type or a value out of range; it names the key, the value and what would work.
    """
    if isinstance(given, bool):
        given = {"on": given}
    elif isinstance(given, AugmentConfig):
        given = asdict(given)
    elif not isinstance(given, Mapping):
        raise AslsparkError(f"augment={given}: give true, false, or settings such as {{'flip_probability': 0.5}}")
    return settings_from({f"augment.{name}": value for name, value in given.items()}).augment


def declarations(*sections: str) -> dict[str, Field[Any]]:
    """Return how each setting is declared, by its whole name; of some sections, or of all."""
    wanted = sections or [section.name for section in fields(Config)]
    config = Config()
    return {f"{name}.{setting.name}": setting for name in wanted for setting in fields(getattr(config, name))}


def _as_named_now(of_bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a bundle's settings from before MLlib's classifiers had a section to today's names."""
    settings = dict(of_bundle)
    if before := dict(settings.pop("baseline", {})):
        before["classifier"] = before.pop("name")
        before["hidden"] = ",".join(map(str, before.pop("hidden"))) or MllibConfig.hidden
        inputs = before.pop("inputs", ["picture"])
        before["reads"] = inputs[0] if len(inputs) == 1 else "both"
        settings["mllib"] = before
    return settings


def _set(config: Config, key: str, value: Any, where: str) -> None:
    known = declarations()
    if key in FORMER_SETTINGS:
        say_once(f"{key} has no meaning now: {FORMER_SETTINGS[key]}")
        return
    if key not in known:
        raise AslsparkError(f"{where}{key}={value}: unknown setting; {_nearest(key, list(known))}")
    section, name = key.split(".")
    setattr(getattr(config, section), name, checked_value(known[key], key, value, where))


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1) or [name for name in known if name.endswith(f".{key}")]
    return f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}"

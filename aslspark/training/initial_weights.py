"""What a network starts from: the settings of `network` checked, and its weights found and loaded, on the driver."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from aslspark.bundle.checks import NETWORK_FILES
from aslspark.bundle.files import read_bundle
from aslspark.common.catalog import LANDMARKS, NETWORKS, convolutions, require_network, weights_error
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.settings import Config, TrainingConfig
from aslspark.common.tensorflow_start import import_tensorflow
from aslspark.training.collective import is_installed
from aslspark.training.hands import require_feed
from aslspark.training.launch.launchers import HOROVOD, TORCH

log = logging.getLogger("aslspark")

NONE, IMAGENET = "none", "imagenet"
SUFFIXES = {"keras": (".keras", ".h5"), "torch": (".safetensors", ".pth", ".pt")}
"""Files of weights, by framework."""


@dataclass(frozen=True)
class WeightsFile:
    """Weights on disk."""

    path: Path
    content: bytes | None
    """Of a bundle's file, as its checksum holds: it is not opened again."""
    labels: tuple[str, ...] | None
    """What the head stands for; None where the file does not say."""


def check_network(config: Config, raw: bool = False) -> None:
    """See that the settings of network and optimizer go together and the weights are there, before any data is read.

    Parameters
    ----------
    raw : bool
        Whether the data are still to be ingested.

    Raises
    ------
    AslsparkError
    """
    network, training = config.network, config.training
    _check_launcher(training)
    known = require_network(network.name, training.framework)
    convolutions(network.name, network.channels, network.kernels)
    if known.normalised and training.batch_size < 3:
        raise AslsparkError(
            f"training.batch_size={training.batch_size}: network.name={network.name} has BatchNorm, which a step of "
            "one picture leaves nothing to average; give 3 or more"
        )
    require_feed(training.feed, known.inputs)
    if raw and LANDMARKS in known.inputs and not config.hands.on:
        raise AslsparkError(
            f"network.name={network.name}: it takes landmarks, which pictures in files get with hands.on=true"
        )
    if training.optimizer == "adam" and training.weight_decay:
        raise AslsparkError(
            f"training.weight_decay={training.weight_decay}: training.optimizer=adam has none; set "
            "training.optimizer=adamw"
        )
    if training.optimizer == "adamw" and not training.weight_decay:
        raise AslsparkError(
            "training.optimizer=adamw: without training.weight_decay it is adam; set one, for example 0.01"
        )
    if network.freeze and network.weights == NONE:
        raise AslsparkError("network.freeze=true: a backbone that has learned nothing cannot help; set network.weights")
    if network.unfreeze_after and not network.freeze:
        raise AslsparkError(
            f"network.unfreeze_after={network.unfreeze_after}: nothing is frozen; set network.freeze=true as well"
        )
    if network.unfreeze_after >= training.epochs:
        raise AslsparkError(
            f"network.unfreeze_after={network.unfreeze_after}: training.epochs={training.epochs} end before; "
            "give fewer, or 0 for never"
        )
    if network.weights == IMAGENET and not known.imagenet:
        there = ", ".join(name for name, facts in NETWORKS.items() if facts.imagenet)
        raise AslsparkError(f"network.weights=imagenet: there are none for {network.name}; they exist for {there}")
    if network.weights not in (NONE, IMAGENET):
        find_weights(config)


def _check_launcher(training: TrainingConfig) -> None:
    if training.launcher == TORCH and training.framework != "torch":
        raise AslsparkError(
            f"training.launcher={TORCH}: it trains torch networks, and training.framework="
            f"{training.framework}; set training.framework=torch, or training.launcher={HOROVOD}"
        )
    if training.launcher == HOROVOD and not is_installed("horovod"):
        raise AslsparkError(
            f"training.launcher={HOROVOD}: there is no Horovod here; set training.launcher={TORCH} and "
            "training.framework=torch, or install Horovod"
        )


def import_ahead(training: TrainingConfig) -> None:
    """Begin to import what fitting and judging will need, while Spark reads the data."""
    needed = [f"aslspark.training.{training.framework}_fit", "sklearn.metrics"]

    def imports() -> None:
        collecting = gc.isenabled()
        gc.disable()  # it would look for garbage among modules: 0.9 s of 4.6
        try:
            with contextlib.suppress(Exception):  # whoever needs it will import it too, and say what is wrong
                if training.framework == "keras":
                    import_tensorflow()
                for name in needed:
                    import_module(name)
        finally:
            if collecting:
                gc.enable()

    # No daemon: a process that ends in the middle of such an import may crash.
    threading.Thread(target=imports, name="imports").start()


def find_weights(config: Config) -> WeightsFile:
    """Find the file that `network.weights` names, or the one of the bundle that it names.

    Raises
    ------
    AslsparkError
        Where there is none, it is another framework's, or a bundle of another network.
    """
    name, framework, given = config.network.name, config.training.framework, config.network.weights
    suffixes = SUFFIXES[framework]
    path = Path(local_path(given))
    if path.is_file():
        if path.suffix not in suffixes:
            raise AslsparkError(
                f"network.weights={given}: training.framework={framework} reads {', '.join(suffixes)} files"
            )
        return WeightsFile(path, None, None)
    if not path.is_dir():
        raise AslsparkError(
            f"network.weights={given}: there is no such file or bundle; give none, imagenet, a file "
            f"({', '.join(suffixes)}) or the --out of a training job"
        )
    bundle = read_bundle(given, "network.weights=", keep=NETWORK_FILES)
    manifest = bundle.manifest
    if manifest.get("framework") != framework:
        raise weights_error(given, name, f"the bundle's model is of {manifest.get('framework', 'Spark MLlib')}")
    network = manifest.get("settings", {}).get("network", {})
    other = network.get("name") if isinstance(network, dict) else None
    if other != name:
        raise weights_error(given, name, f"the bundle's network is {other or 'one that it does not name'}")
    if "network_file" not in manifest:
        raise weights_error(given, name, "the bundle has it as ONNX alone")
    file = manifest["network_file"]
    return WeightsFile(path / file, bundle.files[file], tuple(manifest["labels"]))


def started_network(config: Config, shape: tuple[int, int, int], labels: tuple[str, ...]) -> Any:
    """Build the network that the settings name, with the weights and the freezing that they name.

    Returns
    -------
    tf.keras.Model or torch.nn.Module
    """
    network = config.network
    if config.training.framework == "keras":
        from aslspark.models import keras_network as framework
        from aslspark.models.keras_weights import load_weights
    else:
        from aslspark.models import torch_network as framework  # type: ignore[no-redef]
        from aslspark.models.torch_weights import load_weights
    imagenet = network.weights == IMAGENET
    model = framework.build(
        network.name,
        shape,
        len(labels),
        network.dropout,
        network.hidden,
        imagenet,
        channels=network.channels,
        kernels=network.kernels,
    )
    if network.weights not in (NONE, IMAGENET):
        found = find_weights(config)
        head_taken = load_weights(model, network.name, found.path, found.labels in (None, labels), found.content)
        log.info("%s: the backbone starts from it, the head %s", network.weights, "too" if head_taken else "anew")
    if network.freeze:
        framework.freeze(model)
    return model

"""What can be asked for by name, networks above all: frameworks, inputs, least picture size. Imports no framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aslspark.common import markdown
from aslspark.common.errors import AslsparkError

PICTURE, LANDMARKS = "picture", "landmarks"
"""Inputs of a network: pictures, and the features that `aslspark.features.landmarks` computes."""

READS = {"picture": (PICTURE,), "landmarks": (LANDMARKS,), "both": (PICTURE, LANDMARKS)}
"""Inputs of MLlib's classifiers, by the value of `mllib.reads`."""

NO_CLASSIFIER = "none"
CLASSIFIERS = ("logistic", "forest", "boosted", "mlp")
"""Values of `mllib.classifier`: MLlib's classifiers."""

TABLE_MODES = ("errorifexists", "append", "overwrite")
"""What becomes of a table for scores that is there already; the first is the default."""


@dataclass(frozen=True)
class NetworkFacts:
    """Facts about a network, known before it is built."""

    least: int
    """Height and width of the smallest pictures that it takes, in pixels."""
    frameworks: tuple[str, ...]
    imagenet: bool
    """Whether its library offers ImageNet weights."""
    normalised: bool
    """Whether it has BatchNorm, which needs more than one picture a batch."""
    inputs: tuple[str, ...] = (PICTURE,)
    """In the order of the network's arguments."""
    channels: tuple[int, ...] = ()
    """Default channels of its convolutions, where `network.channels` may change them."""
    kernels: tuple[int, ...] = ()
    """Default kernel sizes of its convolutions, where `network.kernels` may change them."""
    hidden: int = 0
    """Units of the dense layer before its last, where `network.hidden` is 0; 0: it has none."""


SMALL_CNN_CHANNELS = (16, 32, 64, 128)
"""Channels of the stages of `small_cnn`; each stage halves height and width."""

LANDMARK_WIDTHS = (256, 128)
"""Units of the dense layers over landmarks."""

_BOTH = ("keras", "torch")
NETWORKS = {
    "cnn": NetworkFacts(
        28, _BOTH, imagenet=False, normalised=False, channels=(32, 64, 128), kernels=(5, 5, 3), hidden=128
    ),
    "small_cnn": NetworkFacts(16, _BOTH, imagenet=False, normalised=True, channels=SMALL_CNN_CHANNELS),
    "resnet18": NetworkFacts(32, ("torch",), imagenet=True, normalised=True),
    "resnet50": NetworkFacts(32, _BOTH, imagenet=True, normalised=True),
    "mobilenet_v2": NetworkFacts(32, _BOTH, imagenet=True, normalised=True),
    "squeezenet": NetworkFacts(21, ("torch",), imagenet=True, normalised=False),
    "landmark_net": NetworkFacts(1, _BOTH, imagenet=False, normalised=True, inputs=(LANDMARKS,)),
    "two_branch": NetworkFacts(
        16, _BOTH, imagenet=False, normalised=True, inputs=(PICTURE, LANDMARKS), channels=SMALL_CNN_CHANNELS, hidden=128
    ),
    "pooled_cnn": NetworkFacts(16, _BOTH, imagenet=False, normalised=True, channels=(16, 32, 64), hidden=128),
}
"""Those with `imagenet` come from torchvision and keras.applications. Messages list the names in this order."""


def own_sizes(which: str) -> str:
    """Say what each network has by itself of `channels`, `kernels` or `hidden`, such as ``cnn: 32,64,128``."""
    own = {name: getattr(facts, which) for name, facts in NETWORKS.items()}
    said = {name: ",".join(map(str, size)) if isinstance(size, tuple) else size for name, size in own.items() if size}
    return "; ".join(f"{name}: {size}" for name, size in said.items())


def require_network(name: str, framework: str) -> NetworkFacts:
    """Return the facts about a network.

    Raises
    ------
    AslsparkError
        Where the framework has no such network; the message lists those that it has.
    """
    known = NETWORKS.get(name)
    if known is None or framework not in known.frameworks:
        choices = ", ".join(other for other, facts in NETWORKS.items() if framework in facts.frameworks)
        choices += f", or training.framework={known.frameworks[0]}" if known else ""
        raise AslsparkError(f"network.name={name}: there is no such network in {framework}; choose {choices}")
    return known


def inputs_of(shapes: Sequence[Sequence[int | None]]) -> tuple[str, ...]:
    """Tell a network's inputs by their shapes: pictures have four axes, landmarks two."""
    return tuple(PICTURE if len(shape) == 4 else LANDMARKS for shape in shapes)


def whole_numbers(setting: str, text: str, expected: str) -> tuple[int, ...]:
    """Parse whole numbers above 0, such as `5,5,3`.

    Raises
    ------
    AslsparkError
        Where the text is something else; the message says what is expected.
    """
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise AslsparkError(f"{setting}={text}: give {expected}")
    return tuple(int(word) for word in words)


def convolutions(name: str, channels: str, kernels: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Parse `network.channels` and `network.kernels`.

    Returns
    -------
    tuple of int, tuple of int
        Channels and kernel sizes; the network's defaults where a setting is empty.

    Raises
    ------
    AslsparkError
        Where the network's cannot be changed, or it has another number of convolutions.
    """
    known = NETWORKS[name]
    return (
        _given_or_default(known.channels, name, "channels", channels),
        _given_or_default(known.kernels, name, "kernels", kernels),
    )


def _given_or_default(default: tuple[int, ...], name: str, which: str, text: str) -> tuple[int, ...]:
    if not text:
        return default
    if not default:
        choices = ", ".join(other for other, facts in NETWORKS.items() if getattr(facts, which))
        raise AslsparkError(f"network.{which}={text}: network.name={name} has its own; they can be given for {choices}")
    expected = f"{len(default)} numbers for network.name={name}, such as {','.join(map(str, default))}"
    numbers = whole_numbers(f"network.{which}", text, expected)
    if len(numbers) != len(default):
        raise AslsparkError(f"network.{which}={text}: give {expected}")
    return numbers


def sides_of_cnn(shape: tuple[int, int, int], kernels: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of the last feature map of `cnn`, after pooling.

    Raises
    ------
    AslsparkError
        Where the kernels are too large for the pictures.
    """
    height, width = shape[:2]
    for kernel in kernels:
        height, width = ((side - kernel + 1) // 2 for side in (height, width))
    if min(height, width) < 1:
        raise AslsparkError(
            f"network.kernels={','.join(map(str, kernels))}: they leave nothing of pictures of {shape[0]}x{shape[1]}; "
            "give smaller ones"
        )
    return height, width


def require_shape(name: str, framework: str, shape: tuple[int, int, int]) -> None:
    """Check that a network takes pictures of this height, width and number of channels.

    Raises
    ------
    AslsparkError
        Where it does not; the message names the smallest size.
    """
    known = require_network(name, framework)
    height, width, channels = shape
    if min(height, width) < known.least:
        raise AslsparkError(
            f"network.name={name}: pictures of {height}x{width} are too small; give {known.least}x{known.least} or more"
        )
    if known.imagenet and channels not in (1, 3):
        raise AslsparkError(f"network.name={name}: pictures of {channels} channels; give grey (1) or RGB (3)")


def download_error(name: str, error: Exception) -> AslsparkError:
    """Return the error for weights that a library could not download."""
    reason = " ".join(str(error).split())
    return AslsparkError(
        f"network.weights=imagenet: the weights of {name} could not be fetched ({reason}); "
        "let the driver reach them, or give a file of weights"
    )


def weights_error(path: object, name: str, reason: str) -> AslsparkError:
    """Return the error for a file whose weights are not those of the network."""
    return AslsparkError(
        f"network.weights={path}: these are no weights for network.name={name}: {markdown.reason(reason)}"
    )

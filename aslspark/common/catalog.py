"""The networks that can be asked for, and what each takes: facts that need no framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aslspark.common import markdown
from aslspark.common.errors import AslsparkError

PICTURE, LANDMARKS = "picture", "landmarks"
"""What a network may take: pictures, and the features that `aslspark.features.landmarks` makes of a hand's points."""

READS = {"picture": (PICTURE,), "landmarks": (LANDMARKS,), "both": (PICTURE, LANDMARKS)}
"""What MLlib's classifiers may read, by the words of the settings."""

NO_CLASSIFIER = "none"
CLASSIFIERS = ("logistic", "forest", "boosted", "mlp")
"""MLlib's, by the names that the settings know."""


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network before it is built."""

    least: int
    """Pixels a side of the smallest pictures that it takes."""
    frameworks: tuple[str, ...]
    imagenet: bool
    """Whether its library offers weights learned from ImageNet."""
    normalised: bool
    """Whether it has BatchNorm, which needs more than one picture a step."""
    inputs: tuple[str, ...] = (PICTURE,)
    """In the order in which it takes them."""
    channels: tuple[int, ...] = ()
    """Of its convolutions, where the settings may give others."""
    kernels: tuple[int, ...] = ()
    """Sides of the kernels of these, where the settings may give others."""


SMALL_CNN_CHANNELS = (16, 32, 64, 128)
"""Of the stages of `small_cnn`, each of half the height and width of the one before."""

_BOTH = ("keras", "torch")
NETWORKS = {
    "cnn": NetworkFacts(28, _BOTH, imagenet=False, normalised=False, channels=(32, 64, 128), kernels=(5, 5, 3)),
    "small_cnn": NetworkFacts(16, _BOTH, imagenet=False, normalised=True, channels=SMALL_CNN_CHANNELS),
    "resnet18": NetworkFacts(32, ("torch",), imagenet=True, normalised=True),
    "resnet50": NetworkFacts(32, _BOTH, imagenet=True, normalised=True),
    "mobilenet_v2": NetworkFacts(32, _BOTH, imagenet=True, normalised=True),
    "squeezenet": NetworkFacts(21, ("torch",), imagenet=True, normalised=False),
    "landmark_net": NetworkFacts(1, _BOTH, imagenet=False, normalised=True, inputs=(LANDMARKS,)),
    "two_branch": NetworkFacts(
        16, _BOTH, imagenet=False, normalised=True, inputs=(PICTURE, LANDMARKS), channels=SMALL_CNN_CHANNELS
    ),
}
"""Those between small_cnn and landmark_net are torchvision's or keras.applications' own."""


def require_network(name: str, framework: str) -> NetworkFacts:
    """Return what is known of a network.

    Raises
    ------
    AslsparkError
        Where the framework has no such network; it names those that it has.
    """
    known = NETWORKS.get(name)
    if known is None or framework not in known.frameworks:
        there = ", ".join(other for other, facts in NETWORKS.items() if framework in facts.frameworks)
        elsewhere = f", or training.framework={known.frameworks[0]}" if known else ""
        raise AslsparkError(f"network.name={name}: there is no such network in {framework}; choose {there}{elsewhere}")
    return known


def inputs_of(shapes: Sequence[Sequence[int | None]]) -> tuple[str, ...]:
    """Tell what a network takes by the shapes of its inputs: pictures have four axes, landmarks two."""
    return tuple(PICTURE if len(shape) == 4 else LANDMARKS for shape in shapes)


def whole_numbers(setting: str, text: str, wanted: str) -> tuple[int, ...]:
    """Read numbers above 0, such as `5,5,3`.

    Raises
    ------
    AslsparkError
        Where they are not; it says what is wanted.
    """
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise AslsparkError(f"{setting}={text}: give {wanted}")
    return tuple(int(word) for word in words)


def convolutions(name: str, channels: str, kernels: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read `network.channels` and `network.kernels`.

    Returns
    -------
    tuple of int, tuple of int
        Channels and sides of the kernels; as the network has them where nothing is given.

    Raises
    ------
    AslsparkError
        Where the network's own cannot be changed, or it has not as many.
    """
    known = NETWORKS[name]
    return (
        _in_place_of(known.channels, name, "channels", channels),
        _in_place_of(known.kernels, name, "kernels", kernels),
    )


def _in_place_of(usual: tuple[int, ...], name: str, which: str, text: str) -> tuple[int, ...]:
    if not text:
        return usual
    if not usual:
        there = ", ".join(other for other, facts in NETWORKS.items() if getattr(facts, which))
        raise AslsparkError(f"network.{which}={text}: network.name={name} has its own; they can be given for {there}")
    wanted = f"{len(usual)} numbers for network.name={name}, such as {','.join(map(str, usual))}"
    numbers = whole_numbers(f"network.{which}", text, wanted)
    if len(numbers) != len(usual):
        raise AslsparkError(f"network.{which}={text}: give {wanted}")
    return numbers


def sides_of_cnn(shape: tuple[int, int, int], kernels: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of what the last convolution of `cnn` leaves of a picture, pooled.

    Raises
    ------
    AslsparkError
        Where the kernels leave nothing of it.
    """
    height, width = shape[:2]
    for kernel in kernels:
        height, width = ((side - kernel + 1) // 2 for side in (height, width))
    if min(height, width) < 1:
        given = ",".join(map(str, kernels))
        raise AslsparkError(
            f"network.kernels={given}: they leave nothing of pictures of {shape[0]}x{shape[1]}; give smaller ones"
        )
    return height, width


def require_shape(name: str, framework: str, shape: tuple[int, int, int]) -> None:
    """See that a network takes pictures of this height, width and number of channels.

    Raises
    ------
    AslsparkError
        Where it does not; it names the smallest size.
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

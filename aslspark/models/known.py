"""The networks that can be asked for, and what each takes: facts that need no framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aslspark.errors import AslsparkError

PICTURE, LANDMARKS = "picture", "landmarks"
"""What a network may take: pictures, and the features that `aslspark.features.landmarks` makes of a hand's points."""

READS = {"picture": (PICTURE,), "landmarks": (LANDMARKS,), "both": (PICTURE, LANDMARKS)}
"""What MLlib's classifiers may read, by the words of the settings."""

NO_CLASSIFIER = "none"
CLASSIFIERS = ("logistic", "forest", "boosted", "mlp")
"""MLlib's, by the names that the settings know."""


@dataclass(frozen=True)
class KnownNetwork:
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


_BOTH = ("keras", "torch")
NETWORKS = {
    "cnn": KnownNetwork(28, _BOTH, imagenet=False, normalised=False),
    "small_cnn": KnownNetwork(16, _BOTH, imagenet=False, normalised=True),
    "resnet18": KnownNetwork(32, ("torch",), imagenet=True, normalised=True),
    "resnet50": KnownNetwork(32, _BOTH, imagenet=True, normalised=True),
    "mobilenet_v2": KnownNetwork(32, _BOTH, imagenet=True, normalised=True),
    "squeezenet": KnownNetwork(21, ("torch",), imagenet=True, normalised=False),
    "landmark_net": KnownNetwork(1, _BOTH, imagenet=False, normalised=True, inputs=(LANDMARKS,)),
    "two_branch": KnownNetwork(16, _BOTH, imagenet=False, normalised=True, inputs=(PICTURE, LANDMARKS)),
}
"""Those between small_cnn and landmark_net are torchvision's or keras.applications' own."""


def require_network(name: str, framework: str) -> KnownNetwork:
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


def fetching_failed(name: str, error: Exception) -> AslsparkError:
    """Return the error for weights that a library could not download."""
    reason = " ".join(str(error).split())
    return AslsparkError(
        f"network.weights=imagenet: the weights of {name} could not be fetched ({reason}); "
        "let the driver reach them, or give a file of weights"
    )


def fitting_failed(path: object, name: str, reason: str) -> AslsparkError:
    """Return the error for a file whose weights are not those of the network."""
    return AslsparkError(f"network.weights={path}: these are no weights for network.name={name}: {reason}")

"""A network's name and sizes -> the network, built by the function of its framework that is registered for the name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aslspark.common.catalog import NETWORKS, convolutions, download_error, require_shape
from aslspark.common.errors import AslsparkError


@dataclass(frozen=True)
class NetworkSizes:
    """What a network is built from; see `build_network`."""

    name: str
    shape: tuple[int, int, int]
    classes: int
    dropout: float
    hidden: int
    """Units of the dense layer before the last, the network's own where the settings give none; 0: no such layer."""
    imagenet: bool
    channels: tuple[int, ...]
    """Of the convolutions; the network's defaults where the settings give none."""
    kernels: tuple[int, ...]


Builder = TypeVar("Builder", bound=Callable[[NetworkSizes], Any])
_BUILDERS: dict[tuple[str, str], Callable[[NetworkSizes], Any]] = {}


def network(framework: str, *names: str) -> Callable[[Builder], Builder]:
    """Make the decorator of a function that builds networks of a framework; `common.catalog.NETWORKS` has the facts."""

    def register(builder: Builder) -> Builder:
        _BUILDERS.update({(framework, name): builder for name in names})
        return builder

    return register


def build_network(
    framework: str,
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    dropout: float,
    hidden: int = 0,
    imagenet: bool = False,
    *,
    channels: str = "",
    kernels: str = "",
) -> Any:
    """Build a network by its name; `keras_network.build` and `torch_network.build` are this for their framework.

    Parameters
    ----------
    name : str
        One of `aslspark.common.catalog.NETWORKS` that the framework has.
    shape : (int, int, int)
        Height, width and channels of the pictures; unused by a network of landmarks alone.
    hidden : int
        Units of the dense layer before the last; 0: the network's own, as `aslspark.common.catalog.NETWORKS` has it.
    imagenet : bool
        Start the backbone with ImageNet weights, which Keras or torchvision downloads once.
    channels, kernels : str
        Of its convolutions, such as '32,64,128' and '5,5,3'; see `aslspark.common.catalog.convolutions`.

    Raises
    ------
    AslsparkError
        Where the framework has no such network, it takes no pictures of that shape, or the weights cannot be
        downloaded.
    """
    require_shape(name, framework, shape)
    hidden = hidden or NETWORKS[name].hidden
    sizes = NetworkSizes(name, shape, classes, dropout, hidden, imagenet, *convolutions(name, channels, kernels))
    try:
        return _BUILDERS[framework, name](sizes)
    except AslsparkError:
        raise
    except Exception as error:  # each library has its own errors for a failed download
        if not imagenet:
            raise
        raise download_error(name, error) from error

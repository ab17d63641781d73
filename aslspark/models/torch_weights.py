"""A file of weights -> a torch network with these weights."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from aslspark.common.catalog import weights_error
from aslspark.common.errors import first_line
from aslspark.models.torch_network import head_prefixes
from aslspark.models.torch_zoo import LAST_LAYERS, HandNetwork

_COUNTER = "num_batches_tracked"
"""BatchNorm's count of steps, which is not used here, and which old versions of torch did not store."""


def load_weights(model: nn.Module, name: str, path: Path, keep_head: bool, content: bytes | None = None) -> bool:
    """Load a network's weights from a file.

    Parameters
    ----------
    model : nn.Module
        From `torch_network.build`; changed in place.
    path : Path
        `.safetensors`, or `.pth` or `.pt` with a state dict, from which no code is run; with the names of this package
        or, for torchvision's networks, torchvision's.
    name, keep_head, content
        As for `keras_weights.load_weights`, which returns and raises the same.
    """
    state = _as_named_here(_read(path, name, content), model, name)
    own = model.state_dict()
    heads = head_prefixes(model)
    backbone = {key: value for key, value in own.items() if not key.startswith(heads)}
    missing = [key for key in backbone if key not in state and not key.endswith(_COUNTER)]
    unknown = [key for key in state if key not in own and not key.startswith(heads)]
    if missing or unknown:
        parts = [
            f"{verb} {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"
            for verb, keys in (("it lacks", missing), ("it has", unknown))
            if keys
        ]
        raise weights_error(path, name, "; ".join(parts))
    for key, value in backbone.items():
        if key in state and state[key].shape != value.shape:
            raise weights_error(path, name, f"{key} is {_size(state[key])} where {_size(value)} is wanted")
    shapes = {key: value.shape for key, value in own.items() if key.startswith(heads)}
    takes_head = keep_head and shapes == {key: state[key].shape for key in state if key.startswith(heads)}
    loaded = {key: state[key] for key in state if key in own and (takes_head or not key.startswith(heads))}
    model.load_state_dict({**own, **loaded})
    return takes_head


def _read(path: Path, name: str, content: bytes | None) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load

    try:
        content = path.read_bytes() if content is None else content
        if path.suffix == ".safetensors":
            state = load(content)
        else:
            state = torch.load(io.BytesIO(content), "cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file raises nearly anything
        raise weights_error(path, name, f"it cannot be read ({first_line(error)})") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise weights_error(path, name, "it holds no state dict; save model.state_dict()")
    return state


def _as_named_here(state: Mapping[str, torch.Tensor], model: nn.Module, name: str) -> dict[str, torch.Tensor]:
    """Rename torchvision's weights to this package's names, and leave out its last layers."""
    if not isinstance(model, HandNetwork) or any(key.startswith(("backbone.", "head.")) for key in state):
        return dict(state)
    last = LAST_LAYERS.get(name)
    return {f"backbone.{key}": value for key, value in state.items() if key.split(".")[0] != last}


def _size(value: torch.Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"

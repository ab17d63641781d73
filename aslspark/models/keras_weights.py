"""A file of weights -> a Keras network with these weights."""

from __future__ import annotations

import io
from pathlib import Path

import tensorflow as tf

from aslspark.common.catalog import weights_error
from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.load_refused import LoadRefused
from aslspark.models.keras_files import as_private_file, check_h5, load_model
from aslspark.models.keras_network import backbone_of


def load_weights(model: tf.keras.Model, name: str, path: Path, keep_head: bool, content: bytes | None = None) -> bool:
    """Load a network's weights from a file.

    Parameters
    ----------
    model : tf.keras.Model
        From `keras_network.build`; changed in place.
    name : str
        Of the network.
    path : Path
        `.keras`, a saved model; or `.h5` with weights of the whole network, or of its backbone alone, like those of
        keras.applications without the top.
    keep_head : bool
        Load the head too, where the file's has the same shape; otherwise it keeps its random weights.
    content : bytes, optional
        Of the file, if it was read already.

    Returns
    -------
    bool
        Whether the head was loaded.

    Raises
    ------
    AslsparkError
        Where the file cannot be read, or its backbone is another one; the message names the first difference.
    """
    try:
        content = path.read_bytes() if content is None else content
        if path.suffix == ".keras":
            return _from_model(model, name, load_model(content), path, keep_head)
        check_h5(io.BytesIO(content))
    except (LoadRefused, OSError) as refused:
        raise weights_error(path, name, str(refused)) from refused
    return _from_h5(model, name, path, content)


def _from_model(model: tf.keras.Model, name: str, source: tf.keras.Model, path: Path, keep_head: bool) -> bool:
    try:
        source_backbone = backbone_of(source)
    except AslsparkError:
        source_backbone = source
    backbone = backbone_of(model)
    own, loaded = backbone.get_weights(), source_backbone.get_weights()
    if len(own) != len(loaded):
        raise weights_error(path, name, f"its backbone has {len(loaded)} arrays where {len(own)} are wanted")
    for variable, array in zip(backbone.weights, loaded, strict=True):
        if tuple(variable.shape) != array.shape:
            raise weights_error(
                path, name, f"{variable.name} is {_size(array.shape)} where {_size(variable.shape)} is wanted"
            )
    backbone.set_weights(loaded)
    # Weights are in the order of the layers: the backbone's, then the head's.
    head, source_head = model.get_weights()[len(own) :], source.get_weights()[len(loaded) :]
    takes_head = keep_head and [array.shape for array in head] == [array.shape for array in source_head]
    if takes_head:
        model.set_weights([*loaded, *source_head])
    return takes_head


def _from_h5(model: tf.keras.Model, name: str, path: Path, content: bytes) -> bool:
    # Only the weights: the model that an .h5 may describe, perhaps with Lambda layers, is never built.
    weights_before = model.get_weights()
    reasons = []
    with as_private_file(content, path.name) as checked:
        for part in (model, backbone_of(model)):
            try:
                part.load_weights(str(checked))
                return part is model
            except Exception as error:  # Keras raises nearly anything for another network's file
                reasons.append(first_line(error))
                model.set_weights(weights_before)
    raise weights_error(path, name, f"neither of the network ({reasons[0]}) nor of its backbone ({reasons[1]})")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))

"""A file of weights -> a Keras network that starts with them."""

from __future__ import annotations

import io
from pathlib import Path

import tensorflow as tf

from aslspark.common.catalog import weights_error
from aslspark.common.errors import AslsparkError
from aslspark.common.load_refused import LoadRefused
from aslspark.models.keras_files import as_private_file, check_h5, load_model
from aslspark.models.keras_network import backbone_of


def load_weights(model: tf.keras.Model, name: str, path: Path, keep_head: bool, content: bytes | None = None) -> bool:
    """Take a network's weights from a file.

    Parameters
    ----------
    model : tf.keras.Model
        From `keras_network.build`; changed in place.
    name : str
        The network's.
    path : Path
        `.keras`, a saved model, or `.h5` with weights: of the whole network, or of its backbone alone, such as those
        that keras.applications publishes without their top.
    keep_head : bool
        Take the head as well, where the file's has the same shape; otherwise it keeps its random weights.
    content : bytes, optional
        Of the file, where it was read already.

    Returns
    -------
    bool
        Whether the head was taken.

    Raises
    ------
    AslsparkError
        Where the file cannot be read, or its backbone is not that of the network; it names the first difference.
    """
    try:
        content = path.read_bytes() if content is None else content
        if path.suffix == ".keras":
            return _from_model(model, name, load_model(content), path, keep_head)
        check_h5(io.BytesIO(content))
    except (LoadRefused, OSError) as refused:
        raise weights_error(path, name, str(refused)) from refused
    return _from_h5(model, name, path, content)


def _from_model(model: tf.keras.Model, name: str, given: tf.keras.Model, path: Path, keep_head: bool) -> bool:
    try:
        given_backbone = backbone_of(given)
    except AslsparkError:
        given_backbone = given
    backbone = backbone_of(model)
    wanted, found = backbone.get_weights(), given_backbone.get_weights()
    if len(wanted) != len(found):
        raise weights_error(path, name, f"its backbone has {len(found)} arrays where {len(wanted)} are wanted")
    for variable, array in zip(backbone.weights, found, strict=True):
        if tuple(variable.shape) != array.shape:
            raise weights_error(
                path, name, f"{variable.name} is {_size(array.shape)} where {_size(variable.shape)} is wanted"
            )
    backbone.set_weights(found)
    # A network's weights come in the order of its layers: the backbone's, then the head's.
    head, given_head = model.get_weights()[len(wanted) :], given.get_weights()[len(found) :]
    takes_head = keep_head and [array.shape for array in head] == [array.shape for array in given_head]
    if takes_head:
        model.set_weights([*found, *given_head])
    return takes_head


def _from_h5(model: tf.keras.Model, name: str, path: Path, content: bytes) -> bool:
    # The weights alone: the model that an .h5 may describe, Lambda layers and all, is never built.
    before = model.get_weights()
    reasons = []
    with as_private_file(content, path.name) as checked:
        for part in (model, backbone_of(model)):
            try:
                part.load_weights(str(checked))
                return part is model
            except Exception as error:  # Keras raises nearly anything for a file that does not fit
                reasons.append(_first_line(error))
                model.set_weights(before)
    raise weights_error(path, name, f"neither of the network ({reasons[0]}) nor of its backbone ({reasons[1]})")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))

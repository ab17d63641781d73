"""Files of Keras networks, read so that nothing in them runs.

In: the bytes of a `.keras` or `.h5` file from anywhere. Out: the model, or `LoadRefused` with the reason, before Keras
looks at it. Keras' safe mode alone does not do: it imports any module that the file names, and reads an HDF5 file that
is called `.keras` the old way, with the code of its Lambda layers.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from aslspark.common.load_refused import LoadRefused

if TYPE_CHECKING:
    import tensorflow as tf

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
MAX_CONFIG_BYTES = 16 << 20
"""ResNet-50's takes 124 kB."""

KNOWN = {
    "keras.layers": (
        "Activation",
        "Add",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Conv2D",
        "Dense",
        "DepthwiseConv2D",
        "Dropout",
        "Flatten",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling2D",
        "InputLayer",
        "LeakyReLU",
        "MaxPooling2D",
        "ReLU",
        "Rescaling",
        "Softmax",
        "ZeroPadding2D",
    ),
    "keras.initializers": (
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "Ones",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "VarianceScaling",
        "Zeros",
    ),
    "keras.regularizers": ("L1", "L2", "L1L2"),
    "keras.mixed_precision": ("Policy",),
    "keras": ("Functional", "Sequential"),
    "keras.src.engine.functional": ("Functional",),
    "keras.src.layers.core.tf_op_layer": ("TFOpLambda",),
}
"""What a file may be made of: classes, by the module that must be named as their home."""

KNOWN_OPERATIONS = ("reverse",)
"""Of TensorFlow, which `TFOpLambda` calls by name; others write files."""


@contextmanager
def as_private_file(content: bytes, name: str) -> Iterator[Path]:
    """Give a file of the checked bytes for a library that takes names: nobody else can change it meanwhile."""
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        path = Path(folder) / name  # Keras tells by it what the file is
        path.write_bytes(content)
        yield path


def load_model(content: bytes) -> tf.keras.Model:
    """Load a `.keras` file, given as its bytes, that holds Keras' own layers alone.

    Raises
    ------
    LoadRefused
    """
    check_archive(content)
    import tensorflow as tf

    try:
        with as_private_file(content, "network.keras") as path:
            return tf.keras.models.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # a damaged file raises nearly anything
        raise LoadRefused(f"it cannot be read ({_first_line(error)})") from error


def check_h5(file: Any, name: str = "it") -> None:
    """See that an HDF5 file keeps its numbers in itself.

    Parameters
    ----------
    file : str, path or file object
    name : str
        Of the file, in the reason.

    Raises
    ------
    LoadRefused
        Where it cannot be read, or takes numbers from other files.
    """
    try:
        with h5py.File(file, "r") as opened:
            trouble = _outside(opened)
    except Exception as error:  # OSError, RuntimeError, ValueError, by what is damaged
        raise LoadRefused(f"{name} cannot be read ({_first_line(error)})") from error
    if trouble:
        raise LoadRefused(f"{name} takes {trouble} from another file")


def _outside(group: h5py.Group) -> str | None:
    """Find something that lies in another file."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return str(link.path)
        if isinstance(link, h5py.SoftLink):
            continue  # to elsewhere in the file, which is walked through anyway
        inside = group[name]
        if isinstance(inside, h5py.Dataset) and (inside.external or inside.is_virtual):
            return str(inside.name)
        if isinstance(inside, h5py.Group) and (found := _outside(inside)):
            return found
    return None


def check_archive(content: bytes) -> None:
    """See that a `.keras` file, given as its bytes, holds Keras' own layers alone, and its numbers itself.

    Raises
    ------
    LoadRefused
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if sorted(names) != sorted((CONFIG, WEIGHTS, METADATA)):
                raise LoadRefused(
                    f"it holds {', '.join(sorted(names)[:5])}: Keras writes {CONFIG}, {METADATA}, {WEIGHTS}"
                )
            if archive.getinfo(CONFIG).file_size > MAX_CONFIG_BYTES:
                raise LoadRefused(f"its {CONFIG} has more than {MAX_CONFIG_BYTES:,} bytes")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise LoadRefused("it is compressed, which Keras' files are not")
            config = json.loads(archive.read(CONFIG))
            with archive.open(WEIGHTS) as weights:
                check_h5(weights, WEIGHTS)
    except LoadRefused:
        raise
    except Exception as error:  # zipfile and json raise this and that at damage
        raise LoadRefused(f"it cannot be read ({_first_line(error)})") from error
    if not isinstance(config, dict):
        raise LoadRefused(f"its {CONFIG} is no model")
    # Loading with compile=False leaves this out; what is nested deeper is not left out.
    _check_config({key: value for key, value in config.items() if key != "compile_config"})


def _check_config(value: Any) -> None:
    """Refuse what names a class, module or function that is not known."""
    if isinstance(value, list):
        for part in value:
            _check_config(part)
    if not isinstance(value, dict):
        return
    if "class_name" in value:
        name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
        if not isinstance(module, str) or name not in KNOWN.get(module, ()) or registered not in (None, name):
            said = ".".join(str(part) for part in (module, name) if part is not None)
            raise LoadRefused(
                f"it has {said[:100]}, which is no layer of this package's networks, so nothing of it is run"
            )
        config = value.get("config")
        function = config.get("function") if isinstance(config, dict) else None
        if name == "TFOpLambda" and function not in KNOWN_OPERATIONS:
            raise LoadRefused(f"it calls TensorFlow's {str(function)[:100]}, which no network of this package does")
    for part in value.values():
        _check_config(part)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]

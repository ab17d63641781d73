"""The bytes of a `.keras` or `.h5` file from anywhere -> the model, without running code from the file.

A file that names anything unknown is refused (`LoadRefused`) before Keras sees it. Keras' safe mode is not enough: it
imports any module that the file names, and reads an HDF5 file with the ending `.keras` in the old way, which runs the
code of Lambda layers.
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

from aslspark.common.errors import first_line
from aslspark.common.load_refused import LoadRefused
from aslspark.common.tensorflow_start import import_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
MAX_CONFIG_BYTES = 16 << 20
"""ResNet-50's configuration takes 124 kB."""

KNOWN: dict[str | None, tuple[str, ...]] = {
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
    "keras": ("DTypePolicy", "Functional", "Sequential"),
    # Keras 2's, then Keras 3's
    "keras.src.engine.functional": ("Functional",),
    "keras.src.layers.core.tf_op_layer": ("TFOpLambda",),
    "keras.src.models.functional": ("Functional",),
    "keras.src.ops.numpy": ("Flip",),
    None: ("__keras_tensor__",),  # what goes from layer to layer, by its name
}
"""Classes that a file may name, by the module that it must name with them."""

KNOWN_OPERATIONS = ("reverse",)
"""TensorFlow operations that a `TFOpLambda` may call by name; others could write files."""


@contextmanager
def as_private_file(content: bytes, name: str) -> Iterator[Path]:
    """Give a private file of checked bytes, which nobody else can change, for a library that takes file names."""
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        path = Path(folder) / name  # Keras tells the format by the ending
        path.write_bytes(content)
        yield path


def load_model(content: bytes) -> tf.keras.Model:
    """Load the bytes of a `.keras` file with Keras' own layers alone.

    Raises
    ------
    LoadRefused
    """
    is_of_keras_3 = "keras.src.models.functional" in str(check_archive(content))
    import_tensorflow()
    import tensorflow as tf

    try:
        if hasattr(tf.keras, "ops"):  # Keras 3
            content = _as_keras_3_writes(content)
        elif is_of_keras_3:
            raise LoadRefused("it was written by Keras 3, and the one here is older")
        with as_private_file(content, "network.keras") as path:
            return tf.keras.models.load_model(str(path), compile=False, safe_mode=True)
    except LoadRefused:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        raise LoadRefused(f"it cannot be read ({first_line(error)})") from error


def _as_keras_3_writes(content: bytes) -> bytes:
    """Put the configuration in a `.keras` file of Keras 2 into Keras 3's words; the weights are alike in both."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files[CONFIG] = json.dumps(_in_keras_3(json.loads(files[CONFIG]))).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return written.getvalue()


def _in_keras_3(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_keras_3(part) for part in value]
    if not isinstance(value, dict):
        return value
    value = {key: _in_keras_3(part) for key, part in value.items()}
    name, config = (value.get("module"), value.get("class_name")), value.get("config")
    if name == ("keras.src.engine.functional", "Functional"):
        value["module"] = "keras.src.models.functional"
        # Each nested network had a call of its own, before that by the network around it.
        nested = {layer["config"]["name"] for layer in config["layers"] if "layers" in layer["config"]}
        calls = [call for layer in config["layers"] for node in layer["inbound_nodes"] for call in node]
        for call in [*calls, *config["output_layers"]]:
            if call[0] in nested:
                call[1] -= 1
        for ends in ("input_layers", "output_layers"):
            if len(config[ends]) == 1:  # a list of one stands for the one
                (config[ends],) = config[ends]
    elif name == ("keras.layers", "BatchNormalization") and isinstance(config.get("axis"), list):
        (config["axis"],) = config["axis"]
    elif name == ("keras.layers", "DepthwiseConv2D"):
        config.pop("groups", None)
    elif name == ("keras.src.layers.core.tf_op_layer", "TFOpLambda"):  # of KNOWN_OPERATIONS, which has one
        ((layer, node, tensor, given),) = value["inbound_nodes"]
        (axis,) = given["axis"]
        del value["build_config"]
        value |= {"module": "keras.src.ops.numpy", "class_name": "Flip", "registered_name": "Flip"}
        value |= {"config": {"name": config["name"], "axis": axis}, "inbound_nodes": [[[layer, node, tensor, {}]]]}
    return value


def check_h5(file: Any, name: str = "it") -> None:
    """Check that an HDF5 file refers to no other file.

    Parameters
    ----------
    file : str, path or file object
    name : str
        Of the file, for the reason.

    Raises
    ------
    LoadRefused
        Where it cannot be read, or takes data from other files.
    """
    try:
        with h5py.File(file, "r") as opened:
            outside = _outside(opened)
    except Exception as error:  # OSError, RuntimeError or ValueError
        raise LoadRefused(f"{name} cannot be read ({first_line(error)})") from error
    if outside:
        raise LoadRefused(f"{name} takes {outside} from another file")


def _outside(group: h5py.Group) -> str | None:
    """Return something in the group that lies in another file, if any."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return str(link.path)
        if isinstance(link, h5py.SoftLink):
            continue  # to another place in the file, which is checked anyway
        item = group[name]
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            return str(item.name)
        if isinstance(item, h5py.Group) and (outside := _outside(item)):
            return outside
    return None


def check_archive(content: bytes) -> dict[str, Any]:
    """Check that the bytes of a `.keras` file have Keras' own layers alone, and refer to no other file.

    Returns
    -------
    dict
        Its configuration.

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
    except Exception as error:  # zipfile and json raise nearly anything for damage
        raise LoadRefused(f"it cannot be read ({first_line(error)})") from error
    if not isinstance(config, dict):
        raise LoadRefused(f"its {CONFIG} is no model")
    # Loading with compile=False ignores this one, but not those that are nested deeper.
    _check_config({key: value for key, value in config.items() if key != "compile_config"})
    return config


def _check_config(value: Any) -> None:
    """Refuse a configuration that names an unknown class, module or function."""
    if isinstance(value, list):
        for part in value:
            _check_config(part)
    if not isinstance(value, dict):
        return
    if "class_name" in value:
        name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
        known = KNOWN.get(module, ()) if module is None or isinstance(module, str) else ()
        if name not in known or registered not in (None, name):
            class_path = ".".join(str(part) for part in (module, name) if part is not None)
            raise LoadRefused(
                f"it has {class_path[:100]}, which is no layer of this package's networks, so nothing of it is run"
            )
        config = value.get("config")
        function = config.get("function") if isinstance(config, dict) else None
        if name == "TFOpLambda" and function not in KNOWN_OPERATIONS:
            raise LoadRefused(f"it calls TensorFlow's {str(function)[:100]}, which no network of this package does")
    for part in value.values():
        _check_config(part)

"""A bundle -> one file with its network, for phones and other runtimes, and a JSON file that says how to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aslspark.bundle.checks import NETWORK_FILES
from aslspark.bundle.files import ONNX, BundleContents, read_bundle, require_new
from aslspark.bundle.framework_network import framework_network
from aslspark.bundle.network import network_of
from aslspark.common.atomic_file import replace_file
from aslspark.common.catalog import PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.package import VERSION
from aslspark.common.progress import doing
from aslspark.common.redacted_files import write_json
from aslspark.common.store_path import AnyPath
from aslspark.models.onnx_classifier import OnnxClassifier

FRAMEWORK_OF = {"onnx": None, "tflite": "keras", "torchscript": "torch"}
"""Format -> the framework whose networks it holds; None: every network."""


def export_network(path: str, form: str, out: str) -> list[str]:
    """Write the network of a bundle in a format, scaling of pictures included, and `OUT.json` beside it.

    Parameters
    ----------
    path : str
        A bundle with a network, or 'letters'.
    form : {'onnx', 'tflite', 'torchscript'}
    out : str
        The file to make.

    Returns
    -------
    list of str
        The files.

    Raises
    ------
    AslsparkError
        Where the bundle has no network that the format holds, or a file exists.
    """
    file, about = require_new(out), require_new(f"{out}.json")
    with doing(f"writing the network as {form}"):
        _export(path, form, file, about)
    return [out, f"{out}.json"]


def _export(path: str, form: str, file: AnyPath, about: AnyPath) -> None:
    bundle = read_bundle(path, "export ", keep=[ONNX, *NETWORK_FILES])
    manifest = bundle.manifest
    if manifest["kind"] != "network":
        raise AslsparkError(
            f"export {path}: a model of Spark MLlib, which no format here holds; give a bundle with a network"
        )
    network = network_of(bundle, path)
    content = _content(bundle, path, form, network)
    if isinstance(file, Path):
        file.absolute().parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, content)
    write_json(about, _about(bundle, form, network))


def _content(bundle: BundleContents, path: str, form: str, network: OnnxClassifier) -> bytes:
    manifest, needed = bundle.manifest, FRAMEWORK_OF[form]
    if needed is None:
        return network.onnx
    if (has := manifest.get("framework") if "network_file" in manifest else None) != needed:
        works = " and ".join(name for name, framework in FRAMEWORK_OF.items() if framework in (None, has))
        held = "ONNX alone" if has is None else has
        raise AslsparkError(
            f"--format {form}: it holds networks of {needed}, and {path} has its own in {held}; choose {works}"
        )
    model, stretch = framework_network(bundle, path), manifest["preprocessing"].get("stretch", False)
    if form == "tflite":
        from aslspark.models.keras_network import to_tflite

        return to_tflite(model, stretch)
    from aslspark.models.torch_network import to_torchscript

    return to_torchscript(model, network.shape, stretch, network.inputs)


def _about(bundle: BundleContents, form: str, network: OnnxClassifier) -> dict[str, Any]:
    manifest = bundle.manifest
    features = manifest.get("preprocessing", {}).get("landmark_features")
    return {
        "format": form,
        "inputs": [
            {"name": name, "type": "uint8", "shape": [None, *network.shape], "values": "RGB or grey of 0-255"}
            if name == PICTURE
            else {"name": name, "type": "float32", "shape": [None, features], "values": "features of 21 landmarks"}
            for name in network.inputs
        ],
        "output": {"name": "probability", "type": "float32", "shape": [None, len(network.labels)]},
        "labels": list(network.labels),
        "preprocessing": manifest.get("preprocessing", {}),
        "temperature": manifest.get("temperature", 1.0),
        "threshold": manifest.get("threshold", 0.0),
        "bundle": bundle.digest,
        "aslspark": VERSION,
    }

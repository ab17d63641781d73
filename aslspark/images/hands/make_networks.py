"""MediaPipe's wheel -> the two networks that find hands, as ONNX files that take any number of pictures at once.

TensorFlow Lite's files in the wheel are converted by tf2onnx. The wheel is read as a zip: nothing of MediaPipe is run.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from aslspark.common.errors import AslsparkError, first_line
from aslspark.images.hands.networks import LANDMARKS, PALM, HandNetworks

MEDIAPIPE = "0.10.21"
"""The last version whose wheel holds the networks."""
OPSET = 13
_MOST_BYTES = 16 << 20
"""Read of a file in the wheel; the larger one has 5.5 MB."""


@dataclass(frozen=True)
class Source:
    """A network in the wheel, and what becomes of it."""

    path: str
    sha256: str
    side: int
    """Of the pictures, in pixels."""
    outputs: dict[str, tuple[int, ...]]
    """Name -> shape for one picture; see `HandNetworks`."""


SOURCES = {
    PALM: Source(
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        192,
        {"boxes": (2016, 18), "scores": (2016, 1)},
    ),
    LANDMARKS: Source(
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        224,
        {"points": (63,), "hand": (1,), "side": (1,), "world_points": (63,)},
    ),
}
"""File of ours -> where it comes from."""


def notice(converter: str = "tf2onnx") -> bytes:
    """Return the text that stands beside the networks: origin, licence, and what was changed."""
    files = "".join(f"{name}: {source.path}\n  SHA-256 {source.sha256}\n" for name, source in SOURCES.items())
    text = (
        "The networks of MediaPipe Hands, by The MediaPipe Authors (Google), under the Apache License, Version 2.0:\n"
        "https://www.apache.org/licenses/LICENSE-2.0\n\n"
        f"They come from the wheel of mediapipe {MEDIAPIPE} (https://pypi.org/project/mediapipe/{MEDIAPIPE}/):\n"
        f"{files}\n"
        f"Changed: converted from TensorFlow Lite to ONNX by {converter}, to take any number of pictures at once.\n"
    )
    return text.encode()


def networks_of_wheel(wheel: Path, named: str) -> HandNetworks:
    """Convert the networks of a wheel.

    Parameters
    ----------
    wheel : Path
    named : str
        Opens errors: the option, and its value.

    Returns
    -------
    HandNetworks
        Of one wheel and one tf2onnx the bytes are always the same.

    Raises
    ------
    AslsparkError
        Where this is not the wheel, or tf2onnx is not installed.
    """
    contents = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, source in SOURCES.items():
                with archive.open(source.path) as file:
                    contents[name] = file.read(_MOST_BYTES)
    except KeyError as error:
        raise AslsparkError(f"{named}: it holds no {source.path}; give the wheel of mediapipe {MEDIAPIPE}") from error
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise AslsparkError(
            f"{named}: it cannot be read as a wheel ({first_line(error)}); give the wheel of mediapipe {MEDIAPIPE}"
        ) from error
    for name, source in SOURCES.items():
        if (digest := hashlib.sha256(contents[name]).hexdigest()) != source.sha256:
            raise AslsparkError(
                f"{named}: the SHA-256 of {source.path} is {digest} in place of {source.sha256}; "
                f"give the wheel of mediapipe {MEDIAPIPE}"
            )
    require_converter(named)
    palm, landmarks = (_converted(contents[name], SOURCES[name]) for name in (PALM, LANDMARKS))
    converter = f"tf2onnx {version('tf2onnx')}"
    networks = HandNetworks(palm, landmarks, notice(converter))
    check_networks(networks, named, f"{converter} made it; 1.17.0 is known to work")
    return networks


def require_converter(named: str) -> None:
    """Check that tf2onnx and TensorFlow are installed.

    Raises
    ------
    AslsparkError
        Naming what is missing, and what works without it.
    """
    try:
        # `find_spec` would find what does not import: tf2onnx with an onnx that is too new.
        import tensorflow  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise AslsparkError(
            f"{named}: converting the networks takes TensorFlow and tf2onnx ({first_line(error)}); pip install "
            f"aslspark[tensorflow], or give --from FOLDER with a {PALM} and a {LANDMARKS} that were converted elsewhere"
        ) from error


def check_networks(networks: HandNetworks, named: str, remedy: str) -> None:
    """Run the networks on two pictures at once.

    Parameters
    ----------
    networks : HandNetworks
    named : str
        Opens errors: where they come from.
    remedy : str
        Ends errors.

    Raises
    ------
    AslsparkError
        Where they do not run, give other shapes, or give a picture another answer when it is alone.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the reason is given below
    for (name, source), onnx in zip(SOURCES.items(), (networks.palm, networks.landmarks), strict=True):
        pictures = np.random.default_rng(0).random((2, source.side, source.side, 3), np.float32)
        try:
            # Without the fallback, which prints errors to standard output.
            session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"], enable_fallback=0)
            (picture,) = (node.name for node in session.get_inputs())
            both, second = (session.run(None, {picture: batch}) for batch in (pictures, pictures[1:]))
        except Exception as error:  # onnxruntime has many error classes
            raise AslsparkError(f"{named}: {name} cannot be run ({first_line(error)}); {remedy}") from error
        shapes, expected = [array.shape for array in both], [(2, *shape) for shape in source.outputs.values()]
        if shapes != expected:
            raise AslsparkError(f"{named}: {name} gives {shapes} in place of {expected}; {remedy}")
        if not all(np.allclose(batch[1:], alone, atol=1e-2) for batch, alone in zip(both, second, strict=True)):
            raise AslsparkError(f"{named}: {name} mixes the pictures of a batch; {remedy}")


def _converted(tflite: bytes, source: Source) -> bytes:
    import tf2onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.tflite")
        path.write_bytes(tflite)
        model, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
    _free_batch(model.graph)
    _replace_prelu(model.graph)
    _rename(model.graph, list(source.outputs))
    return bytes(model.SerializeToString(deterministic=True))


def _free_batch(graph: Any) -> None:
    """Let the first dimension of inputs and outputs be any number; the converter keeps it at 1."""
    from onnx import numpy_helper

    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "pictures"
    del graph.value_info[:]
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for name in {node.input[1] for node in graph.node if node.op_type == "Reshape"}:
        shape = numpy_helper.to_array(constants[name]).copy()
        shape[0] = 0  # as it comes in
        constants[name].CopyFrom(numpy_helper.from_array(shape, name))


def _replace_prelu(graph: Any) -> None:
    """Write PRelu as slope x + (1 - slope) Relu(x).

    For a slope by channel, onnxruntime's PRelu takes as long as all convolutions beside it: of the palm network's 12.4
    ms of CPU, 5.2 are saved (medians of alternating runs on one core).
    """
    from onnx import helper, numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for number, node in enumerate(graph.node):
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        (value, slope), (result,) = node.input, node.output
        rest, positive, parts = f"rest {number}", f"positive {number}", [f"part {number} {part}" for part in (1, 2)]
        graph.initializer.append(numpy_helper.from_array(1 - constants[slope], rest))
        nodes += [
            helper.make_node("Relu", [value], [positive]),
            helper.make_node("Mul", [value, slope], parts[:1]),
            helper.make_node("Mul", [positive, rest], parts[1:]),
            helper.make_node("Add", parts, [result]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _rename(graph: Any, outputs: list[str]) -> None:
    """Name inputs and outputs, and number all else in the order of its use: the converter's names differ every time."""
    names = {graph.input[0].name: "pictures"}
    names |= {value.name: name for value, name in zip(graph.output, outputs, strict=True)}
    for node in graph.node:
        node.name = ""
        for values in (node.input, node.output):
            values[:] = [names.setdefault(value, str(len(names))) if value else "" for value in values]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    # A constant that nothing uses is left out.
    constants = {names[tensor.name]: tensor for tensor in graph.initializer if tensor.name in names}
    for name, tensor in constants.items():
        tensor.name = name
    kept = [type(tensor).FromString(tensor.SerializeToString()) for _, tensor in sorted(constants.items())]
    del graph.initializer[:]
    graph.initializer.extend(kept)

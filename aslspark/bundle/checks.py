"""The content of a bundle -> nothing, or `LoadRefused` with the reason, before anything of it is loaded.

Checksums show damage, not intent: whoever makes a bundle also makes its checksums. So a class, module or path that a
bundle names is accepted only if it is one that this package writes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.load_refused import LoadRefused
from aslspark.common.settings import check_setting
from aslspark.images.hands.make_networks import SOURCES
from aslspark.images.image_spec import FITS

NETWORK_FILES = ("network.keras", "network.safetensors")
FRAMEWORKS = ("keras", "torch")
STAGE_METADATA = "metadata/part-00000"
"""The file that names the class of a saved stage, as Spark 3 writes it."""
_METADATA_OF_SPARK4 = re.compile(rf"{STAGE_METADATA}-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}-c000\.txt")
BOUNDED_HANDS = {"margin", "upright", "background", "confidence", "looks"}
MOST_LABEL = 100
MOST_SIDE = 4096
"""Most pixels of a side of a network's pictures; with more, a batch would fill the memory."""
LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-3, 1e3


def check_manifest(manifest: Mapping[str, Any], files: Collection[str]) -> None:
    """Check that a manifest has all that reading a bundle needs, and names only files of the bundle.

    Parameters
    ----------
    manifest : mapping
        As parsed; of any content.
    files : collection of str
        The bundle's files, by its checksums.
    """
    labels, shape = manifest.get("labels"), manifest.get("shape")
    if not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
        raise LoadRefused("its labels are no list of names")
    if not all(label.isprintable() and 0 < len(label) <= MOST_LABEL for label in labels):
        raise LoadRefused(f"its labels are not {MOST_LABEL} printable characters at most")
    if len(set(labels)) != len(labels):
        raise LoadRefused("its labels name one letter twice")
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(size) is int and size > 0 for size in shape)):
        raise LoadRefused("its shape is not height, width and channels")
    if max(shape[:2]) > MOST_SIDE or shape[2] not in (1, 3):
        raise LoadRefused(f"its shape is {shape}, not sides of at most {MOST_SIDE} and 1 or 3 channels")
    inputs = manifest.get("inputs", [PICTURE])
    if inputs not in ([PICTURE], [LANDMARKS], [PICTURE, LANDMARKS], [LANDMARKS, PICTURE]):
        raise LoadRefused(f"its inputs are not {PICTURE}, {LANDMARKS} or both")
    for name in ("preprocessing", "settings", "versions", "seconds", "data"):
        if not isinstance(manifest.get(name, {}), dict):
            raise LoadRefused(f"its {name} is no table")
    _check_preprocessing(manifest.get("preprocessing", {}))
    for name, low, high in (("temperature", LEAST_TEMPERATURE, MOST_TEMPERATURE), ("threshold", 0.0, 1.0)):
        number = manifest.get(name, 1.0)
        if type(number) not in (int, float) or not low <= number <= high:
            raise LoadRefused(f"its {name} is {_quoted(number)}")
    framework = manifest.get("framework")
    if framework is not None and framework not in FRAMEWORKS:
        raise LoadRefused(f"its framework is {_quoted(framework)}, not {' or '.join(FRAMEWORKS)}")
    kind = manifest.get("kind")
    if kind not in ("network", "mllib"):
        raise LoadRefused(f"its kind is {_quoted(kind)}, not network or mllib")
    if kind == "network" and "network.onnx" not in files:
        raise LoadRefused("network.onnx is missing")
    if kind == "mllib":
        stage_metadata(files, "pipeline/")
    named = manifest.get("network_file")
    if named is not None and named not in NETWORK_FILES:
        raise LoadRefused(f"its network_file is {_quoted(named)}, not {' or '.join(NETWORK_FILES)}")
    if named is not None and named not in files:
        raise LoadRefused(f"{named} is missing")


def stage_metadata(files: Collection[str], home: str) -> str:
    """Return the file that names the class of a saved stage, as Spark 3 or as Spark 4 calls it.

    Parameters
    ----------
    home : str
        The stage's folder, ending in ``/``, or empty.

    Raises
    ------
    LoadRefused
        Where it is missing, or there are several, of which Spark would read any.
    """
    names = [name.removeprefix(home) for name in files if name.startswith(home)]
    found = [name for name in names if name == STAGE_METADATA or _METADATA_OF_SPARK4.fullmatch(name)]
    if len(found) != 1:
        raise LoadRefused(f"{home}{STAGE_METADATA} is {'there more than once' if found else 'missing'}")
    return home + found[0]


def _check_preprocessing(preprocessing: Mapping[str, Any]) -> None:
    """Check that the preprocessing is within the bounds of the settings."""
    fit, mask, hands = (preprocessing.get(name) for name in ("fit", "mask", "hands"))
    if fit is not None and fit not in FITS:
        raise LoadRefused(f"its fit is {_quoted(fit)}, not {' or '.join(FITS)}")
    if mask is not None and not (
        isinstance(mask, list)
        and len(mask) == 2
        and all(isinstance(end, list) and len(end) == 3 for end in mask)
        and all(type(number) is int and 0 <= number <= 255 for end in mask for number in end)
    ):
        raise LoadRefused(f"its mask is {_quoted(mask)}, not two of three numbers of 0-255")
    for name in ("upright", "stretch"):
        if type(preprocessing.get(name, False)) is not bool:
            raise LoadRefused(f"its {name} is {_quoted(preprocessing[name])}, not true or false")
    if type(preprocessing.get("landmark_features", 0)) is not int:
        raise LoadRefused(f"its landmark_features are {_quoted(preprocessing['landmark_features'])}, no number")
    if hands is None:
        return
    if not isinstance(hands, dict):
        raise LoadRefused(f"its hands are {_quoted(hands)}, no table")
    for name in BOUNDED_HANDS & hands.keys():  # the reader reports names of later versions
        value = hands[name]
        try:
            check_setting(f"hands.{name}", value)
        except AslsparkError as error:
            raise LoadRefused(f"its preprocessing: {error}") from error


def _quoted(value: Any) -> str:
    """Return a value of a file from elsewhere as one printable line of limited length."""
    return ascii(value)[:100]


def check_network(onnx: bytes, inputs: Collection[str], shape: tuple[int, int, int], classes: int) -> None:
    """Check that a network can be opened from its one file, and has the inputs and outputs that the manifest says.

    Parameters
    ----------
    onnx : bytes
        From bytes, `onnxruntime` refuses data in other files.
    shape : (int, int, int)
        Of the pictures.
    """
    session = _opened(onnx, "network.onnx")
    takes = {node.name: node.shape for node in session.get_inputs()}
    gives = {node.name: node.shape for node in session.get_outputs()}
    if set(takes) != set(inputs):
        raise LoadRefused(f"network.onnx takes {', '.join(sorted(takes))}, and {', '.join(sorted(inputs))} is said")
    if PICTURE in takes and not _fits(takes[PICTURE][1:], shape):
        raise LoadRefused(f"network.onnx takes pictures of {takes[PICTURE][1:]}, and {list(shape)} is said")
    if not _fits(gives.get("probability", [])[1:], [classes]):
        raise LoadRefused(f"network.onnx does not give the probabilities of {classes} labels")


def check_hand_networks(palm: bytes, landmarks: bytes) -> None:
    """Check that the networks that find hands can be opened, and take and give what they must."""
    for (name, source), onnx in zip(SOURCES.items(), (palm, landmarks), strict=True):
        session = _opened(onnx, name)
        takes, gives = ([node.shape[1:] for node in nodes] for nodes in (session.get_inputs(), session.get_outputs()))
        if takes != [[source.side, source.side, 3]] or gives != [list(shape) for shape in source.outputs.values()]:
            raise LoadRefused(f"{name} takes {takes} and gives {gives}: it is no network that finds hands")


def _opened(onnx: bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1  # it is opened, not run
    options.log_severity_level = 4  # the reason is given below
    try:
        # Without the fallback, which prints errors to standard output.
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime has many error classes
        raise LoadRefused(f"{name} cannot be opened ({first_line(error)})") from error


def _fits(shape: Sequence[int | str | None], expected: Sequence[int]) -> bool:
    """Compare shapes; a size that an exporter left open fits."""
    return len(shape) == len(expected) and all(
        size == other or not isinstance(size, int) for size, other in zip(shape, expected, strict=True)
    )

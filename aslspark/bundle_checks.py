"""What a bundle must be before anything in it is loaded: each function raises `Refused` with the reason.

In: a bundle's folder, whose checksums hold. They tell damage, not intent: whoever makes a bundle makes its checksums
too. So no class, module or path that a bundle names is taken unless it is one of those that this package writes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from aslspark.models.known import LANDMARKS, PICTURE

NETWORK_FILES = ("network.keras", "network.safetensors")

STAGES = (
    "pyspark.ml.pipeline.PipelineModel",
    "org.apache.spark.ml.PipelineModel",
    "aslspark.features.pipeline.PictureScaler",
    "aslspark.features.pipeline.LandmarkFeatures",
    "org.apache.spark.ml.feature.VectorAssembler",
    "org.apache.spark.ml.feature.StringIndexerModel",
    "org.apache.spark.ml.feature.OneHotEncoderModel",
    "org.apache.spark.ml.classification.RandomForestClassificationModel",
    "org.apache.spark.ml.classification.MultilayerPerceptronClassificationModel",
    "org.apache.spark.ml.classification.LogisticRegressionModel",
    "org.apache.spark.ml.classification.OneVsRestModel",
    "pyspark.ml.classification.OneVsRestModel",
    "org.apache.spark.ml.classification.GBTClassifier",
    "org.apache.spark.ml.classification.GBTClassificationModel",
    "org.apache.spark.ml.regression.DecisionTreeRegressionModel",
)
"""What a bundle's pipeline is made of. Not all of Spark's stages: SQLTransformer runs any SQL, and SQL calls Java."""


class Refused(Exception):  # noqa: N818  (the caller says which bundle, and what would work)
    """Something that is not loaded, and why."""


def check_links(folder: Path) -> None:
    """See that nothing in the folder lies elsewhere."""
    home = os.path.realpath(folder)
    for path in folder.rglob("*"):
        # Not Path.resolve, which raises at a link that leads to itself.
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(home):
            raise Refused(f"{path.relative_to(folder)} is a link to a place outside of the bundle")


def check_manifest(manifest: dict[str, Any], files: Collection[str]) -> None:
    """See that a manifest of this format holds what reading a bundle needs, and names its own files alone.

    Parameters
    ----------
    manifest : dict
    files : collection of str
        The bundle's, as its checksums name them.
    """
    labels, shape = manifest.get("labels"), manifest.get("shape")
    if not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
        raise Refused("its labels are no list of names")
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(size) is int and size > 0 for size in shape)):
        raise Refused("its shape is not height, width and channels")
    if not set(manifest.get("inputs", [PICTURE])) <= {PICTURE, LANDMARKS}:
        raise Refused(f"its inputs are not {PICTURE}, {LANDMARKS} or both")
    if not isinstance(manifest.get("preprocessing", {}), dict):
        raise Refused("its preprocessing is no table")
    for name, most in (("temperature", float("inf")), ("threshold", 1.0)):
        number = manifest.get(name, 1.0)
        if not (isinstance(number, int | float) and 0 <= number <= most):
            raise Refused(f"its {name} is {number!r}")
    needed = {"network": "network.onnx", "mllib": "pipeline/metadata/part-00000"}.get(str(manifest.get("kind")))
    if needed is None:
        raise Refused(f"its kind is {manifest.get('kind')!r}, not network or mllib")
    if needed not in files:
        raise Refused(f"{needed} is missing")
    named = manifest.get("network_file")
    if named is not None and named not in NETWORK_FILES:
        raise Refused(f"its network_file is {str(named)[:100]!r}, not {' or '.join(NETWORK_FILES)}")
    if named is not None and named not in files:
        raise Refused(f"{named} is missing")


def check_pipeline(pipeline: Path) -> None:
    """See that a saved pipeline names no class but `STAGES`: Spark imports whatever class stands there.

    Parameters
    ----------
    pipeline : Path
        The folder of a `pyspark.ml` PipelineModel.
    """
    for folder in [pipeline, *(path for path in pipeline.rglob("*") if path.is_dir())]:
        if folder.name != "metadata":
            continue
        # Spark takes the first line of the first file that is not hidden, unpacked by its ending.
        for file in folder.iterdir():
            if file.name.startswith((".", "_")):
                continue
            if not (file.is_file() and re.fullmatch(r"part-\d{5}", file.name)):
                raise Refused(f"{file.relative_to(pipeline.parent)} is none of Spark's files")
            for line in file.read_text(encoding="utf-8").splitlines():
                _check_stage(line, file.relative_to(pipeline.parent))


def _check_stage(line: str, where: Path) -> None:
    try:
        stage = json.loads(line, object_pairs_hook=_once_each)
        name, ids = stage["class"], stage["paramMap"].get("stageUids", [])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"{where} is not what Spark writes") from error
    if name not in STAGES:
        raise Refused(f"{where} names the class {str(name)[:100]}, which no pipeline of this package has")
    # They become parts of paths.
    if not all(isinstance(uid, str) and re.fullmatch(r"\w+", uid) for uid in ids):
        raise Refused(f"{where} names a stage that is no name")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice: of two, Python takes one and Java the other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def check_network(onnx: bytes, inputs: Collection[str], shape: tuple[int, int, int], classes: int) -> None:
    """See that a network opens, whole in its one file, and takes and gives what the manifest says.

    Parameters
    ----------
    onnx : bytes
        Read from bytes, it can name no other file: `onnxruntime` refuses external data then.
    inputs : collection of str
    shape : (int, int, int)
        Of pictures.
    classes : int
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what is wrong is said once, below
    try:
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an error class for each kind of damage
        raise Refused(f"network.onnx cannot be opened ({str(error).splitlines()[0][:300]})") from error
    takes = {given.name: given.shape for given in session.get_inputs()}
    gives = {made.name: made.shape for made in session.get_outputs()}
    if set(takes) != set(inputs):
        raise Refused(f"network.onnx takes {', '.join(sorted(takes))}, and {', '.join(sorted(inputs))} is said")
    if PICTURE in takes and not _fits(takes[PICTURE][1:], shape):
        raise Refused(f"network.onnx takes pictures of {takes[PICTURE][1:]}, and {list(shape)} is said")
    if not _fits(gives.get("probability", [])[1:], [classes]):
        raise Refused(f"network.onnx does not give the probabilities of {classes} labels")


def _fits(found: Sequence[int | str | None], wanted: Sequence[int]) -> bool:
    """Compare sizes; what an exporter left open fits."""
    return len(found) == len(wanted) and all(
        size == other or not isinstance(size, int) for size, other in zip(found, wanted, strict=True)
    )

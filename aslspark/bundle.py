"""The finished model as a folder: written whole or not at all, checked byte for byte when it is read.

In: a model, its pipeline, its settings. Out: a folder that scoring, serving and people can use.
"""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel

import aslspark
from aslspark.bundle_checks import check_pipeline
from aslspark.bundle_files import (
    FORMAT,
    MANIFEST,
    ONNX,
    SUMS,
    behind_alias,
    read_manifest,
    refusal_named,
    require_new,
    seal,
    whole_folder,
)
from aslspark.decoding import form_of
from aslspark.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.hands.options import hands_of
from aslspark.masking import shown_all
from aslspark.models.known import LANDMARKS, PICTURE
from aslspark.paths import local_path, spark_path
from aslspark.reading import OnnxClassifier, network_of
from aslspark.scoring import MllibClassifier, SignClassifierModel

__all__ = [
    "FORMAT",
    "MANIFEST",
    "ONNX",
    "PIPELINE",
    "SUMS",
    "behind_alias",
    "library_versions",
    "read_manifest",
    "read_model",
    "require_new",
    "seal",
    "whole_folder",
    "write_model",
    "write_stage",
]

PIPELINE, PROFILE = "pipeline", "profile"
STAGE_FOLDER = "bundle"
"""Where a saved Pipeline stage keeps its bundle."""

_RECORDED = (
    "pyspark",
    "horovod",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
    "numpy",
    "pyarrow",
    "onnx",
    "onnxruntime",
)


def write_model(model: SignClassifierModel, pipeline: PipelineModel | None, folder: Path, **about: Any) -> None:
    """Write a model's files and its manifest; `seal` must follow when all else is in the folder.

    Parameters
    ----------
    model : SignClassifierModel
    pipeline : PipelineModel, optional
        The features (and the classifier, of an MLlib model) from `picture` on.
    folder : Path
    **about
        More entries for the manifest, such as `settings`, `data`, `split`.
    """
    classifier = model.classifier
    kind = "network" if isinstance(classifier, OnnxClassifier) else "mllib"
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "kind": kind,
        "labels": list(classifier.labels),
        "shape": list(classifier.shape),
        "inputs": list(classifier.inputs),
        "preprocessing": model.preprocessing(),
        "temperature": model.temperature,
        "threshold": model.getThreshold(),
        **about,
        "versions": library_versions(),
    }
    if isinstance(classifier, OnnxClassifier):
        (folder / ONNX).write_bytes(classifier.onnx)
        if LANDMARKS in classifier.inputs:
            made = {"upright": classifier.upright, "landmark_features": FEATURES}
            manifest["preprocessing"] = {**manifest["preprocessing"], **made}
    if model.fitted is not None:
        manifest["framework"] = model.fitted.framework
        manifest["parameters"] = model.fitted.parameters
        manifest["network_file"] = model.fitted.save(folder)
        manifest["phases"] = {name: round(seconds, 2) for name, seconds in model.fitted.phases.items()}
        for name, content in model.fitted.trace.items():
            path = folder / PROFILE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if pipeline is not None:
        pipeline.save(spark_path(folder / PIPELINE))
        if not list((folder / PIPELINE / "metadata").glob("part-*")):
            raise AslsparkError(
                f"{folder.parent}: Spark's workers wrote the pipeline elsewhere; "
                "give --out a folder that the driver and all workers share"
            )
    (folder / MANIFEST).write_text(json.dumps(shown_all(manifest), indent=1))


def read_model(path: str) -> SignClassifierModel:
    """Load the model of a bundle or of a saved Pipeline stage; see `SignClassifierModel.load`."""
    path = behind_alias(path)
    nested = Path(local_path(path)) / STAGE_FOLDER
    if (nested / MANIFEST).is_file():
        return read_model(str(nested))
    manifest = read_manifest(path)
    folder = Path(local_path(path)).absolute()
    labels, shape = tuple(manifest["labels"]), tuple(manifest["shape"])
    preprocessing = manifest.get("preprocessing", {})
    if manifest["kind"] == "network":
        model = SignClassifierModel(network_of(manifest, folder, path))
    else:
        with refusal_named("--model ", path):
            check_pipeline(folder / PIPELINE)
        pipeline = PipelineModel.load(spark_path(folder / PIPELINE))
        inputs = tuple(manifest.get("inputs", [PICTURE]))
        model = SignClassifierModel(MllibClassifier(pipeline, labels, shape, inputs))
    try:
        model.form, model.hands = form_of(shape, preprocessing), hands_of(preprocessing.get("hands"))
    except (KeyError, TypeError, ValueError) as error:
        raise AslsparkError(
            f"--model {path}: its preprocessing is not known here ({error}): use the version that wrote it"
        ) from error
    model.temperature = manifest.get("temperature", 1.0)
    return model.setThreshold(manifest.get("threshold", 0.0))


def write_stage(model: SignClassifierModel, path: str) -> None:
    """Write what `read_model` needs into a folder of a saved Pipeline stage."""
    folder = Path(local_path(path)) / STAGE_FOLDER
    with whole_folder(folder) as scratch:
        classifier = model.classifier
        pipeline = classifier.pipeline if isinstance(classifier, MllibClassifier) else None
        write_model(model, pipeline, scratch)
        seal(scratch)


def library_versions() -> dict[str, str]:
    """Return the versions of Python, this package and those that a model depends on, as installed here."""
    versions = {"python": platform.python_version(), "aslspark": aslspark.__version__}
    for name in _RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions

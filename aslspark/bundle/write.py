"""A finished model -> its files and manifest in a bundle's folder, or in that of a saved Pipeline stage."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from pyspark.ml import PipelineModel

from aslspark.bundle.files import FORMAT, MANIFEST, ONNX, PIPELINE, STAGE_FOLDER, seal, whole_folder
from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.package import VERSION
from aslspark.common.paths import local_path, spark_path
from aslspark.common.redacted_files import write_json
from aslspark.features.landmarks import FEATURES
from aslspark.models.fitted_network import FittedNetwork
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier

PROFILE = "profile"

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


class FinishedModel(Protocol):
    """What a bundle is written from; `aslspark.scoring.SignClassifierModel` is one."""

    classifier: OnnxClassifier | MllibClassifier
    fitted: FittedNetwork | None
    temperature: float

    def preprocessing(self) -> dict[str, Any]:
        """Return how pictures are made ready."""

    def getThreshold(self) -> float:
        """Return the least probability with which a letter is answered."""


def write_model(model: FinishedModel, pipeline: PipelineModel | None, folder: Path, **about: Any) -> None:
    """Write a model's files and its manifest; `seal` must follow when all else is in the folder.

    Parameters
    ----------
    model : FinishedModel
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
    write_json(folder / MANIFEST, manifest)


def write_stage(model: FinishedModel, path: str) -> None:
    """Write what `bundle.read.read_parts` needs into a folder of a saved Pipeline stage."""
    folder = Path(local_path(path)) / STAGE_FOLDER
    with whole_folder(folder) as scratch:
        classifier = model.classifier
        pipeline = classifier.pipeline if isinstance(classifier, MllibClassifier) else None
        write_model(model, pipeline, scratch)
        seal(scratch)


def library_versions() -> dict[str, str]:
    """Return the versions of Python, this package and those that a model depends on, as installed here."""
    versions = {"python": platform.python_version(), "aslspark": VERSION}
    for name in _RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions

"""A finished model -> its files and manifest, in a bundle's folder or that of a saved Pipeline stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, cast

from pyspark.ml import PipelineModel

from aslspark.bundle.files import FORMAT, HANDS, MANIFEST, ONNX, PIPELINE, STAGE_FOLDER, seal, whole_folder
from aslspark.bundle.manifest import Manifest, Preprocessing
from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.package import library_versions
from aslspark.common.paths import local_path, spark_path
from aslspark.common.redacted_files import write_json
from aslspark.common.store_path import AnyPath, StorePath
from aslspark.features.landmarks import FEATURES
from aslspark.images.hands.detector import HandDetector
from aslspark.models.fit_result import FitResult
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier

PROFILE = "profile"


class FinishedModel(Protocol):
    """What a bundle is written from; `aslspark.scoring.SignClassifierModel` is one."""

    classifier: OnnxClassifier | MllibClassifier
    fitted: FitResult | None
    temperature: float
    hands: HandDetector | None

    def preprocessing(self) -> Preprocessing:
        """Return the preprocessing of pictures."""

    def getThreshold(self) -> float:
        """Return the least probability with which a letter is answered."""


def write_model(
    model: FinishedModel, pipeline: PipelineModel | None, folder: Path, shared: AnyPath | None = None, **about: Any
) -> None:
    """Write a model's files and manifest; `seal` must follow when the folder is complete.

    Parameters
    ----------
    pipeline : PipelineModel, optional
        The features and, of an MLlib model, the classifier, from `picture` on.
    shared : Path or StorePath, optional
        A folder that Spark's workers see, where they may not see `folder`.
    **about
        Further entries of the manifest, such as `settings`, `data`, `split`.
    """
    classifier = model.classifier
    kind = "network" if isinstance(classifier, OnnxClassifier) else "mllib"
    manifest: Manifest = {
        "format": FORMAT,
        "kind": kind,
        "labels": list(classifier.labels),
        "shape": list(classifier.shape),
        "inputs": list(classifier.inputs),
        "preprocessing": model.preprocessing(),
        "temperature": model.temperature,
        "threshold": model.getThreshold(),
    }
    manifest.update(cast(Manifest, about))
    manifest["versions"] = library_versions()
    if isinstance(classifier, OnnxClassifier):
        (folder / ONNX).write_bytes(classifier.onnx)
        if LANDMARKS in classifier.inputs:
            manifest["preprocessing"]["upright"] = classifier.upright
            manifest["preprocessing"]["landmark_features"] = FEATURES
    if model.hands is not None:
        (folder / HANDS).mkdir()
        for name, content in model.hands.networks.files().items():
            (folder / HANDS / name).write_bytes(content)
    if model.fitted is not None:
        network = model.fitted.network
        manifest["framework"] = network.framework
        manifest["parameters"] = network.parameters
        manifest["network_file"] = network.save(folder)
        manifest["phases"] = {name: round(seconds, 2) for name, seconds in model.fitted.phases.items()}
        for name, content in model.fitted.trace.items():
            path = folder / PROFILE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if pipeline is not None:
        if isinstance(shared, StorePath):
            pipeline.save(spark_path(shared / PIPELINE))
            (shared / PIPELINE).copy_to(folder / PIPELINE)
        else:
            pipeline.save(spark_path(folder / PIPELINE))
        if not list((folder / PIPELINE / "metadata").glob("part-*")):
            raise AslsparkError(
                f"{folder.parent}: Spark's workers wrote the pipeline elsewhere; "
                "give --out a folder that the driver and all workers share"
            )
    write_json(folder / MANIFEST, manifest)


def write_stage(model: FinishedModel, path: str) -> None:
    """Write the bundle of a model into the folder of a saved Pipeline stage."""
    folder = Path(local_path(path)) / STAGE_FOLDER
    with whole_folder(folder) as scratch:
        classifier = model.classifier
        pipeline = classifier.pipeline if isinstance(classifier, MllibClassifier) else None
        write_model(model, pipeline, scratch)
        seal(scratch)

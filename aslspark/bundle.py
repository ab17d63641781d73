"""The finished model as a folder: written whole or not at all, checked byte for byte when it is read.

In: a model, its pipeline, its settings. Out: a folder that scoring, serving and people can use.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.ml.classification import OneVsRestModel
from pyspark.sql import SparkSession

import aslspark
from aslspark.bundle_files import (
    FORMAT,
    MANIFEST,
    ONNX,
    SUMS,
    BundleContents,
    behind_alias,
    read_bundle,
    read_manifest,
    refusal_named,
    require_new,
    seal,
    whole_folder,
)
from aslspark.bundle_network import form_and_hands, network_of
from aslspark.common.plain_folder import NotPlain, PlainFolder
from aslspark.common.refused import Refused
from aslspark.common.written import write_json
from aslspark.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.models.known import LANDMARKS, PICTURE
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.paths import is_mounted, local_path, spark_path
from aslspark.pipeline_checks import MOST_METADATA_BYTES, check_metadata, pipeline_files
from aslspark.scoring import SignClassifierModel

__all__ = [
    "FORMAT",
    "MANIFEST",
    "ONNX",
    "PIPELINE",
    "SUMS",
    "behind_alias",
    "library_versions",
    "read_bundle",
    "read_manifest",
    "read_model",
    "read_stage",
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
    write_json(folder / MANIFEST, manifest)


def read_model(path: str) -> SignClassifierModel:
    """Load the model of a bundle or of a saved Pipeline stage; see `SignClassifierModel.load`."""
    nested = os.path.join(local_path(path), STAGE_FOLDER)
    if os.path.isfile(os.path.join(nested, MANIFEST)):
        if os.path.islink(nested):
            raise AslsparkError(
                f"--model {path}: {STAGE_FOLDER} in it is a link; load what it leads to by its own name"
            )
        return read_model(nested)
    bundle = read_bundle(path, keep=[ONNX, f"{PIPELINE}/"])
    manifest = bundle.manifest
    form, hands = form_and_hands(manifest, path)
    if manifest["kind"] == "network":
        model = SignClassifierModel(network_of(bundle, path))
    else:
        model = SignClassifierModel(_mllib_of(bundle, path))
    model.form, model.hands = form, hands
    model.temperature, model.digest = manifest.get("temperature", 1.0), bundle.digest
    return model.setThreshold(manifest.get("threshold", 0.0))


def read_stage(path: str) -> dict[str, Any] | None:
    """Read the metadata of a saved Pipeline stage: class, uid, params; None where the folder is a bundle itself.

    Raises
    ------
    AslsparkError
        Where they are those of another class, or a link.
    """
    if not os.path.isfile(os.path.join(local_path(path), STAGE_FOLDER, MANIFEST)):
        return None
    with refusal_named("--model ", path):
        try:
            with PlainFolder(os.path.join(local_path(path), "metadata")) as folder, folder.open("part-00000") as file:
                content = file.read(MOST_METADATA_BYTES + 1)
        except (NotPlain, OSError) as error:
            raise Refused(f"metadata/part-00000 cannot be read ({error})") from error
        return check_metadata(
            content, "metadata/part-00000", (f"{SignClassifierModel.__module__}.SignClassifierModel",)
        )


def _mllib_of(bundle: BundleContents, path: str) -> MllibClassifier:
    manifest = bundle.manifest
    with refusal_named("--model ", path):
        files = pipeline_files(bundle.files, f"{PIPELINE}/")
        with _private_copy(files, path) as folder:
            try:
                pipeline = PipelineModel.load(spark_path(folder))
            except Exception as error:  # Spark has an error for each kind of damage, most of them Java's
                said = str(getattr(error, "java_exception", None) or error) or type(error).__name__
                raise Refused(f"its {PIPELINE} cannot be loaded: {said.splitlines()[0][:300]}") from error
        classes = _classes_of(pipeline)
        if classes != len(manifest["labels"]):
            raise Refused(
                f"its {PIPELINE} tells {classes} classes apart, and {len(manifest['labels'])} labels are said"
            )
    return MllibClassifier(
        pipeline, tuple(manifest["labels"]), tuple(manifest["shape"]), tuple(manifest.get("inputs", [PICTURE]))
    )


def _classes_of(pipeline: PipelineModel) -> int:
    last = pipeline.stages[-1]
    if isinstance(last, OneVsRestModel):
        return len(last.models)
    if not hasattr(last, "numClasses"):
        raise Refused(f"its {PIPELINE} ends in {type(last).__name__}, which is no classifier")
    return int(last.numClasses)


@contextmanager
def _private_copy(files: Mapping[str, bytes], path: str) -> Iterator[Path]:
    """Give the folder of a copy from which Spark loads: nobody else changes it between the check and the loading.

    Spark reads it in its workers: on one machine it lies among the temporary files, else beside the bundle, since the
    folder that holds that is one that the workers see.
    """
    beside = Path(os.path.realpath(local_path(path)))
    master = str(SparkSession.builder.getOrCreate().sparkContext.master)
    near = None if master.startswith("local") and not is_mounted(beside) else beside.parent
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.reading-" if near else "aslspark-", dir=near))
    except OSError as error:
        raise AslsparkError(
            f"--model {path}: Spark loads a checked copy of its {PIPELINE}, and {near or 'the temporary folder'} "
            f"cannot be written ({error.strerror}); put the bundle where the job may write, or set TMPDIR"
        ) from error
    try:
        folder.chmod(0o755)  # workers may run as another user; nobody but this one may write
        for name, content in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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

"""The folder of a bundle, or of a saved Pipeline stage -> the parts of its model, checked byte for byte."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.ml.classification import OneVsRestModel
from pyspark.sql import SparkSession

from aslspark.bundle.checks import STAGE_METADATA, stage_metadata
from aslspark.bundle.files import (
    HANDS,
    MANIFEST,
    ONNX,
    PIPELINE,
    STAGE_FOLDER,
    BundleContents,
    read_bundle,
    refusal_named,
)
from aslspark.bundle.network import network_of, preprocessing_of
from aslspark.bundle.pipeline_checks import MOST_METADATA_BYTES, check_metadata, pipeline_files
from aslspark.common.catalog import PICTURE
from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.load_refused import LoadRefused
from aslspark.common.paths import is_mounted, spark_path
from aslspark.common.plain_folder import NotPlain, PlainFolder
from aslspark.common.spark_session import master
from aslspark.common.store_path import AnyPath, StorePath, any_path, as_local_folder, scratch_beside
from aslspark.images.hands.detector import HandDetector
from aslspark.images.image_spec import ImageSpec
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier

STAGE_CLASSES = ("aslspark.scoring.SignClassifierModel", "aslspark.scoring.model.SignClassifierModel")
"""Names of the model's class in saved Pipelines; the first is that of earlier versions."""


@dataclass(frozen=True)
class ModelParts:
    """The parts of a model that scores."""

    classifier: OnnxClassifier | MllibClassifier
    form: ImageSpec
    """Size and colours of pictures, and how others are fitted to them."""
    hands: HandDetector | None
    """What finds the hands that pictures are cropped to; None: they stay whole."""
    temperature: float
    threshold: float
    digest: str
    """See `BundleContents`."""


def bundle_folder(path: str) -> str:
    """Return the folder of the bundle in a saved Pipeline stage; of any other folder, its own name.

    Raises
    ------
    AslsparkError
        Where a stage's bundle is a link.
    """
    nested = any_path(path) / STAGE_FOLDER
    if not (nested / MANIFEST).is_file():
        return path
    if isinstance(nested, Path) and nested.is_symlink():
        raise AslsparkError(f"--model {path}: {STAGE_FOLDER} in it is a link; load what it leads to by its own name")
    return str(nested)


def read_parts(path: str) -> ModelParts:
    """Read a bundle, or the one in a saved Pipeline stage.

    Raises
    ------
    AslsparkError
        Where the folder is no bundle, or not as it was written.
    """
    path = bundle_folder(path)
    bundle = read_bundle(path, keep=[ONNX, HANDS, f"{PIPELINE}/"])
    manifest = bundle.manifest
    form, hands = preprocessing_of(bundle, path)
    is_network = manifest["kind"] == "network"
    return ModelParts(
        network_of(bundle, path) if is_network else _mllib_of(bundle, path),
        form,
        hands,
        temperature=manifest.get("temperature", 1.0),
        threshold=manifest.get("threshold", 0.0),
        digest=bundle.digest,
    )


def read_stage(path: str) -> dict[str, Any] | None:
    """Read the metadata of a saved Pipeline stage (class, uid, params); None where the folder is a bundle itself.

    Raises
    ------
    AslsparkError
        Where they are of another class, or a link.
    """
    if not (any_path(path) / STAGE_FOLDER / MANIFEST).is_file():
        return None
    with refusal_named("--model ", path):
        try:
            with as_local_folder(any_path(path) / "metadata") as metadata, PlainFolder(metadata) as folder:
                name = stage_metadata([f"metadata/{each}" for each in folder.names()], "")
                with folder.open(name.removeprefix("metadata/")) as file:
                    content = file.read(MOST_METADATA_BYTES + 1)
        except (NotPlain, OSError) as error:
            raise LoadRefused(f"{STAGE_METADATA} cannot be read ({error})") from error
        return check_metadata(content, name, STAGE_CLASSES)


def _mllib_of(bundle: BundleContents, path: str) -> MllibClassifier:
    manifest = bundle.manifest
    with refusal_named("--model ", path):
        files = pipeline_files(bundle.files, f"{PIPELINE}/")
        with _private_copy(files, path) as folder:
            try:
                pipeline = PipelineModel.load(spark_path(folder))
            except Exception as error:  # Spark has many error classes, most of them Java's
                cause = first_line(getattr(error, "java_exception", None) or error)
                raise LoadRefused(f"its {PIPELINE} cannot be loaded: {cause}") from error
        classes = _classes_of(pipeline)
        if classes != len(manifest["labels"]):
            raise LoadRefused(
                f"its {PIPELINE} tells {classes} classes apart, and {len(manifest['labels'])} labels are said"
            )
    height, width, channels = manifest["shape"]
    inputs = tuple(manifest.get("inputs", [PICTURE]))
    return MllibClassifier(pipeline, tuple(manifest["labels"]), (height, width, channels), inputs)


def _classes_of(pipeline: PipelineModel) -> int:
    last = pipeline.stages[-1]
    if isinstance(last, OneVsRestModel):
        return len(last.models)
    if not hasattr(last, "numClasses"):
        raise LoadRefused(f"its {PIPELINE} ends in {type(last).__name__}, which is no classifier")
    return int(last.numClasses)


@contextmanager
def _private_copy(files: Mapping[str, bytes], path: str) -> Iterator[AnyPath]:
    """Give the folder of a private copy for Spark, which nobody else can change between check and loading.

    Spark's workers read it. On one machine it is a temporary folder; on a cluster it lies beside the bundle, where the
    workers can read it.
    """
    local, place = master(SparkSession.builder.getOrCreate()).startswith("local"), any_path(path)
    if isinstance(place, StorePath) and not local:
        with scratch_beside(place) as copy:
            for name, content in files.items():
                (copy / name).write_bytes(content)
            yield copy
        return
    beside = Path(os.path.realpath(place)) if isinstance(place, Path) else Path(place.name)
    parent = None if local and not is_mounted(beside) else beside.parent
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.reading-" if parent else "aslspark-", dir=parent))
    except OSError as error:
        raise AslsparkError(
            f"--model {path}: Spark loads a checked copy of its {PIPELINE}, and {parent or 'the temporary folder'} "
            f"cannot be written ({error.strerror}); put the bundle where the job may write, or set TMPDIR"
        ) from error
    try:
        folder.chmod(0o755)  # workers may run as another user, who must not write
        for name, content in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

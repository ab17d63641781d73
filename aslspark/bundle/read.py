"""A bundle, or a saved Pipeline stage -> what a model is made of: classifier, form of pictures, temperature, threshold.

In: a folder. Out: its parts, checked byte for byte, or what is wrong with it.
"""

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

from aslspark.bundle.files import MANIFEST, ONNX, PIPELINE, STAGE_FOLDER, BundleContents, read_bundle, refusal_named
from aslspark.bundle.network import form_and_hands, network_of
from aslspark.bundle.pipeline_checks import MOST_METADATA_BYTES, check_metadata, pipeline_files
from aslspark.common.catalog import PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.load_refused import LoadRefused
from aslspark.common.paths import is_mounted, local_path, spark_path
from aslspark.common.plain_folder import NotPlain, PlainFolder
from aslspark.images.decoding import ImageSpec
from aslspark.images.hands.options import HandOptions
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier

STAGE_CLASSES = ("aslspark.scoring.SignClassifierModel", "aslspark.scoring.model.SignClassifierModel")
"""By these names saved Pipelines hold the model; by the first, those of versions before it had a module of its own."""


@dataclass(frozen=True)
class ModelParts:
    """What a bundle holds of a model that scores."""

    classifier: OnnxClassifier | MllibClassifier
    form: ImageSpec
    """How pictures of other sizes are fitted."""
    hands: HandOptions | None
    """How pictures are cropped to the hand; None: they stay whole."""
    temperature: float
    threshold: float
    digest: str
    """See `BundleContents`."""


def read_parts(path: str) -> ModelParts:
    """Read a bundle, or the one in a saved Pipeline stage.

    Raises
    ------
    AslsparkError
        Where the folder is no bundle, or not as it was written.
    """
    nested = os.path.join(local_path(path), STAGE_FOLDER)
    if os.path.isfile(os.path.join(nested, MANIFEST)):
        if os.path.islink(nested):
            raise AslsparkError(
                f"--model {path}: {STAGE_FOLDER} in it is a link; load what it leads to by its own name"
            )
        return read_parts(nested)
    bundle = read_bundle(path, keep=[ONNX, f"{PIPELINE}/"])
    manifest = bundle.manifest
    form, hands = form_and_hands(manifest, path)
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
            raise LoadRefused(f"metadata/part-00000 cannot be read ({error})") from error
        return check_metadata(content, "metadata/part-00000", STAGE_CLASSES)


def _mllib_of(bundle: BundleContents, path: str) -> MllibClassifier:
    manifest = bundle.manifest
    with refusal_named("--model ", path):
        files = pipeline_files(bundle.files, f"{PIPELINE}/")
        with _private_copy(files, path) as folder:
            try:
                pipeline = PipelineModel.load(spark_path(folder))
            except Exception as error:  # Spark has an error for each kind of damage, most of them Java's
                said = str(getattr(error, "java_exception", None) or error) or type(error).__name__
                raise LoadRefused(f"its {PIPELINE} cannot be loaded: {said.splitlines()[0][:300]}") from error
        classes = _classes_of(pipeline)
        if classes != len(manifest["labels"]):
            raise LoadRefused(
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
        raise LoadRefused(f"its {PIPELINE} ends in {type(last).__name__}, which is no classifier")
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

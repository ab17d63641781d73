"""The finished model as a folder: written whole or not at all, checked byte for byte when it is read.

In: a model, its pipeline, its settings. Out: a folder that scoring, serving and people can use.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel

import aslspark
from aslspark.bundle_checks import Refused, check_links, check_manifest, check_network, check_pipeline
from aslspark.decoding import form_of
from aslspark.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.hands.options import hands_of
from aslspark.masking import shown_all
from aslspark.models.known import LANDMARKS, PICTURE
from aslspark.paths import local_path
from aslspark.scoring import MllibClassifier, OnnxClassifier, SignClassifierModel

FORMAT = 1
MANIFEST, SUMS, ONNX, PIPELINE, PROFILE = "bundle.json", "SHA256SUMS", "network.onnx", "pipeline", "profile"
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


def require_new(path: str) -> Path:
    """Return the local path of a folder that is to be made, and see that nothing is in its place.

    Raises
    ------
    AslsparkError
        Where it is there already, or its parent cannot be written.
    """
    out = Path(local_path(path))
    if out.exists():
        raise AslsparkError(f"--out {path}: it exists already; choose another name or remove it")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise AslsparkError(f"--out {path}: {parent} cannot be written; choose another place")
    return out


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write into, which takes the name `path` when all went well.

    Whatever ends the work early, nothing is left behind.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    scratch.mkdir()
    try:
        yield scratch
        _flush(scratch)
        os.rename(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


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
        pipeline.save(f"file://{(folder / PIPELINE).absolute()}")
        if not list((folder / PIPELINE / "metadata").glob("part-*")):
            raise AslsparkError(
                f"{folder.parent}: Spark's workers wrote the pipeline elsewhere; "
                "give --out a folder that the driver and all workers share"
            )
    (folder / MANIFEST).write_text(json.dumps(shown_all(manifest), indent=1))


def seal(folder: Path) -> None:
    """Write the SHA-256 of every file, in the format of `sha256sum`."""
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / SUMS).write_text("".join(lines))


def read_manifest(path: str, setting: str = "--model ") -> dict[str, Any]:
    """Check a bundle and return its manifest.

    Parameters
    ----------
    path : str
    setting : str
        By which the path was given; errors begin with it.

    Raises
    ------
    AslsparkError
        Where the folder is no bundle, a newer one, not as it was written, or names what is not its own; it says which
        file.
    """
    folder = Path(local_path(path))
    if not folder.is_dir():
        raise AslsparkError(f"{setting}{path}: there is no such folder; give the --out of a training job")
    if not (folder / SUMS).is_file() or not (folder / MANIFEST).is_file():
        raise AslsparkError(f"{setting}{path}: no bundle: {SUMS} or {MANIFEST} is missing")
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise AslsparkError(f"{setting}{path}: {SUMS} was changed; copy the bundle again") from error
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if not match:
            raise AslsparkError(f"{setting}{path}: {SUMS} was changed; copy the bundle again")
        sums[match[2]] = match[1]
    there = {file.relative_to(folder).as_posix(): file for file in _files(folder)}
    for name in sorted(sums.keys() | there.keys()):
        if name not in there:
            raise AslsparkError(f"{setting}{path}: {name} is missing; copy the bundle again")
        if name not in sums:
            raise AslsparkError(
                f"{setting}{path}: {name} does not belong to the bundle; remove it or copy the bundle again"
            )
        if _digest(there[name]) != sums[name]:
            raise AslsparkError(f"{setting}{path}: {name} was changed (its SHA-256 differs); copy the bundle again")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        written = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AslsparkError(
            f"{setting}{path}: {MANIFEST} is not what aslspark writes; copy the bundle again"
        ) from error
    if written != FORMAT:
        raise AslsparkError(
            f"{setting}{path}: bundle format {written}; this aslspark {aslspark.__version__} reads "
            f"{FORMAT}: use the version that wrote it"
        )
    with _refusal_named(setting, path):
        check_links(folder)
        check_manifest(manifest, sums)
    return manifest


@contextmanager
def _refusal_named(setting: str, path: str) -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        raise AslsparkError(
            f"{setting}{path}: it was not made by this package ({refused}), and nothing of it was loaded; "
            "take a bundle of a training job"
        ) from refused


def read_model(path: str) -> SignClassifierModel:
    """Load the model of a bundle or of a saved Pipeline stage; see `SignClassifierModel.load`."""
    nested = Path(local_path(path)) / STAGE_FOLDER
    if (nested / MANIFEST).is_file():
        return read_model(str(nested))
    manifest = read_manifest(path)
    folder = Path(local_path(path)).absolute()
    labels, shape = tuple(manifest["labels"]), tuple(manifest["shape"])
    preprocessing = manifest.get("preprocessing", {})
    if manifest["kind"] == "network":
        inputs = tuple(manifest.get("inputs", [PICTURE]))
        given = preprocessing.get("landmark_features", FEATURES)
        if LANDMARKS in inputs and given != FEATURES:
            raise AslsparkError(
                f"--model {path}: its network takes {given} features of a hand's landmarks, and this aslspark "
                f"{aslspark.__version__} makes {FEATURES}: use the version that wrote it"
            )
        upright = preprocessing.get("upright", False)
        onnx = (folder / ONNX).read_bytes()
        with _refusal_named("--model ", path):
            check_network(onnx, inputs, shape, len(labels))
        model = SignClassifierModel(OnnxClassifier(onnx, labels, shape, inputs=inputs, upright=upright))
    else:
        with _refusal_named("--model ", path):
            check_pipeline(folder / PIPELINE)
        pipeline = PipelineModel.load(f"file://{folder / PIPELINE}")
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


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())

"""The folder of a job -> a run in MLflow: settings, metrics, epochs, plots, the bundle as a model.

MLflow is imported only where `tracking.mlflow` is true.
"""

from __future__ import annotations

import csv
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from aslspark.bundle.files import MANIFEST
from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing
from aslspark.common.redaction import redact_all
from aslspark.common.setting_values import leaves
from aslspark.common.settings import Config
from aslspark.common.store_path import as_local_folder

log = logging.getLogger("aslspark")

MODEL = "bundle"
"""The bundle's name among a run's artifacts."""
CHAMPION = "champion"
_VERSION_TAG = "aslspark.registry_version"
_REQUIREMENTS = ("numpy", "onnxruntime", "pyspark")
_ARTIFACTS = (".png", ".html", ".md")
_REPORTS = ("metrics.json", "drift.json", "ingest.json", "cross_validation.json", "comparison.json")
_OF_ONE_THING = ("per_class", "by_source", "labels", "sources", "signers")
"""What reports hold of each letter, source or signer: hundreds of numbers, each of which MLflow would show as a plot.
They are in the reports, which are artifacts."""
_DATABASE, _ARTIFACTS_FOLDER = "mlflow.db", "artifacts"
"""In the folder that `tracking.uri` names."""
_LONGEST_PARAMETER = 500
"""Characters; longer ones are cut."""


@contextmanager
def tracked(config: Config, job: str, out: str | None = None, **about: Any) -> Iterator[None]:
    """Log the block as a run in MLflow, with the folder that it made; without `tracking.mlflow`, do nothing.

    A block that raises leaves a failed run. Within a run of the caller, it is a child of that run.

    Parameters
    ----------
    job : str
        Its name.
    out : str, optional
        The folder; see `log_folder`.
    **about
        Further parameters, such as the job's data.

    Raises
    ------
    AslsparkError
        Where MLflow is not installed, or cannot be reached.
    """
    if not config.tracking.mlflow:
        yield
        return
    with doing("opening MLflow"):
        mlflow = _mlflow(config)
    # By its folder a run is told from others of its job, which the tag names.
    name = PurePath(out).name if out is not None else job
    with mlflow.start_run(run_name=name, nested=mlflow.active_run() is not None):
        mlflow.set_tag("aslspark.job", job)
        mlflow.log_params(_parameters(redact_all({**config.as_dict(), **about})))
        yield
        if out is not None:
            with doing("keeping it in MLflow"), as_local_folder(out) as folder:
                log_folder(folder)
        run = mlflow.active_run()
        log.info("MLflow: run %s in %s", run.info.run_id, mlflow.get_tracking_uri())


def log_folder(folder: Path) -> None:
    """Log a job's folder to the active run: numbers of its reports, epochs of its history, plots, and its bundle."""
    import mlflow

    for name in _REPORTS:
        if (folder / name).is_file():
            mlflow.log_metrics(_numbers(json.loads((folder / name).read_text(encoding="utf-8"))))
            mlflow.log_artifact(str(folder / name))
    if (folder / "history.csv").is_file():
        with (folder / "history.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                numbers = {f"epoch.{name}": _number(text) for name, text in row.items() if name != "epoch"}
                metrics = {name: number for name, number in numbers.items() if number is not None}
                mlflow.log_metrics(metrics, step=int(float(row["epoch"])))
    for path in sorted(folder.iterdir()):
        if path.suffix in _ARTIFACTS:
            mlflow.log_artifact(str(path))
    if (folder / MANIFEST).is_file():
        log_bundle(folder)


def log_champion(config: Config, version: str, bundle: Path, decision: Mapping[str, Any]) -> None:
    """Log a decision of a `registry.Registry` with its bundle, and register the bundle if it became the champion.

    Without `tracking.mlflow` nothing is logged, and without `tracking.registered_model` nothing is registered.

    Parameters
    ----------
    version : str
        Of the bundle in the registry.
    decision : mapping
        The line of the record.
    """
    if not config.tracking.mlflow:
        return
    mlflow = _mlflow(config)
    log_folder(bundle)
    mlflow.set_tags({"aslspark.decision": decision["action"], "aslspark.version": version})
    mlflow.log_metrics(_numbers(decision.get("figures", {}), "decision."))
    mlflow.log_dict(redact_all(dict(decision)), "decision.json")
    name = config.tracking.registered_model
    if name and decision["champion"] == version:
        registered = mlflow.register_model(f"runs:/{mlflow.active_run().info.run_id}/{MODEL}", name)
        client = mlflow.MlflowClient()
        client.set_model_version_tag(name, registered.version, _VERSION_TAG, version)
        client.set_registered_model_alias(name, CHAMPION, registered.version)


def log_bundle(folder: Path) -> None:
    """Log a bundle to the active run: a network as a pyfunc with a signature, other models as files.

    Nothing is pickled: MLflow keeps the bundle's files and the name of `aslspark.registry.tracking_model`, which reads
    them and must be importable where the model is loaded.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest["kind"] != "network":
        mlflow.log_artifacts(str(folder), MODEL)
        return
    versions = manifest["versions"]
    answer = {"letter": "string", "probability": "double", "reason": "string"}
    outputs = Schema([ColSpec(kind, name) for name, kind in answer.items()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow wants an example, though the signature is given
        mlflow.pyfunc.log_model(
            **{"name" if mlflow.__version__ >= "3" else "artifact_path": MODEL},
            loader_module="aslspark.registry.tracking_model",
            data_path=str(folder),
            signature=ModelSignature(inputs=Schema([ColSpec("binary", "picture")]), outputs=outputs),
            # Without them, MLflow would load the model to find out what it imports.
            pip_requirements=[f"{name}=={versions[name]}" for name in _REQUIREMENTS if name in versions],
            metadata={"labels": " ".join(manifest["labels"]), "data": manifest.get("data", {}).get("fingerprint", "")},
        )


def restore_champion(config: Config, version: str) -> None:
    """Point the alias in MLflow's registry at an earlier version again; remove it if that was never registered."""
    name = config.tracking.registered_model
    if not (config.tracking.mlflow and name):
        return
    client = _mlflow(config).MlflowClient()
    for registered in client.search_model_versions(f"name='{name}'"):
        if registered.tags.get(_VERSION_TAG) == version:
            client.set_registered_model_alias(name, CHAMPION, registered.version)
            return
    client.delete_registered_model_alias(name, CHAMPION)
    log.warning("MLflow: %s holds no version %s; its alias %s was taken away", name, version, CHAMPION)


def _mlflow(config: Config) -> Any:
    try:
        import mlflow
        import mlflow.pyfunc
    except ImportError as error:
        raise AslsparkError(f"tracking.mlflow=true: {error}; install aslspark[mlflow], or set it to false") from error
    uri, experiment = config.tracking.uri, config.tracking.experiment
    try:
        mlflow.set_tracking_uri(store := store_uri(uri))
        if store.endswith(_DATABASE) and mlflow.get_experiment_by_name(experiment) is None:
            # Beside the database: MLflow's own place for them is the working directory.
            mlflow.create_experiment(experiment, artifact_location=(Path(uri).absolute() / _ARTIFACTS_FOLDER).as_uri())
        mlflow.set_experiment(experiment)
    except Exception as error:  # each store has errors of its own
        cause = " ".join(str(error).split())[:200]
        raise AslsparkError(f"tracking.uri={uri}: MLflow cannot use it ({cause}); give a folder or a server") from error
    return mlflow


def store_uri(uri: str) -> str:
    """Return the address of what `tracking.uri` names, as MLflow takes it.

    MLflow 2 keeps files in a folder, MLflow 3 a database: it reads such files with ``MLFLOW_ALLOW_FILE_STORE=true``.
    """
    if re.match(r"^([a-z+]+:|databricks)", uri):
        return uri
    from mlflow import __version__ as version

    folder = Path(uri).absolute()
    if version < "3" or (folder / "0" / "meta.yaml").is_file() or (folder / ".trash").is_dir():
        return folder.as_uri()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / _DATABASE}"


def _parameters(tree: dict[str, Any]) -> dict[str, str]:
    """Flatten nested settings into MLflow's parameters, `section.key` to text."""
    return {
        name: (" ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))[:_LONGEST_PARAMETER]
        for name, value in leaves(tree)
        if value is not None
    }


def _numbers(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten the numbers of nested dictionaries into MLflow's metrics, without lists and what is of one letter."""
    numbers: dict[str, float] = {}
    for name, value in tree.items():
        key = prefix + re.sub(r"[^\w.\- /]", "_", str(name))
        if name in _OF_ONE_THING:
            continue
        if isinstance(value, Mapping):
            numbers |= _numbers(value, f"{key}.")
        elif isinstance(value, int | float):
            numbers[key] = float(value)
    return numbers


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

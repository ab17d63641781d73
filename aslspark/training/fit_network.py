"""An ingested table and a `Config` -> a fitted network, in either framework: the one interface over the estimators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from aslspark.common.catalog import LANDMARKS, NETWORKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.settings import Config, TrainingConfig
from aslspark.data.samples import HAND_COLUMN, SAMPLES_FOLDER, TRAIN, VALIDATION
from aslspark.features.landmarks import FEATURES
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.collective import ALONE
from aslspark.training.data import TrainingData
from aslspark.training.fit import fit_on_folders, worker_job
from aslspark.training.initial_weights import started_network
from aslspark.training.launch.launchers import TORCH
from aslspark.training.resume import CHECKPOINTS
from aslspark.training.training_alerts import in_words
from aslspark.training.worker import WorkerJob

if TYPE_CHECKING:
    from aslspark.training.torch_fit import TorchNetwork

OnEpoch = Callable[[dict[str, Any]], bool]


def fit_network(
    data: TrainingData,
    config: Config,
    scratch: Path,
    on_epoch: OnEpoch | None = None,
) -> SignClassifierModel:
    """Fit the network that the settings name: with its framework's Horovod estimator, or by torch alone.

    Parameters
    ----------
    data : TrainingData
    config : Config
    scratch : Path
        A folder for the estimator's store, or a flat copy, and the checkpoints: where it holds some of the same fit,
        that goes on.
    on_epoch : callable, optional
        Gets each epoch's row of the history; True ends the fit with `aslspark.training.launch.run.StoppedEarly`.

    Returns
    -------
    SignClassifierModel
        With the best epoch's weights; `fitted` holds the network and its history.
    """
    settings, params, folders = config.training, _params(data, config, scratch), _folders(data)
    if settings.launcher == TORCH:
        model = _by_torch(data, config, params, *folders, scratch, on_epoch)
    else:
        model = _by_horovod(data, config, params, *folders, scratch, on_epoch)
    # A network that takes no pictures was trained beside some all the same.
    model.classifier = replace(model.classifier, shape=data.shape)
    return model


def fit_in_one_task(spark: SparkSession, data: TrainingData, config: Config) -> tuple[list[dict[str, Any]], int, int]:
    """Fit a torch network alone, in a Spark task and without a launcher: several such fits run side by side.

    Parameters
    ----------
    spark : SparkSession
    data : TrainingData
    config : Config
        `training.num_proc` does not count: it is one process, and batch size and learning rate are its own.

    Returns
    -------
    list of dict
        The history.
    int
        The best epoch.
    int
        MiB that the task's process held at the end.

    Raises
    ------
    AslsparkError
        Where no epoch left a model.
    """
    one = replace(config, training=replace(config.training, num_proc=1))
    job, _ = worker_job(spark, _torch_network(data, one), _params(data, one, Path()), *_folders(data), ALONE)
    history, best, watch, megabytes = spark.sparkContext.parallelize([job], 1).map(_alone).first()
    if not best:
        raise AslsparkError(f"{in_words(next(note for note in watch if note['stopped']))}; no epoch left a model")
    return history, best, megabytes


def _alone(job: WorkerJob) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]], int]:
    import psutil

    from aslspark.training.torch_worker import train

    result = train(job)
    return result["history"], result["best_epoch"], result["watch"], psutil.Process().memory_info().rss >> 20


def _folders(data: TrainingData) -> tuple[str, str]:
    # With its scheme: the store percent-encodes the = of a plain path.
    split = f"file://{Path(local_path(data.folder)).absolute()}/{SAMPLES_FOLDER}/split="
    return f"{split}{TRAIN}", f"{split}{VALIDATION}"


def _params(data: TrainingData, config: Config, scratch: Path) -> dict[str, Any]:
    """Bring settings to the names of the estimators' params."""
    settings = config.training
    return {
        "num_proc": settings.num_proc,
        "labels": list(data.labels),
        "feature_cols": ["picture"],
        "label_cols": ["label"],
        "batch_size": settings.batch_size,
        "epochs": settings.epochs,
        "patience": settings.patience,
        "random_seed": settings.seed,
        "stretch": config.features.stretch,
        "augment": asdict(config.augment),
        "schedule": settings.schedule,
        "feed": settings.feed,
        "cache_mb": settings.cache_mb,
        "threads": settings.threads,
        "cycle_ms": settings.cycle_ms,
        "source_weights": data.source_weights() if settings.balance_sources else {},
        "unfreeze_after": config.network.unfreeze_after,
        "unfreeze_rate": config.network.unfreeze_rate,
        "use_gpu": settings.use_gpu,
        "precision": settings.precision,
        "label_smoothing": settings.label_smoothing,
        "clip_norm": settings.clip_norm,
        "profile_steps": settings.profile_steps,
        "tries": settings.tries,
        "checkpoints": str((scratch / CHECKPOINTS).absolute()),
        "hand_col": HAND_COLUMN,
        "upright": config.features.upright,
        "branch_dropout": config.network.branch_dropout,
    }


def _by_horovod(
    data: TrainingData,
    config: Config,
    params: dict[str, Any],
    train_folder: str,
    validation_folder: str,
    scratch: Path,
    on_epoch: OnEpoch | None,
) -> SignClassifierModel:
    from horovod.spark.common.store import FilesystemStore

    # A store of this run's own: Horovod keeps row counts beside the data and would believe another run's.
    # Named here, since the class that Horovod would choose for dbfs refuses data that lie elsewhere.
    store = FilesystemStore(
        f"file://{scratch.absolute()}/store", train_path=train_folder, val_path=validation_folder, save_runs=False
    )
    make = _keras_estimator if config.training.framework == "keras" else _torch_estimator
    estimator = make(data, config, {**params, "store": store})
    estimator.on_epoch = on_epoch
    model: SignClassifierModel = estimator.fit_on_parquet()
    return model


def _by_torch(
    data: TrainingData,
    config: Config,
    params: dict[str, Any],
    train_folder: str,
    validation_folder: str,
    scratch: Path,
    on_epoch: OnEpoch | None,
) -> SignClassifierModel:
    network = _torch_network(data, config)
    return fit_on_folders(network, params, train_folder, validation_folder, scratch, launcher=TORCH, on_epoch=on_epoch)


def _torch_network(data: TrainingData, config: Config) -> TorchNetwork:
    from aslspark.training.torch_fit import TorchNetwork

    smoothing = config.training.label_smoothing
    return TorchNetwork(**_torch_parts(data, config), stretch=config.features.stretch, label_smoothing=smoothing)


def _keras_estimator(data: TrainingData, config: Config, params: dict[str, Any]) -> Any:
    import tensorflow as tf

    from aslspark.training.keras_estimator import SignKerasEstimator

    tf.keras.utils.set_random_seed(config.training.seed)
    return SignKerasEstimator(
        model=started_network(config, data.shape, data.labels),
        optimizer=keras_optimizer(config.training),
        loss="categorical_crossentropy",
        **params,
    )


def _torch_estimator(data: TrainingData, config: Config, params: dict[str, Any]) -> Any:
    from aslspark.training.torch_estimator import SignTorchEstimator

    parts = _torch_parts(data, config)
    return SignTorchEstimator(input_shapes=parts.pop("shapes"), **parts, **params)


def _torch_parts(data: TrainingData, config: Config) -> dict[str, Any]:
    import torch

    torch.manual_seed(config.training.seed)
    model = started_network(config, data.shape, data.labels)
    height, width, channels = data.shape
    shapes = {PICTURE: [-1, channels, height, width], LANDMARKS: [-1, FEATURES]}
    return {
        "model": model,
        "shapes": [shapes[name] for name in NETWORKS[config.network.name].inputs],
        "optimizer": torch_optimizer(config.training, model),
        "loss": torch.nn.CrossEntropyLoss(),
    }


def keras_optimizer(settings: TrainingConfig) -> Any:
    """Build the optimizer that the settings name; the worker sees to it that biases and BatchNorm do not decay."""
    import tensorflow as tf

    adam: dict[str, Any] = {"learning_rate": settings.learning_rate}
    if settings.epsilon:
        adam["epsilon"] = settings.epsilon
    if settings.optimizer == "adamw":
        return tf.keras.optimizers.AdamW(weight_decay=settings.weight_decay, **adam)
    return tf.keras.optimizers.Adam(**adam)


def torch_optimizer(settings: TrainingConfig, model: Any) -> Any:
    """Build the optimizer that the settings name; the worker sees to it that biases and BatchNorm do not decay."""
    import torch

    adam: dict[str, Any] = {"lr": settings.learning_rate}
    if settings.epsilon:
        adam["eps"] = settings.epsilon
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), weight_decay=settings.weight_decay, **adam)
    return torch.optim.Adam(model.parameters(), **adam)

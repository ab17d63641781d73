"""An ingested table and a `Config` -> a fitted network, in either framework."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import SparkSession

from aslspark.common.catalog import LANDMARKS, NETWORKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing
from aslspark.common.settings import Config, TrainingConfig
from aslspark.common.store_path import AnyPath, any_path
from aslspark.common.tensorflow_start import import_tensorflow
from aslspark.data.samples import SAMPLES_FOLDER, TRAIN, VALIDATION
from aslspark.features.landmarks import FEATURES
from aslspark.models.fit_result import EpochRow, FitResult
from aslspark.training.collective import ALONE
from aslspark.training.data import TrainingData
from aslspark.training.fit import OnEpoch, fit_on_folders, worker_job
from aslspark.training.initial_weights import started_network
from aslspark.training.loop import Outcome
from aslspark.training.training_alerts import in_words
from aslspark.training.unfinished import CHECKPOINTS
from aslspark.training.worker import SampleFolders, WorkerJob

if TYPE_CHECKING:
    from aslspark.training.keras_fit import KerasNetwork
    from aslspark.training.torch_fit import TorchNetwork


def fit_network(
    data: TrainingData,
    config: Config,
    scratch: AnyPath,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Fit the network that the settings name, as its framework's estimator would.

    Parameters
    ----------
    scratch : Path or StorePath
        A folder for the checkpoints, and a flat copy: where it holds checkpoints of the same fit, that goes on.
    on_epoch : callable, optional
        Gets each epoch's row of the history; True ends the fit with `aslspark.training.launch.run.StoppedEarly`.
    """
    build = keras_network if config.training.framework == "keras" else torch_network
    with doing("building the network"):
        unfitted = build(config, data.shape, data.labels)
    return fit_on_folders(
        unfitted,
        config,
        _folders(data, config),
        scratch,
        checkpoints=(scratch / CHECKPOINTS).absolute(),
        shape=data.shape,
        on_epoch=on_epoch,
    )


def fit_in_one_task(spark: SparkSession, data: TrainingData, config: Config) -> tuple[list[EpochRow], int, int]:
    """Fit a torch network alone, in a Spark task and without a launcher: several such fits run side by side.

    Parameters
    ----------
    config : Config
        `training.num_proc` does not count: it is one process, and batch size and learning rate are its own.

    Returns
    -------
    list of EpochRow
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
    one = replace(config, training=replace(config.training, num_proc=1, launcher=ALONE))
    job, _ = worker_job(spark, torch_network(one, data.shape, data.labels), one, _folders(data, one))

    def fit(_: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"result": pa.array([pickle.dumps(_alone(job))], pa.binary())})

    row = spark.range(0, 1, 1, 1).mapInArrow(fit, "result binary").first()
    assert row is not None
    outcome, megabytes = pickle.loads(row["result"])
    if not outcome.best_epoch:
        stop = next(alert for alert in outcome.watch if alert["stopped"])
        raise AslsparkError(f"{in_words(stop)}; no epoch left a model")
    return outcome.history, outcome.best_epoch, megabytes


def _alone(job: WorkerJob) -> tuple[Outcome, int]:
    import psutil

    from aslspark.training.torch_worker import train

    outcome = train(job).outcome
    assert outcome is not None
    return replace(outcome, weights=b""), psutil.Process().memory_info().rss >> 20


def _folders(data: TrainingData, config: Config) -> SampleFolders:
    split = f"{any_path(data.folder).absolute()}/{SAMPLES_FOLDER}/split="
    weights = data.source_weights() if config.training.balance_sources else {}
    return SampleFolders(f"{split}{TRAIN}", f"{split}{VALIDATION}", data.labels, weight_of=weights)


def keras_network(config: Config, shape: tuple[int, int, int], labels: tuple[str, ...]) -> KerasNetwork:
    """Build the Keras network that the settings name, for pictures of a shape, with its optimizer and loss."""
    import_tensorflow()
    import tensorflow as tf

    from aslspark.training.keras_fit import KerasNetwork

    tf.keras.utils.set_random_seed(config.training.seed)
    model = started_network(config, shape, labels)
    return KerasNetwork(model, keras_optimizer(config.training), "categorical_crossentropy")


def torch_network(config: Config, shape: tuple[int, int, int], labels: tuple[str, ...]) -> TorchNetwork:
    """Build the torch network that the settings name, for pictures of a shape, with its optimizer and loss."""
    import torch

    from aslspark.training.torch_fit import TorchNetwork

    torch.manual_seed(config.training.seed)
    model = started_network(config, shape, labels)
    height, width, channels = shape
    shapes = {PICTURE: [-1, channels, height, width], LANDMARKS: [-1, FEATURES]}
    taken = [shapes[name] for name in NETWORKS[config.network.name].inputs]
    return TorchNetwork(model, torch_optimizer(config.training), torch.nn.CrossEntropyLoss(), taken)


def keras_optimizer(settings: TrainingConfig) -> Any:
    """Build the optimizer that the settings name; the worker sees to it that biases and BatchNorm do not decay."""
    import tensorflow as tf

    adam: dict[str, Any] = {"learning_rate": settings.learning_rate}
    if settings.epsilon:
        adam["epsilon"] = settings.epsilon
    if settings.optimizer == "adamw":
        return tf.keras.optimizers.AdamW(weight_decay=settings.weight_decay, **adam)
    return tf.keras.optimizers.Adam(**adam)


def torch_optimizer(settings: TrainingConfig) -> tuple[type, dict[str, Any]]:
    """Return the class of the optimizer that the settings name, and its own settings; the worker builds it of them."""
    import torch

    adam: dict[str, Any] = {"lr": settings.learning_rate}
    if settings.epsilon:
        adam["eps"] = settings.epsilon
    if settings.optimizer == "adamw":
        return torch.optim.AdamW, {**adam, "weight_decay": settings.weight_decay}
    return torch.optim.Adam, adam

"""What can be set on our estimators, beside what Horovod's have; and what of Horovod's means nothing here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters

from aslspark.common.settings import augment_settings
from aslspark.data.samples import HAND_COLUMN

NOT_SUPPORTED = {
    "backend": "set num_proc",
    "callbacks": "early stopping is set by patience",
    "checkpoint_callback": "the best epoch's weights are kept without it",
    "custom_objects": "the network's own layers are Keras' own",
    "data_module": "set feed",
    "gradient_compression": "gradients travel in one message",
    "inmemory_cache_all": "set cache_mb",
    "loss_constructors": "set loss",
    "loss_weights": "there is one output",
    "metrics": "loss and accuracy are always computed",
    "partitions_per_process": "row groups are dealt to processes as they are",
    "run_id": "every fit is a run of its own; set checkpoints to go on with one",
    "sample_weight_col": "set source_weights",
    "train_minibatch_fn": "set loss and optimizer",
    "train_steps_per_epoch": "every epoch sees every row once",
    "transformation_fn": "set stretch and augment",
    "validation_steps_per_epoch": "every epoch sees every row once",
}
"""Horovod's params that mean nothing here, and what to use instead."""

OWN_DEFAULTS: dict[str, Any] = {
    "patience": 10,
    "stretch": True,
    "augment": True,
    "schedule": "cosine",
    "feed": "in_place",
    "cache_mb": 2048,
    "threads": 0,
    "cycle_ms": 0.0,
    "precision": "float32",
    "source_weights": {},
    "unfreeze_after": 0,
    "unfreeze_rate": 0.1,
    "label_smoothing": 0.0,
    "clip_norm": 0.0,
    "profile_steps": 0,
    "tries": 3,
    "checkpoints": "",
    "hand_col": HAND_COLUMN,
    "upright": False,
    "branch_dropout": 0.2,
}


def divided_params(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide an estimator's params into our own, with their defaults, and Horovod's."""
    own = {name: params.get(name, default) for name, default in OWN_DEFAULTS.items()}
    return own, {"use_gpu": False, **{name: value for name, value in params.items() if name not in own}}


class InPlaceParams(Params):
    """The params of both estimators; see each for what it means."""

    labels = Param(
        Params._dummy(),
        "labels",
        "the label list; the network's outputs, in order",
        TypeConverters.toListString,
    )
    patience = Param(
        Params._dummy(),
        "patience",
        "epochs without a better validation loss before it stops",
        TypeConverters.toInt,
    )
    stretch = Param(
        Params._dummy(),
        "stretch",
        "stretch each picture to its own minimum and maximum",
        TypeConverters.toBoolean,
    )
    augment = Param(
        Params._dummy(),
        "augment",
        "how training pictures are changed at random: true, false, or settings by their names in AugmentConfig",
        lambda given: asdict(augment_settings(given)),
    )
    schedule = Param(
        Params._dummy(),
        "schedule",
        "course of the learning rate: cosine, constant or one_cycle",
        TypeConverters.toString,
    )
    feed = Param(
        Params._dummy(),
        "feed",
        "who reads the samples: in_place (we, where they lie) or petastorm (its reader, from a flat copy)",
        TypeConverters.toString,
    )
    cache_mb = Param(
        Params._dummy(),
        "cache_mb",
        "MiB of pictures that a process keeps in memory; more is streamed",
        TypeConverters.toInt,
    )
    threads = Param(
        Params._dummy(), "threads", "of each process; 0: as many as its Spark task has cores", TypeConverters.toInt
    )
    cycle_ms = Param(
        Params._dummy(),
        "cycle_ms",
        "milliseconds between Horovod's looks for gradients; 0: by the batch size",
        TypeConverters.toFloat,
    )
    precision = Param(
        Params._dummy(),
        "precision",
        "what the network computes in: float32, or mixed (16 bits, with float32 weights and loss)",
        TypeConverters.toString,
    )
    source_weights: Param[dict[str, float]] = Param(
        Params._dummy(), "source_weights", "loss weight of each source, by name"
    )
    unfreeze_after = Param(
        Params._dummy(),
        "unfreeze_after",
        "epochs after which layers learn that are frozen in the model given; 0: never",
        TypeConverters.toInt,
    )
    unfreeze_rate = Param(
        Params._dummy(),
        "unfreeze_rate",
        "share of the learning rate that those learn with",
        TypeConverters.toFloat,
    )
    label_smoothing = Param(
        Params._dummy(),
        "label_smoothing",
        "share of each label that is divided evenly among all; validation is judged without it",
        TypeConverters.toFloat,
    )
    clip_norm = Param(
        Params._dummy(),
        "clip_norm",
        "highest norm of all averaged gradients together; 0: any",
        TypeConverters.toFloat,
    )
    profile_steps = Param(
        Params._dummy(), "profile_steps", "steps that the first process traces; 0: none", TypeConverters.toInt
    )
    tries = Param(
        Params._dummy(),
        "tries",
        "to come to the end: when a worker is lost, the fit goes on from its last epoch with those that are left",
        TypeConverters.toInt,
    )
    checkpoints = Param(
        Params._dummy(),
        "checkpoints",
        "folder, shared by all workers, that keeps this fit's epochs and from which it goes on; empty: one in the "
        "store, for as long as it lasts",
        TypeConverters.toString,
    )
    hand_col = Param(
        Params._dummy(), "hand_col", "the column of hands, for networks that take landmarks", TypeConverters.toString
    )
    upright = Param(Params._dummy(), "upright", "turn each hand's landmarks upright", TypeConverters.toBoolean)
    branch_dropout = Param(
        Params._dummy(),
        "branch_dropout",
        "share of the training samples of which the picture or the landmarks, evenly, are left out",
        TypeConverters.toFloat,
    )

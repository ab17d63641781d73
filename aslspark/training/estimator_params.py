"""What can be set on our estimators, beside what Horovod's have; and what of Horovod's means nothing here.

In: how settings are declared. Out: a param of the same name for each that a fit has, and from the params a `Config`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters

from aslspark.common.settings import Config, augment_settings, declarations, settings_from
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

HOROVODS = {
    "training.num_proc": "num_proc",
    "training.epochs": "epochs",
    "training.batch_size": "batch_size",
    "training.use_gpu": "use_gpu",
    "training.seed": "random_seed",
}
"""Settings that Horovod's estimators have a param for, with a default of its own."""
_DECLARED = {
    name: setting
    for name, setting in declarations("training", "network", "features").items()
    if not setting.metadata.get("built")
}
OWN = {name: name.partition(".")[2] for name in _DECLARED if name not in HOROVODS}
"""Settings that are params by their own names."""
_CONVERTERS = {
    bool: TypeConverters.toBoolean,
    int: TypeConverters.toInt,
    float: TypeConverters.toFloat,
    str: TypeConverters.toString,
}


class InPlaceParams(Params):
    """The params of both estimators: those here, and one for each setting in `OWN`; see each for what it means."""

    labels = Param(
        Params._dummy(),
        "labels",
        "the label list; the network's outputs, in order",
        TypeConverters.toListString,
    )
    augment = Param(
        Params._dummy(),
        "augment",
        "how training pictures are changed at random: true, false, or settings by their names in AugmentConfig",
        lambda given: asdict(augment_settings(given)),
    )
    source_weights: Param[dict[str, float]] = Param(
        Params._dummy(), "source_weights", "loss weight of each source, by name"
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

    def _set_own(self, given: dict[str, Any]) -> None:
        """Set params that are not Horovod's; those that are not given have the settings' defaults."""
        defaults = {OWN[name]: setting.default for name, setting in _DECLARED.items() if name in OWN}
        beside = {"augment": True, "source_weights": {}, "checkpoints": "", "hand_col": HAND_COLUMN}
        self._setDefault(**defaults, **beside)
        self._set(**given)

    def settings(self) -> Config:
        """Return the settings of the fit, checked; those that no param stands for are as by default.

        Raises
        ------
        AslsparkError
            As from `aslspark.common.settings.load_config`.
        """
        values = {name: self.getOrDefault(param) for name, param in {**HOROVODS, **OWN}.items()}
        values["training.seed"] = values["training.seed"] or 0  # Horovod's default is None
        values |= {f"augment.{name}": value for name, value in self.getOrDefault("augment").items()}
        return settings_from(values)


for _name, _param in OWN.items():
    _setting = _DECLARED[_name]
    _made = Param(Params._dummy(), _param, _setting.metadata["meaning"], _CONVERTERS[type(_setting.default)])
    setattr(InPlaceParams, _param, _made)


def divided_params(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide what an estimator is given into our own params and Horovod's."""
    own = {name: value for name, value in params.items() if isinstance(getattr(InPlaceParams, name, None), Param)}
    return own, {"use_gpu": False, **{name: value for name, value in params.items() if name not in own}}

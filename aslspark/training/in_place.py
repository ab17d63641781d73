"""What the Keras and the torch estimator have in common: they train on Parquet where it lies.

Horovod's own `fit` turns every row into Python objects and writes the table a second time. These estimators read
the pictures' bytes from the ingested Parquet files, each process its share; a DataFrame is written once, in columns.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructType

from aslspark.config import check_setting
from aslspark.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.models.known import LANDMARKS, PICTURE
from aslspark.paths import local_path, spark_path
from aslspark.samples import PICTURE_TYPE, TRAIN, VALIDATION, no_hands
from aslspark.scoring import SignClassifierModel
from aslspark.training.fitting import UnfittedNetwork, fit_on_folders
from aslspark.training.hands import require_feed
from aslspark.training.params import NOT_SUPPORTED, InPlaceParams


class InPlaceTraining(InPlaceParams):
    """Fits on the bytes of pictures in Parquet; to be mixed in before one of Horovod's estimators."""

    on_epoch: Callable[[dict[str, Any]], bool] | None = None
    """Gets each epoch's row of the history; True ends the fit with `aslspark.training.launch.StoppedEarly`."""

    def _check_supported(self) -> None:
        for name, instead in NOT_SUPPORTED.items():
            if self.hasParam(name) and self.isSet(name) and self.getOrDefault(name):
                raise AslsparkError(f"{type(self).__name__}: {name} is not supported; {instead}")
        for name in ("model", "optimizer", "loss", "store", "num_proc"):
            if not self.isDefined(name) or self.getOrDefault(name) is None:
                raise AslsparkError(f"{type(self).__name__}: {name} is not set")
        precision = self.getOrDefault("precision")
        if precision not in ("float32", "mixed"):
            raise AslsparkError(f"{type(self).__name__}: precision={precision}; choose float32 or mixed")
        for name in ("schedule", "label_smoothing", "clip_norm", "profile_steps", "tries"):
            check_setting(f"training.{name}", self.getOrDefault(name))
        check_setting("network.branch_dropout", self.getOrDefault("branch_dropout"))
        self._columns()
        if self.getOrDefault("feed") not in ("in_place", "petastorm"):
            raise AslsparkError(f"feed={self.getOrDefault('feed')}: choose in_place or petastorm")
        taken = self._network().input_shapes()
        if taken.get(LANDMARKS, (FEATURES,)) != (FEATURES,):
            raise AslsparkError(
                f"model: it takes {taken[LANDMARKS]}; give pictures (n, height, width, channels), landmarks "
                f"(n, {FEATURES}), or both"
            )
        require_feed(self.getOrDefault("feed"), taken)

    def _fit(self, dataset: DataFrame) -> SignClassifierModel:
        """Write the DataFrame's pictures and labels into the store, and train on that."""
        self._check_supported()
        feature_col, label_col = self._columns()
        taken = self._network().input_shapes()
        columns = [label_col, *(["source"] if "source" in dataset.columns else [])]
        if PICTURE in taken:
            kind = dataset.schema[feature_col].dataType
            is_struct = isinstance(kind, StructType) and "data" in kind.names
            if not (is_struct or isinstance(kind, BinaryType)):
                raise AslsparkError(
                    f"feature_cols={feature_col}: {kind.simpleString()} is no picture; give a column of bytes or "
                    f"{PICTURE_TYPE.simpleString()}"
                )
            columns.append(feature_col)
        if LANDMARKS in taken:
            hand_col = self.getOrDefault("hand_col")
            if hand_col not in dataset.columns:
                raise no_hands("the DataFrame", hand_col)
            columns.append(hand_col)
        validation = self.getOrDefault("validation")
        if not isinstance(validation, str):
            raise AslsparkError(
                f"validation={validation}: give the name of a boolean column; "
                "a random share would put a picture's neighbours on both sides"
            )
        split = F.when(F.col(validation).cast("boolean"), VALIDATION).otherwise(TRAIN)
        folder = spark_path(os.path.join(self.getOrDefault("store").prefix_path, f"fit-{uuid.uuid4().hex}"))
        try:
            dataset.select(*columns, split.alias("split")).write.partitionBy("split").parquet(folder)
            return self._fit_on_folders(f"{folder}/split={TRAIN}", f"{folder}/split={VALIDATION}")
        finally:
            shutil.rmtree(local_path(folder), ignore_errors=True)

    def _fit_on_parquet(self, dataset_idx: int | None = None) -> SignClassifierModel:
        """Train on the folders that the store names."""
        self._check_supported()
        store = self.getOrDefault("store")
        return self._fit_on_folders(store.get_train_data_path(dataset_idx), store.get_val_data_path(dataset_idx))

    def _columns(self) -> tuple[str, str]:
        features, labels = self.getOrDefault("feature_cols"), self.getOrDefault("label_cols")
        if len(features) != 1 or len(labels) != 1:
            raise AslsparkError(f"feature_cols={features}, label_cols={labels}: give one column each")
        return features[0], labels[0]

    def _fit_on_folders(self, train_folder: str, validation_folder: str) -> SignClassifierModel:
        scratch = Path(local_path(self.getOrDefault("store").prefix_path))
        params = {param.name: value for param, value in self.extractParamMap().items()}
        return fit_on_folders(self._network(), params, train_folder, validation_folder, scratch, on_epoch=self.on_epoch)

    def _network(self) -> UnfittedNetwork:
        """Return the network of the params, with its loss and its optimizer."""
        raise NotImplementedError

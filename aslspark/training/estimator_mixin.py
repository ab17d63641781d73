"""What the Keras and the torch estimator have in common: they train on Parquet where it lies.

Horovod's own `fit` turns every row into Python objects and writes the table a second time. These estimators read
the pictures' bytes from the ingested Parquet files, each process its share; a DataFrame is written once, in columns.
"""

from __future__ import annotations

import math
import os
import uuid
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, BooleanType, IntegralType, NumericType, StringType, StructType

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import spark_path
from aslspark.common.store_path import any_path, remove_folder
from aslspark.data.samples import HAND_COLUMN, PICTURE_TYPE, TRAIN, VALIDATION, hands_missing
from aslspark.features.landmarks import FEATURES
from aslspark.images.decoding import RAW
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.estimator_params import NOT_SUPPORTED, InPlaceParams, divided_params
from aslspark.training.feed import USUAL, SampleColumns
from aslspark.training.fit import OnEpoch, UnfittedNetwork, fit_on_folders
from aslspark.training.hands import require_feed
from aslspark.training.worker import SampleFolders

LABEL = "label"


class InPlaceTraining(InPlaceParams):
    """Fits on the bytes of pictures in Parquet; to be mixed in before one of Horovod's estimators."""

    on_epoch: OnEpoch | None = None
    """Gets each epoch's row of the history; True ends the fit with `aslspark.training.launch.run.StoppedEarly`."""

    def __init__(self, *, labels: list[str], **params: Any) -> None:
        own, horovods = divided_params(params)
        super().__init__(**horovods)  # Horovod's, which comes behind this class in the order of bases
        self._set_own({"labels": labels, **own})

    def _check_supported(self) -> None:
        for name, instead in NOT_SUPPORTED.items():
            if self.hasParam(name) and self.isSet(name) and self.getOrDefault(name):
                raise AslsparkError(f"{type(self).__name__}: {name} is not supported; {instead}")
        for name in ("model", "optimizer", "loss", "store", "num_proc"):
            if not self.isDefined(name) or self.getOrDefault(name) is None:
                raise AslsparkError(f"{type(self).__name__}: {name} is not set")
        settings = self.settings()
        self._columns()
        taken = self._network().input_shapes()
        if taken.get(LANDMARKS, (FEATURES,)) != (FEATURES,):
            raise AslsparkError(
                f"model: it takes {taken[LANDMARKS]}; give pictures (n, height, width, channels), landmarks "
                f"(n, {FEATURES}), or both"
            )
        require_feed(settings.training.feed, taken)
        self._network().require_outputs(len(self.getOrDefault("labels")))

    def _fit(self, dataset: DataFrame) -> SignClassifierModel:
        """Write the DataFrame's pictures and labels into the store, and train on that."""
        self._check_supported()
        feature_col, label_col = self._columns()
        taken = self._network().input_shapes()
        columns = {LABEL: _column(dataset, "label_cols", label_col).cast("string")}
        if not isinstance(kind := dataset.schema[label_col].dataType, StringType | IntegralType):
            raise AslsparkError(
                f"label_cols={label_col}: {kind.simpleString()} is no label; give names, such as those in labels"
            )
        if "source" in dataset.columns:
            columns["source"] = F.col("source")
        if PICTURE in taken:
            columns[PICTURE] = _column(dataset, "feature_cols", feature_col)
            kind = dataset.schema[feature_col].dataType
            is_struct = isinstance(kind, StructType) and "data" in kind.names
            if not (is_struct or isinstance(kind, BinaryType)):
                raise AslsparkError(
                    f"feature_cols={feature_col}: {kind.simpleString()} is no picture; give a column of bytes or "
                    f"{PICTURE_TYPE.simpleString()}"
                )
        if LANDMARKS in taken:
            hand_col = self.getOrDefault("hand_col")
            if hand_col not in dataset.columns:
                raise hands_missing("the DataFrame", hand_col)
            columns[HAND_COLUMN] = _column(dataset, "hand_col", hand_col)
        validation = self.getOrDefault("validation")
        if not isinstance(validation, str):
            raise AslsparkError(
                f"validation={validation}: give the name of a boolean column; "
                "a random share would put a picture's neighbours on both sides"
            )
        held_out = _column(dataset, "validation", validation)
        if not isinstance(kind := dataset.schema[validation].dataType, BooleanType | NumericType):
            raise AslsparkError(f"validation={validation}: {kind.simpleString()}; give a boolean column")
        split = F.when(held_out.cast("boolean"), VALIDATION).otherwise(TRAIN)
        folder = spark_path(os.path.join(self.getOrDefault("store").prefix_path, f"fit-{uuid.uuid4().hex}"))
        try:
            # Under names of our own: those of the table may hold dots, which name fields in Parquet.
            named = [values.alias(name) for name, values in columns.items()]
            dataset.select(*named, split.alias("split")).write.partitionBy("split").parquet(folder)
            self._check_rows(dataset.sparkSession.read.parquet(folder), taken.get(PICTURE), feature_col, label_col)
            return self._fit_on_folders(f"{folder}/split={TRAIN}", f"{folder}/split={VALIDATION}", USUAL)
        finally:
            remove_folder(any_path(folder))

    def _check_rows(self, written: DataFrame, shape: tuple[int, ...] | None, feature_col: str, label_col: str) -> None:
        """Look for what a worker could not train on, before any is started."""
        found = written.groupBy(LABEL).count().collect()
        if empty := sum(row["count"] for row in found if row[LABEL] is None):
            raise AslsparkError(
                f"label_cols={label_col}: {counted(empty, 'row has', 'rows have')} no label (null); leave them out"
            )
        labels = self.getOrDefault("labels")
        if unknown := sorted({row[LABEL] for row in found} - set(labels)):
            raise AslsparkError(
                f"label_cols={label_col}: {', '.join(unknown[:5])} {'is' if len(unknown) == 1 else 'are'} not among "
                f"labels={', '.join(labels)}; give the labels by these names"
            )
        if shape is None:
            return
        is_struct = isinstance(written.schema[PICTURE].dataType, StructType)
        length = F.octet_length(f"{PICTURE}.data" if is_struct else PICTURE)
        is_raw = F.lit(True)
        if is_struct and "encoding" in written.schema[PICTURE].dataType.names:  # type: ignore[attr-defined]
            is_raw = F.coalesce(F.col(f"{PICTURE}.encoding"), F.lit(RAW)) == RAW
        needed = math.prod(shape)
        empty, other = written.select(F.count_if(length.isNull()), F.count_if(is_raw & (length != needed))).first() or (
            0,
            0,
        )
        if empty:
            raise AslsparkError(
                f"feature_cols={feature_col}: {counted(empty, 'row has', 'rows have')} no picture (null); leave "
                "them out"
            )
        if other:
            raise AslsparkError(
                f"feature_cols={feature_col}: {counted(other, 'picture has', 'pictures have')} another size than "
                f"{'x'.join(map(str, shape))}, "
                f"{needed:,} bytes, which the model takes; bring them to it"
            )

    def _fit_on_parquet(self, dataset_idx: int | None = None) -> SignClassifierModel:
        """Train on the folders that the store names."""
        self._check_supported()
        store, (picture, label) = self.getOrDefault("store"), self._columns()
        columns = SampleColumns(picture, label, self.getOrDefault("hand_col"))
        train, validation = store.get_train_data_path(dataset_idx), store.get_val_data_path(dataset_idx)
        return self._fit_on_folders(train, validation, columns)

    def _columns(self) -> tuple[str, str]:
        features, labels = self.getOrDefault("feature_cols"), self.getOrDefault("label_cols")
        if len(features) != 1 or len(labels) != 1:
            raise AslsparkError(f"feature_cols={features}, label_cols={labels}: give one column each")
        return features[0], labels[0]

    def _fit_on_folders(self, train: str, validation: str, columns: SampleColumns) -> SignClassifierModel:
        kept = self.getOrDefault("checkpoints")
        fitted = fit_on_folders(
            self._network(),
            self.settings(),
            SampleFolders(train, validation, self.getOrDefault("labels"), columns, self.getOrDefault("source_weights")),
            any_path(self.getOrDefault("store").prefix_path),
            checkpoints=any_path(kept) if kept else None,
            val_batch_size=self.getOrDefault("val_batch_size"),
            on_epoch=self.on_epoch,
        )
        return SignClassifierModel(fitted.classifier, fitted=fitted)

    def _network(self) -> UnfittedNetwork:
        """Return the network of the params, with its loss and its optimizer."""
        raise NotImplementedError


def _column(dataset: DataFrame, setting: str, name: str) -> Column:
    """Take a column by its whole name, dots and all.

    Raises
    ------
    AslsparkError
        Where there is none of that name.
    """
    if name not in dataset.columns:
        raise AslsparkError(f"{setting}={name}: there is no such column; there are {', '.join(dataset.columns)}")
    return F.col("`" + name.replace("`", "``") + "`")

"""Our feed for Horovod's own estimators, through their `data_module` param: what both frameworks have in common.

In: what Horovod's processes give a data module. Out: endless batches, an epoch after the other. The estimator stays
Horovod's: `KerasEstimator(data_module=partial(InPlaceKerasData, labels=..., shape=...), store=IngestedStore(...), ...)`
and `fit_on_parquet`. The workers need this package installed: Horovod sends no code but the function it runs.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from horovod.spark.common.datamodule import DataModule
from horovod.spark.common.store import FilesystemStore

from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path
from aslspark.common.settings import FeatureConfig, TrainingConfig
from aslspark.data.samples import SAMPLES_FOLDER, TRAIN, VALIDATION
from aslspark.training.batches import Batch
from aslspark.training.feed import RowReader, SampleColumns, SampleFeed, list_row_groups


class IngestedStore(FilesystemStore):  # type: ignore[misc]
    """Names the splits of an ingested folder for `fit_on_parquet`, and writes nothing into that folder.

    Horovod's own stores put a file of row counts beside the data, which Spark would then take for samples.

    Parameters
    ----------
    ingested : str
        The folder that `ingest` wrote.
    prefix_path : str
        A new folder for each table: Horovod believes the row counts that it finds there.

    Raises
    ------
    AslsparkError
        Where Horovod's estimators cannot read with the pyarrow here.
    """

    def __init__(self, ingested: str, prefix_path: str) -> None:
        if "use_legacy_dataset" not in signature(pq.ParquetDataset).parameters:
            raise AslsparkError(
                f"IngestedStore: Horovod's own estimators read Parquet as pyarrow did until 14, and here is "
                f"{pa.__version__}; they run in the environment of Spark 3.5 (STACK=spark35), and SignKerasEstimator "
                "and SignTorchEstimator everywhere"
            )
        # With its scheme: the store percent-encodes the = of a plain path.
        split = f"file://{os.path.abspath(local_path(ingested))}/{SAMPLES_FOLDER}/split="
        prefix = f"file://{os.path.abspath(local_path(prefix_path))}"
        os.makedirs(local_path(prefix), exist_ok=True)
        super().__init__(prefix, train_path=f"{split}{TRAIN}", val_path=f"{split}{VALIDATION}", save_runs=False)

    def get_data_metadata_path(self, path: str) -> str:
        """Return where the row counts of a split are kept."""
        return os.path.join(local_path(self.prefix_path), f"{os.path.basename(path)}.pkl")


class InPlaceData(DataModule):  # type: ignore[misc]
    """Gives a rank every row of its share once an epoch.

    Parameters
    ----------
    labels : sequence of str
        The label list; a row's class number is its label's place here.
    shape : (int, int, int)
        Height, width, channels of every picture.
    stretch : bool
        See `aslspark.features.scaling.scale`.
    cache_mb : int
        MiB of pictures that a process keeps in memory; a larger share is streamed.
    **horovods
        What Horovod gives: the first of `schema_fields` is the column of pictures, the second that of label names.
    """

    short_name = "in_place"

    def __init__(
        self,
        *,
        labels: Sequence[str],
        shape: tuple[int, int, int],
        stretch: bool = FeatureConfig.stretch,
        cache_mb: int = TrainingConfig.cache_mb,
        **horovods: Any,
    ) -> None:
        super().__init__(**horovods)
        if len(self.schema_fields) != 2:
            raise AslsparkError(
                f"columns {', '.join(self.schema_fields)}: give one in feature_cols, one in label_cols, and no "
                "sample_weight_col"
            )
        self._labels, self._shape, self._stretch = labels, shape, stretch
        self._budget, self._seed = cache_mb << 20, horovods.get("random_seed") or 0

    def _train_batches(self) -> Iterator[Batch]:
        steps = self.steps_per_epoch_train
        if steps < 1:
            raise AslsparkError(
                f"batch_size={self.train_batch_size}: the training samples make no full batch for each of "
                f"{self.shard_count} processes, and the estimator would take no step; give a smaller one"
            )
        return self._endless(self.train_dir, self.train_batch_size, steps, self.shuffle)

    def _val_batches(self) -> Iterator[Batch]:
        return self._endless(self.val_dir, self.val_batch_size, self.steps_per_epoch_val, False)

    def _endless(self, folder: str, batch_size: int, steps: int, shuffle: bool) -> Iterator[Batch]:
        picture_col, label_col = self.schema_fields
        # Horovod's estimators count steps: as many as full batches fit into an epoch (torch), or one more for the
        # rest (Keras). The rows are divided into just as many, so that their epoch is one of ours. A caller who
        # asks for another number, to try something out, gets plain batches.
        rows = sum(group.rows for group in list_row_groups(folder))
        whole_epoch = abs(rows / (batch_size * self.shard_count) - steps) < 1
        feed = SampleFeed(
            folder,
            RowReader(self._labels, self._shape, SampleColumns(picture_col, label_col)),
            batch_size=batch_size,
            rank=self.cur_shard,
            size=self.shard_count,
            seed=self._seed,
            steps=steps if whole_epoch else None,
            budget=self._budget,
        )
        for number in itertools.count():
            yield from feed.epoch(number, shuffle)

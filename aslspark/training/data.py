"""An ingested folder -> what there is to train on: labels, shape, rows by source, and a description for the bundle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.ml import Pipeline
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.former_names import moved_from
from aslspark.common.progress import doing
from aslspark.common.settings import FeatureConfig
from aslspark.common.store_path import any_path
from aslspark.data.exact_duplicates import landmarks_of_tables
from aslspark.data.samples import REPORT_FILE, SAMPLES_FOLDER, TEST, TRAIN, VALIDATION, read_samples
from aslspark.data.splits import GIVEN_AS_TEST
from aslspark.features.pipeline import feature_pipeline
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import hands_of
from aslspark.images.image_spec import Fitting, ImageSpec, image_spec_of

INGESTED = "ingested"
"""The folder of a job's own ingest, in its scratch folder."""

DRAWN_WARNING = "drawn hands, not photographs: the figures say nothing about pictures of real hands"


@dataclass(frozen=True)
class TrainingData:
    """An ingested table, looked at once."""

    folder: str
    labels: tuple[str, ...]
    """Of the train split, in alphabetical order."""
    shape: tuple[int, int, int]
    rows_of_source: dict[str, int]
    """Train rows by source."""
    validation_sources: frozenset[str]
    """Sources with validation rows."""
    report: dict[str, Any]
    """`ingest.json`."""
    fingerprint: str
    """SHA-256 over the id, label, split and picture of every sample, in no order: the same table, the same value."""
    hands: HandDetector | None = None
    """What pictures to score are cropped with, as those of the table were."""

    @property
    def judged_on(self) -> str:
        """The split that a finished model is judged on: test, but where nothing was left for one."""
        return str(self.report.get("judged_on", TEST))

    @property
    def drawn(self) -> str | None:
        """What is to be said of figures where the package drew the hands."""
        return DRAWN_WARNING if DRAWN_WARNING in self.report["warnings"] else None

    @property
    def warnings(self) -> list[str]:
        """What the ingest warned of, but for `drawn`."""
        return [warning for warning in self.report["warnings"] if warning != DRAWN_WARNING]

    @property
    def form(self) -> ImageSpec:
        """What pictures in files were brought to; pictures to score are brought to the same."""
        fitting: Fitting = self.report.get("pictures") or Fitting()
        return image_spec_of(self.shape, fitting)

    @property
    def test_is_given(self) -> bool:
        """Whether the test rows were given as such: they are tested on and nothing else, whatever job reads them."""
        # Folders ingested before `test_sources` was written say it in the words of their split alone.
        given = self.report.get("test_sources")
        return bool(given) if given is not None else GIVEN_AS_TEST in self.report.get("split", "")

    def development_samples(self, spark: SparkSession) -> DataFrame:
        """Return the samples that may be learned from in one way or another: all but those given as test."""
        samples = self.samples(spark)
        return samples.where(F.col("split") != TEST) if self.test_is_given else samples

    def own_samples(self, spark: SparkSession) -> DataFrame:
        """Return the samples of the sources that a model of this table is made from.

        Test rows are among them where they are a share of such a source. Those that were given as test, or whose
        source as a whole was held out, may come from another camera, and say nothing of what the model is made for.
        """
        samples, own = self.samples(spark), F.lit(False)
        if not self.test_is_given:
            own = F.col("source").isin(sorted(self.rows_of_source.keys() | self.validation_sources))
        return samples.where((F.col("split") != TEST) | own)

    def source_weights(self) -> dict[str, float]:
        """Return loss weights with which all sources pull equally, of mean 1 over the rows."""
        rows = sum(self.rows_of_source.values())
        return {name: rows / (len(self.rows_of_source) * count) for name, count in self.rows_of_source.items()}

    def samples(self, spark: SparkSession) -> DataFrame:
        """Return the sample table."""
        return read_samples(spark, self.folder)

    def features(self, spark: SparkSession, scaling: FeatureConfig, inputs: Sequence[str]) -> Pipeline:
        """Build the features of its samples for MLlib; see `aslspark.features.pipeline.feature_pipeline`."""
        length = math.prod(self.shape)
        return feature_pipeline(spark, self.labels, scaling.stretch, inputs, scaling.upright, length)


def is_ingested(path: str) -> bool:
    """Tell an ingested folder from raw sources."""
    folder = any_path(path)
    return (folder / REPORT_FILE).is_file() and (folder / SAMPLES_FOLDER).is_dir()


def ingested_folder(paths: Sequence[str]) -> str | None:
    """Return the ingested folder that a job was given as its data; None where it was given raw sources, or nothing."""
    return paths[0] if len(paths) == 1 and is_ingested(paths[0]) else None


@doing("looking at the samples")
def look_at(spark: SparkSession, folder: str) -> TrainingData:
    """Count and check an ingested folder.

    Raises
    ------
    AslsparkError
        Where nothing can be trained on it: no training samples, one label only, pictures of several sizes.
    """
    report = json.loads((any_path(folder) / REPORT_FILE).read_text())
    counts = _counts(spark, folder)
    train = [row for row in counts if row["split"] == TRAIN]
    if not train:
        raise AslsparkError(f"--data {folder}: there are no training samples; give more data or hold out less")
    labels = sorted({row["label"] for row in train})
    if len(labels) < 2:
        raise AslsparkError(f"--data: every training sample is labelled {labels[0]}; give at least two letters")
    judged_on = report.get("judged_on", TEST)
    if not any(row["split"] == judged_on for row in counts):
        rows = sum(row["rows"] for row in counts)
        raise AslsparkError(
            f"split.{judged_on}: none of {counted(rows, 'sample')} fell into the {judged_on} split, so nothing could "
            "be judged; give more data or hold out more"
        )
    shapes = _shapes(counts)
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise AslsparkError(f"--data: pictures of several sizes ({sizes}); ingest them to one size")
    rows_of_source: dict[str, int] = {}
    for row in train:
        rows_of_source[row["source"]] = rows_of_source.get(row["source"], 0) + row["rows"]
    validation_sources = frozenset(row["source"] for row in counts if row["split"] == VALIDATION)
    options = hands_of(report.get("hands"))
    hands = HandDetector(options, installed_networks(f"--data {folder}, cropped to hands")) if options else None
    return TrainingData(
        folder, tuple(labels), shapes[0], rows_of_source, validation_sources, report, _fingerprint(counts), hands
    )


def fingerprint(spark: SparkSession, folder: str) -> str:
    """Return the fingerprint of an ingested folder, as `TrainingData` and a bundle's manifest hold it."""
    return _fingerprint(_counts(spark, folder))


def _counts(spark: SparkSession, folder: str) -> list[Row]:
    samples = read_samples(spark, folder)
    picture = samples["picture"]
    row_hash = F.xxhash64("id", "label", "split", picture["data"], *landmarks_of_tables(samples)).cast("decimal(38,0)")
    return (
        samples.groupBy("split", "source", "label", picture["height"], picture["width"], picture["channels"])
        .agg(F.count("*").alias("rows"), F.sum(row_hash).alias("hashes"))
        .collect()
    )


def _shapes(counts: Sequence[Row]) -> list[tuple[int, int, int]]:
    return sorted({tuple(row)[3:6] for row in counts})


def _fingerprint(counts: Sequence[Row]) -> str:
    return hashlib.sha256(str((sum(row["hashes"] for row in counts), _shapes(counts))).encode()).hexdigest()


__getattr__ = moved_from(__name__)

"""The content of `cross_validation.json`, as types."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from aslspark.evaluation.calibration import TriedTemperatures
from aslspark.evaluation.metrics_json import Confusion, SourceAccuracy

ScoreName: TypeAlias = Literal["accuracy", "macro_f1", "top3_accuracy"]


class GroupRow(SourceAccuracy):
    """A signer, or a source, that a fold was tested on."""

    group: str


class FoldScores(TypedDict):
    """What a fold came to, on its test rows where nothing else is said."""

    fold: int
    """From 1."""
    tested_on: str
    rows: dict[str, int]
    """By split."""
    accuracy: float
    top3_accuracy: float
    macro_f1: float
    unscored: int
    held_out: list[GroupRow]
    accuracy_of: dict[str, float]
    """By split."""
    never_trained: list[str]
    """Letters among the test rows alone."""
    epochs: int | None
    """None of a classifier."""
    fit_seconds: float
    confusion: Confusion
    temperature: float
    calibration_error: float | None
    by_temperature: TriedTemperatures | None
    """None where nothing could be scored."""


class FoldRow(FoldScores):
    """The same, and how long it took."""

    seconds: float


class CalibratedFold(FoldRow):
    """A fold beside the others."""

    temperature_of_others: float | None
    """That fits their test rows."""
    calibration_error_of_others: float | None
    """Of this fold, at that temperature."""


class FoldedData(TypedDict):
    """The samples."""

    fingerprint: str
    sources: list[str]
    left_out: str | None
    """Test rows that are in no fold, in words."""


class Chosen(TypedDict):
    """What a run was asked for."""

    model: str
    """'network', or a classifier of MLlib's."""
    folds: dict[str, Any]
    """See `aslspark.evaluation.fold_options.FoldOptions`."""
    settings: dict[str, dict[str, Any]]
    """By section and name."""


class RunSettings(Chosen):
    """The same, and on what it was done."""

    data: FoldedData
    drawn: str | None
    """A warning, where the samples are drawn hands."""


class ScoreSummary(TypedDict):
    """A score over the folds."""

    mean: float
    std: float
    """Of the sample."""
    min: float
    max: float


class CrossValidation(TypedDict):
    """All of it."""

    settings: RunSettings
    folds: list[CalibratedFold]
    scores: dict[ScoreName, ScoreSummary]
    confusion: Confusion
    """Of all folds together."""
    temperature: float | None
    """That fits all that was held out together; None where nothing could be scored."""

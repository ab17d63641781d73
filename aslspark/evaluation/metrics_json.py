"""The content of `metrics.json`, as types."""

from __future__ import annotations

from typing import TypedDict

from aslspark.models.fit_result import Alert


class Scores(TypedDict):
    """Precision, recall and F1, each from 0 to 1."""

    precision: float
    recall: float
    f1: float


class ClassScores(Scores):
    """Those of one label."""

    rows: int
    """Its support."""


class Confusion(TypedDict):
    """Which label was answered with which."""

    labels: list[str]
    answers: list[str]
    """The labels, and `metrics.UNSCORED`."""
    counts: list[list[int]]
    """A row for each of `labels`, a column for each of `answers`."""


class SourceAccuracy(TypedDict):
    """How well one source was read."""

    rows: int
    accuracy: float


class GroupAccuracy(SourceAccuracy):
    """How well one group of samples was read, with the 95 % interval of its accuracy (Wilson)."""

    group: str
    low: float
    high: float


class ClassificationMetrics(TypedDict):
    """How well some samples were read; a sample that could not be scored counts as wrong."""

    rows: int
    unscored: int
    accuracy: float
    top3_accuracy: float
    macro: Scores
    """The mean over the labels."""
    weighted: Scores
    """The mean over the labels, by their support."""
    per_class: dict[str, ClassScores]
    confusion: Confusion
    by_source: dict[str, SourceAccuracy]


class Bin(TypedDict):
    """The pictures whose best probability lies within one range."""

    certainty: float
    """The mean of their probabilities."""
    accuracy: float
    rows: int


class Coverage(TypedDict):
    """What becomes of the answers above a threshold alone."""

    threshold: float
    coverage: float
    """The share of all pictures that are answered."""
    accuracy: float | None
    """Among the answered; None where there are none."""


class Curve(TypedDict):
    """Coverage and accuracy, as the threshold falls step by step."""

    coverage: list[float]
    accuracy: list[float]


class SplitCertainty(TypedDict):
    """How far the probabilities of a split hold. What could not be scored is in no bin and counts as unanswered."""

    rows: int
    calibration_error: float | None
    """Expected, over `calibration.BINS` bins, with the temperature."""
    calibration_error_before: float | None
    """The same without the temperature."""
    bins: list[Bin]
    """Those that are not empty."""
    bins_before: list[Bin]
    coverage: list[Coverage]
    """For each of `calibration.THRESHOLDS`, and the model's own."""
    curve: Curve


class Certainty(TypedDict):
    """How far a model's probabilities hold."""

    temperature: float
    threshold: float
    splits: dict[str, SplitCertainty]


class _JudgedMetrics(ClassificationMetrics):
    judged_on: list[str]
    splits: dict[str, ClassificationMetrics]
    certainty: Certainty
    groups: dict[str, list[GroupAccuracy]]
    scoring_seconds: float


class Metrics(_JudgedMetrics, total=False):
    """The metrics of the splits named in `judged_on`, and those of each split by itself.

    `certainty` says how far the probabilities hold (see `calibration.calibration_metrics`), and `groups` how well each
    signer, side, size and skin tone was read (see `groups.group_metrics`). For a model that was just trained, `watch`
    lists what `training.training_alerts` saw.
    """

    watch: list[Alert]

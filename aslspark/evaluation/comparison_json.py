"""The content of `comparison.json`, as types."""

from __future__ import annotations

from typing import TypedDict


class SplitAccuracy(TypedDict):
    """How well a bundle reads one split of a set."""

    rows: int
    accuracy: float
    macro_f1: float


class SetAccuracy(SplitAccuracy):
    """How well a bundle reads a set."""

    judged_on: str
    """Which rows, in words."""
    top3_accuracy: float
    unscored: int
    splits: dict[str, SplitAccuracy]
    """Empty where the bundle was not trained on the set."""
    warning: str | None


class ModelSize(TypedDict):
    """What a model needs; None where it is not known, with the reason in `why_empty`."""

    model: str
    file: str
    file_bytes: int
    parameters: int | None
    multiply_adds: int | None


class BundleRow(ModelSize):
    """A bundle of the comparison."""

    name: str
    path: str
    kind: str
    framework: str
    labels: int
    shape: list[int]
    fit_seconds: float | None
    num_proc: int | None
    ms_a_picture: float | None
    pictures_a_second: float | None
    sets: dict[str, SetAccuracy]
    watch: list[str]
    """What stood out while it was trained, and what would help."""
    grad_cam: str | None
    """The file of its Grad-CAM sheet."""
    why_empty: dict[str, str]
    """For each of the above that is None: why."""


class Pair(TypedDict):
    """Two bundles on the rows that all are judged on."""

    first: str
    second: str
    same: int
    """Rows of which both read the same letter."""
    only_first: int
    """Rows that the first bundle alone has right."""
    only_second: int
    p: float
    """See `aslspark.evaluation.paired_comparison.mcnemar`."""


class SetRow(TypedDict):
    """A labelled set of the comparison, and where the bundles disagree on it."""

    name: str
    paths: list[str]
    rows: int
    """Of the rows that all bundles are judged on."""
    differ: int
    """Rows on which not all bundles give the same letter."""
    pairs: list[Pair]
    """Each two of the bundles; empty where no row is judged for all of them."""
    sheet: str | None
    """The file of some rows on which they differ."""


class Machine(TypedDict):
    """What the speeds were measured on."""

    processor: str
    cores: int | None
    threads: int
    """Of onnxruntime."""
    onnxruntime: str
    """Its version."""


class Comparison(TypedDict):
    """All of it."""

    finding: str
    """Which bundle is best on the first set, and whether beyond noise, as a sentence."""
    machine: Machine
    bundles: list[BundleRow]
    sets: list[SetRow]

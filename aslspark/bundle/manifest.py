"""The entries of bundle.json, a bundle's manifest."""

from __future__ import annotations

from typing import Any, TypedDict

from aslspark.images.hands.options import HandFitting
from aslspark.images.image_spec import Fitting


class Preprocessing(Fitting, total=False):
    """How pictures and landmarks are prepared for a model."""

    hands: HandFitting | None
    """None: pictures stay whole."""
    stretch: bool
    """See `features.scaling.scale`."""
    upright: bool
    """Of a network that takes landmarks: whether hands are turned upright."""
    landmark_features: int
    """Of a network that takes landmarks; see `features.landmarks.landmark_features`."""


class Provenance(TypedDict):
    """The samples that a model was trained on."""

    fingerprint: str
    """Identifies the samples and their split."""
    sources: list[str]
    """Their names."""
    rows: dict[str, int]
    """By split."""
    warnings: list[str]
    """Of ingest, such as rows that stand on both sides of the split."""


class _Required(TypedDict):
    format: int
    """Of the bundle; others are refused."""
    kind: str
    """'network' or 'mllib'."""
    labels: list[str]
    """In the order of the outputs."""
    shape: list[int]
    """Height, width and channels."""


class Manifest(_Required, total=False):
    """A bundle's manifest. Only the required entries are in every bundle; all are checked when it is read."""

    inputs: list[str]
    """'picture', 'landmarks' or both, in the model's order; missing: 'picture'."""
    preprocessing: Preprocessing
    """Before pictures are scored."""
    temperature: float
    """Calibrates the probabilities; missing: 1."""
    threshold: float
    """The least probability with which a letter is answered; missing: 0."""
    settings: dict[str, dict[str, Any]]
    """By section and name."""
    split: str
    """How the samples were split, in a sentence."""
    drawn: str | None
    """A warning, where the samples are drawn hands."""
    data: Provenance
    """What it was trained on."""
    seconds: dict[str, float]
    """By step of the training job."""
    versions: dict[str, str]
    """Of Python and of the libraries."""
    framework: str
    """'keras' or 'torch', of a network."""
    parameters: int
    """Weights of the network."""
    network_file: str
    """The network in its framework."""
    phases: dict[str, float]
    """Seconds of the fit by phase."""

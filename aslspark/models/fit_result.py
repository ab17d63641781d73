"""The result of a fit: the network in its framework and in ONNX, and the history. It imports neither framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from aslspark.models.onnx_classifier import OnnxClassifier


class Judged(TypedDict, total=False):
    """The validation results of an epoch, where there are validation samples."""

    val_loss: float
    val_accuracy: float
    val_commonest: float
    """Share of the most frequent answer."""


class EpochRow(Judged):
    """An epoch's row of the history."""

    epoch: int
    """From 1."""
    loss: float
    accuracy: float
    gradient_norm: float | None
    """Mean over the steps; None where all overflowed in 16 bits."""
    learning_rate: float
    """Of the last step."""
    rows: int
    train_seconds: float
    seconds: float


class Alert(TypedDict):
    """The finding of a rule at the end of an epoch; see `aslspark.training.training_alerts`."""

    rule: str
    epoch: int
    seen: str
    stopped: bool
    """Whether it ended the fit."""


@dataclass(frozen=True)
class FinishedNetwork:
    """A trained network in its framework."""

    framework: str
    model: Any
    """A tf.keras.Model or a torch.nn.Module."""
    parameters: int
    save: Callable[[Path], str]
    """Writes the network into a folder, in a format without code, and returns the file's name."""


@dataclass(frozen=True)
class FitResult:
    """The result of a fit, with the weights of the best epoch."""

    network: FinishedNetwork
    classifier: OnnxClassifier
    history: list[EpochRow]
    best_epoch: int
    digests: Sequence[str]
    """SHA-256 of each rank's weights after the last step: all equal."""
    watch: list[Alert]
    phases: dict[str, float]
    """Seconds by phase: start of the workers, those of `aslspark.training.worker.run_epochs`, export."""
    trace: dict[str, bytes]
    """Files of rank 0's trace by path, where a trace was asked for."""

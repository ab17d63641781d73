"""What a fit comes to: the network in its framework and as ONNX, and how it got there. Imports neither framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from aslspark.models.onnx_classifier import OnnxClassifier


class Judged(TypedDict, total=False):
    """What an epoch came to on the validation samples, where there are any."""

    val_loss: float
    val_accuracy: float
    val_commonest: float
    """Share of the answer that was given most often."""


class EpochRow(Judged):
    """A row of the history."""

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
    """What a rule saw at the end of an epoch; see `aslspark.training.training_alerts`."""

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
    """Writes the network into a folder in a format that holds no code, and returns the file's name."""


@dataclass(frozen=True)
class FitResult:
    """What a fit came to; its weights are those of the best epoch."""

    network: FinishedNetwork
    classifier: OnnxClassifier
    history: list[EpochRow]
    best_epoch: int
    digests: Sequence[str]
    """SHA-256 of each rank's weights after the last step: all equal."""
    watch: list[Alert]
    phases: dict[str, float]
    """Seconds by what they went to: start (of the workers), those of `aslspark.training.worker.run_epochs`, export."""
    trace: dict[str, bytes]
    """Files of rank 0's trace by their paths, where one was asked for."""

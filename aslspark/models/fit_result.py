"""A trained network in its framework, with the history of its fit: what a bundle is written from. Imports neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class FittedNetwork:
    """A trained network in its framework."""

    framework: str
    network: Any
    """A tf.keras.Model or a torch.nn.Module."""
    parameters: int
    save: Callable[[Path], str]
    """Writes the network into a folder in a format that holds no code, and returns the file's name."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """A row an epoch; see `aslspark.training.loop.Outcome`."""
    best_epoch: int = 0
    digests: list[str] = field(default_factory=list)
    """SHA-256 of each rank's weights after the last step: all equal."""
    watch: list[dict[str, Any]] = field(default_factory=list)
    """What the rules saw; see `aslspark.training.training_alerts.new_notes`."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by what they went to: start (of the workers), those of `aslspark.training.worker.run_epochs`, export."""
    trace: dict[str, bytes] = field(default_factory=dict)
    """Files of rank 0's trace by their paths, where one was asked for."""

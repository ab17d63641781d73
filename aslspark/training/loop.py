"""The epochs of a fit, the same for both frameworks: order, early stopping, the best weights, the history.

In: a network behind `Trainable`, this rank's feeds, a `Plan`. Out: the best epoch's weights and a row an epoch.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aslspark.training.batches import Batch, Feed

STEP_REPORT_SECONDS = 5.0


class Trainable(Protocol):
    """What the loop needs of a network in its framework, gradients averaged over the ranks by Horovod."""

    learning_rate: float
    """The highest of the schedule: the one asked for, times the number of ranks."""

    def set_learning_rate(self, value: float) -> None:
        """Use this step size from now on."""

    def train(self, batch: Batch) -> None:
        """Take one step; add the batch's loss, right answers and weight to the sums."""

    def evaluate(self, batch: Batch) -> None:
        """Add a batch to the sums without learning from it."""

    def average_statistics(self) -> None:
        """Make what BatchNorm gathered, each rank from pictures of its own, the mean over the ranks.

        The mean, and not one rank's: it stands for every picture of the epoch, as the averaged gradients do.
        """

    def unfreeze(self) -> None:
        """Let everything learn that was frozen, at its own share of the learning rate."""

    def take_sums(self) -> npt.NDArray[np.float64]:
        """Return weighted loss, weight, right answers and rows since the last call, over all ranks."""

    def weights(self) -> bytes:
        """Return everything that the network has learned."""

    def load_weights(self, weights: bytes) -> None:
        """Take learned weights back."""


@dataclass(frozen=True)
class Plan:
    """How long to train."""

    epochs: int
    patience: int
    schedule: str
    """'cosine' or 'constant'; see `learning_rate_factor`."""
    unfreeze_after: int = 0
    """Epochs after which what is frozen learns too; 0: never."""


@dataclass(frozen=True)
class Outcome:
    """What one rank came to."""

    history: list[dict[str, Any]]
    """A row an epoch: epoch (from 1), loss, accuracy, val_loss, val_accuracy, learning_rate, rows, seconds."""
    best_epoch: int
    weights: bytes
    digest: str
    """SHA-256 of the weights after the last step: equal on all ranks if gradients were truly averaged."""


def fit_epochs(
    network: Trainable,
    train: Feed,
    validation: Feed | None,
    plan: Plan,
    report: Callable[[dict[str, Any]], None],
) -> Outcome:
    """Train until the epochs are over, or the validation loss has not fallen for `plan.patience` of them.

    Where a frozen backbone is to learn later, patience is counted from that epoch on.

    Parameters
    ----------
    network : Trainable
    train, validation : Feed
        Without validation samples every epoch is trained and the last one's weights are kept.
    plan : Plan
    report : callable
        Told of every epoch, and of the steps of long ones.
    """
    history: list[dict[str, Any]] = []
    best_loss, best_epoch, best_weights = math.inf, 0, b""
    for number in range(plan.epochs):
        started = reported = time.monotonic()
        if 0 < plan.unfreeze_after == number:
            network.unfreeze()
            report({"event": "unfrozen", "epoch": number + 1})
        for step, batch in enumerate(train.epoch(number), start=1):
            rate = network.learning_rate * learning_rate_factor(plan, number * train.steps + step, train.steps)
            network.set_learning_rate(rate)
            network.train(batch)
            if time.monotonic() - reported > STEP_REPORT_SECONDS:
                reported = time.monotonic()
                report({"event": "step", "epoch": number + 1, "step": step, "steps": train.steps})
        # Before the validation: all ranks judge, keep and hand back the same network, bit for bit.
        network.average_statistics()
        row = {"epoch": number + 1, **_means(network.take_sums(), "")}
        train_seconds = time.monotonic() - started
        if validation is not None:
            for batch in validation.epoch(number, shuffle=False):
                network.evaluate(batch)
            row |= _means(network.take_sums(), "val_")
        row |= {
            "learning_rate": rate,
            "rows": train.rows,
            "train_seconds": train_seconds,
            "seconds": time.monotonic() - started,
        }
        history.append(row)
        report({"event": "epoch", "epochs": plan.epochs, **row})
        loss = row.get("val_loss", -number)  # without validation the latest epoch counts as the best
        if loss < best_loss:
            best_loss, best_epoch, best_weights = loss, number + 1, network.weights()
        elif number + 1 - max(best_epoch, plan.unfreeze_after) >= plan.patience:
            break
    last_weights = network.weights()
    network.load_weights(best_weights or last_weights)
    return Outcome(history, best_epoch, best_weights or last_weights, hashlib.sha256(last_weights).hexdigest())


def learning_rate_factor(plan: Plan, step: int, steps_an_epoch: int) -> float:
    """Return the share of the highest learning rate at a step, counted from 1 over the whole run.

    It rises over the first epoch, since a rate multiplied by the number of ranks is too high for fresh weights
    (Goyal et al. 2017, arXiv:1706.02677). Then it stays ('constant'), or falls to 0 along half a cosine
    (Loshchilov and Hutter 2017, arXiv:1608.03983).
    """
    warm_up = min(steps_an_epoch, plan.epochs * steps_an_epoch // 2) or 1
    if step < warm_up:
        return step / warm_up
    if plan.schedule == "constant":
        return 1.0
    rest = plan.epochs * steps_an_epoch - warm_up
    return 0.5 * (1 + math.cos(math.pi * min((step - warm_up) / (rest + 1), 1.0)))


def _means(sums: npt.NDArray[np.float64], prefix: str) -> dict[str, float]:
    loss, weight, right, rows = sums
    return {f"{prefix}loss": float(loss / weight), f"{prefix}accuracy": float(right / rows)}

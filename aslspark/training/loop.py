"""The epochs of a fit, the same for both frameworks: order, early stopping, the best weights, the history.

In: a network behind `Trainable`, this rank's feeds, the settings. Out: the best epoch's weights and a row an epoch.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aslspark.common.settings import NetworkConfig, TrainingConfig
from aslspark.models.fit_result import Alert, EpochRow, Judged
from aslspark.training.batches import Batch, Feed
from aslspark.training.checkpoint import Checkpoint, Progress, State
from aslspark.training.events import OnEvent
from aslspark.training.profiling import Recording
from aslspark.training.training_alerts import new_notes

STEP_REPORT_SECONDS = 5.0
STALL_SECONDS = 600
"""That some processes may wait in an operation which another has not come to; then they are ended."""
SUMS = ("loss", "weight", "right", "rows", "norm", "norms", "waited")
"""What `Trainable.take_sums` holds before the answers: weighted loss, weight, right answers, rows; the norms of the
averaged gradients and of how many steps; each rank's share in the seconds that gradients were waited for."""
PHASES = ("reading", "training", "waiting_for_gradients", "validation", "keeping")
"""What seconds are counted for: reading (waiting for batches), training (without that), of it waiting_for_gradients
(mean over the ranks; on a GPU with what is left of the backward pass), validation, keeping (writing checkpoints)."""
CYCLE_RISE, CYCLE_FALL = 0.45, 0.9
"""Shares of a run's steps: where 'one_cycle' is at its highest, and where it is down again."""
CYCLE_LOW, CYCLE_LAST = 0.1, 0.001
"""Shares of the highest rate: that it rises from and falls to, and that of the last step."""


class Trainable(Protocol):
    """What the loop needs of a network in its framework, gradients averaged over the ranks."""

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
        """Return the sums since the last call, over all ranks: `SUMS`, then the answers of `evaluate` by class."""

    def weights(self) -> bytes:
        """Return everything that the network has learned."""

    def load_weights(self, weights: bytes) -> None:
        """Take learned weights back."""

    def state(self) -> State:
        """Return what the optimizers remember, beside the weights, as arrays."""

    def load_state(self, state: State) -> None:
        """Take that back; what was unfrozen when it was given must be so again."""

    def seed(self, epoch: int) -> None:
        """Begin the random numbers of an epoch, counted from 0: they depend on nothing that came before."""

    def start_trace(self) -> None:
        """Begin to record what this process does."""

    def stop_trace(self) -> dict[str, bytes]:
        """End that, and return the files by their paths."""


@dataclass(frozen=True)
class Outcome:
    """What one rank came to."""

    history: list[EpochRow]
    best_epoch: int
    """0 where the first epoch already was stopped by a rule: there is no model."""
    weights: bytes
    digest: str
    """SHA-256 of the weights after the last step: equal on all ranks if gradients were truly averaged."""
    watch: list[Alert]
    """What went wrong or looked as if; see `aslspark.training.training_alerts.new_notes`."""
    phases: dict[str, float]
    """Seconds of this rank, by what it did; see `PHASES`."""
    trace: dict[str, bytes]
    """Files by their paths, where steps were traced."""


def fit_epochs(
    network: Trainable,
    train: Feed,
    validation: Feed | None,
    training: TrainingConfig,
    report: OnEvent,
    unfreeze_after: int = NetworkConfig.unfreeze_after,
    traced_steps: int = 0,
    start: Checkpoint | None = None,
    keep: Callable[[Progress, bytes, State], None] | None = None,
) -> Outcome:
    """Train until the epochs are over, or the validation loss has not fallen for `training.patience` of them.

    Where a frozen backbone is to learn later, or the rate to come down, patience is counted from that epoch on. A rule
    of `aslspark.training.training_alerts` may stop it earlier; that epoch is never the best, and the best one before it
    is kept.

    Parameters
    ----------
    train, validation : Feed
        Without validation samples every epoch is trained and the last one's weights are kept.
    report : callable
        Told of every epoch, of the steps of long ones, and of what the rules saw.
    unfreeze_after : int
        Epochs after which what is frozen learns too; 0: never.
    traced_steps : int
        How many to record; see `aslspark.training.profiling.Recording`.
    start : Checkpoint, optional
        Of the same fit, to go on from. The steps are then those of this run's number of ranks.
    keep : callable
        Gets what a checkpoint holds, after every epoch that no rule has stopped; see `write_checkpoint`.
    """
    done = start.progress if start else Progress()
    done.spent = {name: done.spent.get(name, 0.0) for name in PHASES}
    recording = Recording(network, traced_steps, training.epochs * train.steps)
    fit = _Fit(network, train, validation, training, report, unfreeze_after, recording, done)
    if start:
        fit.go_on_from(start)
    for number in range(done.epochs, 0 if done.over else training.epochs):
        row, classes = fit.epoch(number)
        done.history.append(row)
        report({"event": "epoch", "epochs": training.epochs, **row})
        if fit.is_stopped(classes):
            break
        weights = fit.compare(row, needs_weights=keep is not None)
        if keep:
            began = time.monotonic()
            keep(done, weights, network.state())
            done.spent["keeping"] += time.monotonic() - began
        if done.over:
            break
    return fit.outcome()


@dataclass
class _Fit:
    """The steps of an epoch, and what is remembered from one to the next; see `fit_epochs`."""

    network: Trainable
    train: Feed
    validation: Feed | None
    training: TrainingConfig
    report: OnEvent
    unfreeze_after: int
    recording: Recording
    done: Progress
    best_weights: bytes = b""

    def go_on_from(self, start: Checkpoint) -> None:
        """Bring the network to where a checkpoint has it."""
        self.best_weights = start.weights
        if 0 < self.unfreeze_after < self.done.epochs:
            self.network.unfreeze()
        self.network.load_weights(start.current)
        self.network.load_state(start.state)

    def epoch(self, number: int) -> tuple[EpochRow, int]:
        """Learn from every training row and judge by the validation rows; return the row, and how many classes."""
        started, spent, read_before = time.monotonic(), self.done.spent, self.done.spent["reading"]
        self._begin(number)
        rate = self._learn(number)
        # Before the validation: all ranks judge, keep and hand back the same network, bit for bit.
        self.network.average_statistics()
        sums = self.network.take_sums()
        norm, norms, waited = sums[4 : len(SUMS)]
        loss, accuracy = _means(sums)
        train_seconds = time.monotonic() - started
        spent["training"] += train_seconds - (spent["reading"] - read_before)
        spent["waiting_for_gradients"] += float(waited)
        judged = self._judge(number)
        seconds = time.monotonic() - started
        spent["validation"] += seconds - train_seconds
        row: EpochRow = {
            "epoch": number + 1,
            "loss": loss,
            "accuracy": accuracy,
            "gradient_norm": float(norm / norms) if norms else None,
            **judged,
            "learning_rate": rate,
            "rows": self.train.rows,
            "train_seconds": train_seconds,
            "seconds": seconds,
        }
        return row, len(sums) - len(SUMS)

    def is_stopped(self, classes: int) -> bool:
        """Look at the last epoch with every rule, and say whether one stops the fit."""
        is_last = len(self.done.history) == self.training.epochs
        alerts = new_notes(self.done.history, classes, is_last=is_last)
        self.done.watch += alerts
        for alert in alerts:
            self.report({"event": "watch", **alert})
        return any(alert["stopped"] for alert in alerts)

    def compare(self, row: EpochRow, needs_weights: bool) -> bytes:
        """Hold the epoch that has just ended against the best one; return its weights, if they are needed."""
        done = self.done
        done.epochs = row["epoch"]
        loss = row.get("val_loss", 1 - done.epochs)  # without validation the latest epoch counts as the best
        better = loss < done.best_loss
        weights = self.network.weights() if better or needs_weights else b""
        if better:
            done.best_loss, done.best_epoch, self.best_weights = loss, done.epochs, weights
        else:
            counted_from = max(done.best_epoch, self.unfreeze_after, rate_is_down(self.training))
            done.over = done.epochs - counted_from >= self.training.patience
        return weights

    def outcome(self) -> Outcome:
        """End: the network holds the best epoch's weights."""
        self.recording.end()
        last_weights = self.network.weights()
        best_weights = self.best_weights or last_weights
        self.network.load_weights(best_weights)
        return Outcome(
            self.done.history,
            self.done.best_epoch,
            best_weights,
            hashlib.sha256(last_weights).hexdigest(),
            self.done.watch,
            self.done.spent,
            self.recording.files,
        )

    def _begin(self, number: int) -> None:
        self.network.seed(number)
        if 0 < self.unfreeze_after == number:
            self.network.unfreeze()
            self.report({"event": "unfrozen", "epoch": number + 1})

    def _learn(self, number: int) -> float:
        """Take the steps of an epoch; return the learning rate of the last."""
        reported, steps, rate = time.monotonic(), self.train.steps, 0.0
        for step, batch in enumerate(_timed(self.train.epoch(number), self.done.spent), start=1):
            of_run = number * steps + step
            rate = self.network.learning_rate * learning_rate_factor(self.training, of_run, steps)
            self.network.set_learning_rate(rate)
            self.recording.before(of_run)
            self.network.train(batch)
            self.recording.after(of_run)
            if time.monotonic() - reported > STEP_REPORT_SECONDS:
                reported = time.monotonic()
                self.report({"event": "step", "epoch": number + 1, "step": step, "steps": steps})
        return rate

    def _judge(self, number: int) -> Judged:
        if self.validation is None:
            return {}
        for batch in self.validation.epoch(number, shuffle=False):
            self.network.evaluate(batch)
        sums = self.network.take_sums()
        loss, accuracy = _means(sums)
        return {"val_loss": loss, "val_accuracy": accuracy, "val_commonest": float(sums[len(SUMS) :].max() / sums[3])}


def rate_is_down(training: TrainingConfig) -> int:
    """Return the epochs until 'one_cycle' has brought its rate down: what it is raised for shows in the loss then."""
    return math.ceil(CYCLE_FALL * training.epochs) if training.schedule == "one_cycle" else 0


def learning_rate_factor(training: TrainingConfig, step: int, steps_an_epoch: int) -> float:
    """Return the share of the highest learning rate at a step, counted from 1 over the whole run.

    'constant' and 'cosine': it rises over the first epoch, since a rate multiplied by the number of ranks is too high
    for fresh weights (Goyal et al. 2017, arXiv:1706.02677). Then it stays ('constant'), or falls to 0 along half a
    cosine (Loshchilov and Hutter 2017, arXiv:1608.03983).

    'one_cycle' (Smith 2018, arXiv:1803.09820), in straight lines over the steps of the whole run, the first at 0 and
    the last at 1: from 0.1 at 0 up to 1 at 0.45, down to 0.1 at 0.9, and on to 0.001 at 1. It has no other warm-up,
    and Adam's momentum stays as it is. More ranks make fewer steps of the same curve.
    """
    if training.schedule == "one_cycle":
        done = (step - 1) / max(training.epochs * steps_an_epoch - 1, 1)
        places, shares = (0.0, CYCLE_RISE, CYCLE_FALL, 1.0), (CYCLE_LOW, 1.0, CYCLE_LOW, CYCLE_LAST)
        return float(np.interp(done, places, shares))
    warm_up = min(steps_an_epoch, training.epochs * steps_an_epoch // 2) or 1
    if step < warm_up:
        return step / warm_up
    if training.schedule == "constant":
        return 1.0
    rest = training.epochs * steps_an_epoch - warm_up
    return 0.5 * (1 + math.cos(math.pi * min((step - warm_up) / (rest + 1), 1.0)))


def _timed(batches: Iterator[Batch], spent: dict[str, float]) -> Iterator[Batch]:
    """Give the batches, and add up how long they were waited for."""
    asked = time.monotonic()
    for batch in batches:
        spent["reading"] += time.monotonic() - asked
        yield batch
        asked = time.monotonic()


def _means(sums: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return loss and accuracy."""
    loss, weight, right, rows = sums[:4]
    return float(loss / weight), float(right / rows)

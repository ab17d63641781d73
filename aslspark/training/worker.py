"""What every process of a fit does, whoever started it: feeds, epochs, the proof that gradients were averaged.

In: a `WorkerJob` from the driver. Out: this rank's digest, and from rank 0 the weights and the history.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from aslspark.common.catalog import LANDMARKS, PICTURE
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import AugmentConfig
from aslspark.features.synthetic_hands import drawn_hands
from aslspark.training.batches import Feed
from aslspark.training.checkpoint import Checkpoint, Progress, State, read_checkpoint, write_checkpoint
from aslspark.training.feed import SampleFeed
from aslspark.training.hands import HandInput
from aslspark.training.launch.child import BEGAN, report
from aslspark.training.launch.launchers import HOROVOD
from aslspark.training.loop import Plan, Trainable, fit_epochs
from aslspark.training.petastorm_feed import PetastormFeed

DRAWN_OF_EACH = 60
"""Drawn hands of each letter: each process takes a second to draw them."""


@dataclass(frozen=True)
class WorkerJob:
    """Everything a process needs, small enough to be sent to each."""

    network: Mapping[str, Any]
    """The network, its loss and its optimizer, in the framework's own terms."""
    train_folder: str
    validation_folder: str | None
    labels: Sequence[str]
    shape: tuple[int, int, int] | None
    """Of the pictures; None where the network takes none."""
    columns: Mapping[str, Any]
    """`picture_col` and `label_col`, where they are not 'picture' and 'label'."""
    batch_size: int
    val_batch_size: int
    plan: Plan
    seed: int
    threads: int
    stretch: bool
    augment: AugmentConfig
    precision: str
    """'float32' or 'mixed'."""
    gpu: str | None
    """Where a process takes its GPU from; see `aslspark.training.gpus.claim_gpu`. None: it trains on the CPU."""
    feed: str
    """'in_place', or 'petastorm' where the folders are flat copies."""
    budget: int
    """Bytes of pictures and hands that a feed may hold in memory."""
    weight_of: Mapping[str, float] = field(default_factory=dict)
    unfreeze_rate: float = 1.0
    """Share of the learning rate with which layers learn that were frozen at first."""
    label_smoothing: float = 0.0
    """Share of each label that is divided evenly among all, in training alone."""
    clip_norm: float = 0.0
    """The highest norm of all averaged gradients together; 0: any."""
    profile_steps: int = 0
    """Steps that rank 0 traces."""
    inputs: tuple[str, ...] = (PICTURE,)
    """What the network takes, in its order."""
    hand_col: str = "hand"
    upright: bool = False
    """See `aslspark.features.landmarks.landmark_features`."""
    branch_dropout: float = 0.0
    """Share of the training samples of which the picture or the hand is left out."""
    checkpoints: str = ""
    """The folder of this fit's checkpoints, which the driver has made and all processes see; empty: none are kept."""
    fit: str = ""
    """What tells this fit from others, so that it goes on from no other's checkpoint."""
    launcher: str = HOROVOD
    """Who started the processes; see `aslspark.training.collective`."""
    start_epoch: int = 0
    """Epochs that the checkpoint to go on from has behind it; 0: none."""


def run_epochs(job: WorkerJob, rank: int, size: int, make_network: Callable[[], Trainable]) -> dict[str, Any]:
    """Open this rank's feeds, train, and hand back the outcome.

    Rank 0 returns besides: `began`, its wall clock when the process took its job, and `phases`, seconds of its own by
    what they went to: imports (and the ranks finding each other), building the network, and those of
    `aslspark.training.loop.Outcome`, opening the feeds counted as reading.
    """
    entered = time.time()

    def feed(folder: str, batch_size: int, learning: bool) -> Feed:
        if job.feed == "petastorm":
            assert job.shape is not None
            return PetastormFeed(folder, shape=job.shape, batch_size=batch_size, rank=rank, size=size, seed=job.seed)
        return in_place_feed(job, folder, batch_size, rank, size, job.budget, learning)

    def keep(progress: Progress, weights: bytes, state: State) -> None:
        write_checkpoint(Path(job.checkpoints), job.fit, progress, weights, state)
        report({"event": "kept", "epoch": progress.epochs})

    train = feed(job.train_folder, job.batch_size, True)
    validation = feed(job.validation_folder, job.val_batch_size, False) if job.validation_folder else None
    opened = time.time()
    network = make_network()
    phases = {"imports": entered - BEGAN, "building": time.time() - opened}
    first = rank == 0
    start = _start(job)
    if not gc.isenabled():  # as whoever launched this process left it
        gc.freeze()
        gc.enable()
    outcome = fit_epochs(
        network,
        train,
        validation,
        job.plan,
        report if first else lambda event: None,
        job.profile_steps if first else 0,
        start,
        keep if first and job.checkpoints else None,
    )
    result = {"rank": rank, "size": size, "digest": outcome.digest, "included": True}
    if first:
        phases |= outcome.phases
        phases["reading"] += opened - entered
        result |= {
            "weights": outcome.weights,
            "history": outcome.history,
            "best_epoch": outcome.best_epoch,
            "watch": outcome.watch,
            "began": BEGAN,
            "phases": phases,
            "trace": outcome.trace,
        }
    return result


def mixed_seed(seed: int, rank: int, epoch: int) -> int:
    """Make one seed of 32 bits that differs by run, rank and epoch."""
    return int(np.random.SeedSequence((seed, rank, epoch)).generate_state(1)[0])


def _start(job: WorkerJob) -> Checkpoint | None:
    """Read the checkpoint that the driver has chosen: every rank the same one, or none goes on."""
    if not job.start_epoch:
        return None
    found = read_checkpoint(Path(job.checkpoints), job.fit, job.start_epoch)
    if found is None:
        raise AslsparkError(
            f"{job.checkpoints}: epoch {job.start_epoch} cannot be read on {os.uname().nodename}; checkpoints must lie "
            "on a file system that the driver and all workers share"
        )
    return found


def in_place_feed(
    job: WorkerJob, folder: str, batch_size: int, rank: int, size: int, budget: int, learning: bool = False
) -> SampleFeed:
    """Open one rank's share of a folder as it was ingested; for learning, its hands are changed at random."""
    hands = None
    if LANDMARKS in job.inputs:
        hands = HandInput(job.hand_col, job.upright)
        if learning:
            dropout = job.branch_dropout if len(job.inputs) > 1 else 0.0
            augment, drawn = (job.augment if job.augment.on else None), None
            if augment is not None and augment.landmark_drawn_probability:
                drawn = drawn_hands(job.labels, DRAWN_OF_EACH, job.seed)
            hands = replace(hands, augment=augment, drawn=drawn, branch_dropout=dropout)
    return SampleFeed(
        folder,
        labels=job.labels,
        shape=job.shape,
        batch_size=batch_size,
        rank=rank,
        size=size,
        seed=job.seed,
        budget=budget,
        weight_of=job.weight_of,
        hands=hands,
        **job.columns,
    )

"""What every process of a fit does, whoever started it: feeds, epochs, the proof that gradients were averaged.

In: a `WorkerJob` from the driver. Out: this rank's digest, and from rank 0 the weights and the history.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import AugmentConfig, FeatureConfig, NetworkConfig, TrainingConfig
from aslspark.common.store_path import any_path
from aslspark.features.synthetic_hands import hands_to_learn_from
from aslspark.training.batches import Feed
from aslspark.training.checkpoint import Checkpoint, Progress, State, read_checkpoint, write_checkpoint
from aslspark.training.feed import USUAL, RowGroup, RowReader, SampleColumns, SampleFeed
from aslspark.training.hands import HandInput
from aslspark.training.launch.child import began, report
from aslspark.training.loop import Outcome, Trainable, fit_epochs
from aslspark.training.petastorm_feed import PetastormFeed


@dataclass(frozen=True)
class SampleFolders:
    """The samples of a fit, as they lie."""

    train: str
    validation: str | None
    labels: Sequence[str]
    """A row's class number is its label's place here."""
    columns: SampleColumns = USUAL
    weight_of: Mapping[str, float] = field(default_factory=dict)
    """Loss weight by source; 1 where it is not given."""
    groups: Mapping[str, Sequence[RowGroup]] = field(default_factory=dict, repr=False)
    """The row groups of each folder, which the driver has listed, so that not every process has to."""


@dataclass(frozen=True)
class WorkerJob:
    """Everything a process needs, small enough to be sent to each."""

    spec: Mapping[str, Any]
    """The network, its loss and its optimizer, in the framework's own terms."""
    folders: SampleFolders
    """Flat copies where the feed is petastorm's."""
    inputs: tuple[str, ...]
    """What the network takes, in its order."""
    shape: tuple[int, int, int] | None
    """Of the pictures; None where the network takes none."""
    training: TrainingConfig
    """With as many threads as each process has."""
    network: NetworkConfig
    features: FeatureConfig
    augment: AugmentConfig
    val_batch_size: int
    gpu: str | None = None
    """Where a process takes its GPU from; see `aslspark.training.gpus.claim_gpu`. None: it trains on the CPU."""
    checkpoints: str = ""
    """The folder of this fit's checkpoints, which the driver has made and all processes see; empty: none are kept."""
    fit: str = ""
    """What tells this fit from others, so that it goes on from no other's checkpoint."""
    start_epoch: int = 0
    """Epochs that the checkpoint to go on from has behind it; 0: none."""


@dataclass(frozen=True)
class WorkerResult:
    """What a rank comes back with."""

    rank: int
    digest: str
    """Of its weights after the last step; see `aslspark.training.loop.Outcome`."""
    began: float
    """Its wall clock when the process took its job."""
    outcome: Outcome | None
    """Of rank 0. Its `phases` also hold imports (and the ranks finding each other) and building the network."""


def run_epochs(job: WorkerJob, rank: int, size: int, make_network: Callable[[], Trainable]) -> WorkerResult:
    """Open this rank's feeds, train, and hand back the outcome; opening the feeds counts as reading."""
    entered = time.time()

    folders, training = job.folders, job.training

    def feed(folder: str, batch_size: int, learning: bool) -> Feed:
        if training.feed == "petastorm":
            assert job.shape is not None
            seed = training.seed
            return PetastormFeed(folder, shape=job.shape, batch_size=batch_size, rank=rank, size=size, seed=seed)
        return in_place_feed(job, folder, batch_size, rank, size, training.cache_mb << 20, learning)

    def keep(progress: Progress, weights: bytes, state: State) -> None:
        write_checkpoint(any_path(job.checkpoints), job.fit, progress, weights, state)
        report({"event": "kept", "epoch": progress.epochs})

    train = feed(folders.train, training.batch_size, True)
    validation = feed(folders.validation, job.val_batch_size, False) if folders.validation else None
    opened = time.time()
    network = make_network()
    phases = {"imports": entered - began(), "building": time.time() - opened}
    first = rank == 0
    start = _start(job)
    if not gc.isenabled():  # as whoever launched this process left it
        gc.freeze()
        gc.enable()
    outcome = fit_epochs(
        network,
        train,
        validation,
        training,
        report if first else lambda event: None,
        job.network.unfreeze_after,
        training.profile_steps if first else 0,
        start,
        keep if first and job.checkpoints else None,
    )
    phases = {**phases, **outcome.phases}
    phases["reading"] += opened - entered
    return WorkerResult(rank, outcome.digest, began(), replace(outcome, phases=phases) if first else None)


def mixed_seed(seed: int, rank: int, epoch: int) -> int:
    """Make one seed of 32 bits that differs by run, rank and epoch."""
    return int(np.random.SeedSequence((seed, rank, epoch)).generate_state(1)[0])


def _start(job: WorkerJob) -> Checkpoint | None:
    """Read the checkpoint that the driver has chosen: every rank the same one, or none goes on."""
    if not job.start_epoch:
        return None
    found = read_checkpoint(any_path(job.checkpoints), job.fit, job.start_epoch)
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
        hands = HandInput(job.features.upright)
        if learning:
            dropout = job.network.branch_dropout if len(job.inputs) > 1 else 0.0
            augment, drawn = (job.augment if job.augment.on else None), None
            if augment is not None and augment.landmark_drawn_probability:
                drawn = hands_to_learn_from(job.folders.labels, job.training.seed)
            hands = replace(hands, augment=augment, drawn=drawn, branch_dropout=dropout)
    folders = job.folders
    reader = RowReader(folders.labels, job.shape, folders.columns, folders.weight_of, hands)
    return SampleFeed(
        folder,
        reader,
        batch_size=batch_size,
        rank=rank,
        size=size,
        seed=job.training.seed,
        budget=budget,
        groups=folders.groups.get(folder),
    )

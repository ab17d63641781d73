"""The column of hands in a feed: in training changed at random and at times left out, then made into features.

In: batches with the hands as they are stored. Out: the same batches with `landmarks`. Imports no framework.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from aslspark.common.catalog import LANDMARKS
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import AugmentConfig
from aslspark.data.samples import hands_missing
from aslspark.features.landmarks import (
    HAND_FOUND,
    HAND_NUMBERS,
    LEARNED_NUMBERS,
    augmented_hands,
    hand_vectors,
    landmark_features,
    looked_vectors,
    mixed_hands,
    one_look,
)
from aslspark.training.batches import Batch


@dataclass(frozen=True)
class HandInput:
    """What a feed does with hands.

    Parameters
    ----------
    upright : bool
        See `aslspark.features.landmarks.landmark_features`.
    augment : AugmentConfig, optional
        How they are changed at random, each time from one of the looks at them; None: as they are.
    drawn : ndarray of float32, shape (labels, any, HAND_NUMBERS), optional
        Drawn hands of each label, which stand in for others as `augment` says; those not seen do not.
    branch_dropout : float
        Share of the rows of which the picture or the hand is left out, each half as often; see `ready`.
    """

    upright: bool
    augment: AugmentConfig | None = None
    drawn: npt.NDArray[np.float32] | None = None
    branch_dropout: float = 0.0

    @property
    def numbers(self) -> int:
        """Of each hand, in the rows of a feed: for learning, each look at it is kept apart."""
        return HAND_NUMBERS if self.augment is None else LEARNED_NUMBERS

    def rows(self, column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
        """Lay the column out: shape (n, numbers)."""
        return hand_vectors(column) if self.augment is None else looked_vectors(column, LEARNED_NUMBERS)

    def ready(self, batch: Batch, random: np.random.Generator) -> Batch:
        """Give a batch its landmarks.

        A hand that is left out is one that was not found; a picture that is left out is 0 all over, and so is that of
        a row for which a drawn hand stands in. No row is left without both.

        Parameters
        ----------
        batch : Batch
            With hands of its own, which may be written into, as its pictures may.
        """
        hands = batch.hands
        assert hands is not None
        stood_in: npt.NDArray[np.bool_] = np.zeros(len(hands), bool)
        if self.augment is not None:
            hands = one_look(hands, random)
            if self.augment.landmark_mix_probability and batch.pictures is None:
                hands = _mixed_with_their_like(hands, batch.labels, self.augment.landmark_mix_probability, random)
            if self.drawn is not None:
                drawn = self.drawn[batch.labels, random.integers(0, self.drawn.shape[1], len(hands))]
                chosen = random.random(len(hands)) < self.augment.landmark_drawn_probability
                stood_in = chosen & (drawn[:, HAND_FOUND] > 0)
                hands[stood_in] = drawn[stood_in]
                if batch.pictures is not None:
                    batch.pictures[stood_in] = 0
            hands = augmented_hands(
                hands,
                random,
                noise=self.augment.landmark_noise,
                turn_degrees=self.augment.landmark_turn_degrees,
                tilt_degrees=self.augment.landmark_tilt_degrees,
                bone=self.augment.landmark_bone,
                probability=self.augment.landmark_probability,
            )
        if self.branch_dropout:
            lot = random.random(len(hands))
            no_picture = (lot < self.branch_dropout / 2) & (hands[:, HAND_FOUND] > 0)
            no_hand = (lot >= self.branch_dropout / 2) & (lot < self.branch_dropout) & ~stood_in
            hands[no_hand] = 0
            assert batch.pictures is not None
            batch.pictures[no_picture] = 0
        return batch._replace(hands=hands, landmarks=landmark_features(hands, self.upright))


def _mixed_with_their_like(
    hands: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], probability: float, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Mix hands, so often, with another one of the same label in the batch, each in any share."""
    order = np.lexsort((random.random(len(labels)), labels))
    after = np.roll(order, -1)
    starts = np.searchsorted(labels[order], labels[order])
    partners = np.empty_like(order)
    partners[order] = np.where(labels[after] == labels[order], after, order[starts])
    chosen = (random.random(len(hands)) < probability) & (partners != np.arange(len(hands)))
    chosen &= (hands[:, HAND_FOUND] > 0) & (hands[partners, HAND_FOUND] > 0)
    mixed = hands.copy()
    mixed[chosen] = mixed_hands(hands[chosen], hands[partners[chosen]], random.random(chosen.sum()))
    return mixed


def require_hands(folder: str, file: pq.ParquetFile, column: str) -> None:
    """See that a Parquet file has a column of hands.

    Parameters
    ----------
    folder : str
        How the table is called in the error.
    file : ParquetFile
        One of its files.

    Raises
    ------
    AslsparkError
    """
    if column not in file.schema_arrow.names:
        raise hands_missing(folder, column)


def require_feed(feed: str, inputs: Collection[str]) -> None:
    """See that a feed has what a network takes.

    Raises
    ------
    AslsparkError
    """
    if feed == "petastorm" and LANDMARKS in inputs:
        raise AslsparkError("feed=petastorm: its flat copy holds no landmarks, which the network takes; set in_place")

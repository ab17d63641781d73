"""What every feed gives to the loop: batches of arrays, and as many of them on every rank.

In: a rank's rows, in pools of any size. Out: `Batch`es. Imports no framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from aslspark.common.catalog import PICTURE


class Batch(NamedTuple):
    """What one rank trains on in one step."""

    pictures: npt.NDArray[np.uint8] | None
    """Shape (n, height, width, channels); None where the network takes none."""
    labels: npt.NDArray[np.int64]
    """Shape (n,), places in the label list."""
    weights: npt.NDArray[np.float32]
    """Shape (n,), of mean 1 over the whole table."""
    scale: float
    """Makes the mean of the ranks' gradients the gradient of the whole step's mean loss."""
    hands: npt.NDArray[np.float32] | None = None
    """Shape (n, HAND_NUMBERS), or with all looks (n, LEARNED_NUMBERS); None where the network takes no landmarks."""
    landmarks: npt.NDArray[np.float32] | None = None
    """Shape (n, FEATURES), what `aslspark.training.hands` made of `hands`."""

    def inputs(self, names: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Return what a network takes, by the names in `aslspark.common.catalog`, in its order."""
        return [self.pictures if name == PICTURE else self.landmarks for name in names]  # type: ignore[misc]


class Feed(Protocol):
    """One rank's rows of a table."""

    rows: int
    """Of the whole table, over all ranks."""
    steps: int
    """Of an epoch: the same on every rank."""

    def epoch(self, number: int, shuffle: bool = True) -> Iterator[Batch]:
        """Give every row of this rank once.

        Parameters
        ----------
        number : int
            The epoch, counted from 0: each has an order of its own, which depends on nothing but the seed,
            the rank and this number, so that a run that goes on after a stop sees what it would have seen.
        shuffle : bool
            Otherwise the rows come as they are dealt to this rank.
        """


class Rows(NamedTuple):
    """Rows in memory; the columns of a `Batch`."""

    pictures: npt.NDArray[np.uint8] | None
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    hands: npt.NDArray[np.float32] | None = None

    def take(self, chosen: npt.NDArray[np.int64]) -> Rows:
        """Copy the chosen rows, in that order."""
        return Rows(*(None if column is None else column[chosen] for column in self))  # type: ignore[arg-type]

    def then(self, more: Rows) -> Rows:
        """Copy these rows and more behind them."""
        pairs = zip(self, more, strict=True)
        return Rows(*(None if pair[0] is None else np.concatenate(pair) for pair in pairs))  # type: ignore[arg-type]


def share_sizes(rows: int, size: int) -> list[int]:
    """Divide rows among ranks as evenly as they go: the shares differ by one row at most."""
    return [rows // size + (rank < rows % size) for rank in range(size)]


class Steps:
    """How one rank divides its share of an epoch into batches.

    Every rank takes the same number of steps, each with at least one row, so none waits for one that has run out;
    a rank with fewer rows takes smaller batches. A rank's batches are of nearly one size: a last step with one
    lone row would pull as hard as a full one.

    Parameters
    ----------
    shares : sequence of int
        Rows of each rank, one or more.
    batch_size : int
        Rows a step and rank, at most.
    number : int, optional
        Of steps, where the caller has to keep to one; otherwise as few as `batch_size` allows.
    """

    def __init__(self, shares: Sequence[int], batch_size: int, rank: int, number: int | None = None) -> None:
        self.number = min(number or -(-max(shares) // batch_size), *shares)
        sizes = [share_sizes(share, self.number) for share in shares]
        self._sizes = sizes[rank]
        self._scales = [len(shares) / sum(step) for step in zip(*sizes, strict=True)]

    def batches(self, pools: Iterator[Rows], random: np.random.Generator | None) -> Iterator[Batch]:
        """Cut a rank's rows into its batches.

        Parameters
        ----------
        pools : iterator of Rows
            Together the rank's share.
        random : Generator, optional
            Shuffles the rows within each pool; otherwise they keep their order.
        """
        left: Rows | None = None
        step = 0
        for pool in pools:
            order = np.arange(len(pool.labels)) if random is None else random.permutation(len(pool.labels))
            start = 0
            while step < self.number:
                wanted = self._sizes[step] - (0 if left is None else len(left.labels))
                rows = pool.take(order[start : start + wanted])
                if left is not None:
                    rows = left.then(rows)
                start += wanted
                if start > len(order):
                    left = rows  # the rest of the batch comes from the next pool
                    break
                left = None
                yield Batch(rows.pictures, rows.labels, rows.weights, self._scales[step], rows.hands)
                step += 1

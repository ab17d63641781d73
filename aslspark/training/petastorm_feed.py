"""One worker's share of a flat copy of a sample table, read by petastorm as Horovod's own estimators read theirs.

In: the folder that `flat_copy` wrote. Out: the same batches as from `feed.SampleFeed`. Imports no framework.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aslspark.training.batches import Batch, Rows, Steps
from aslspark.training.feed import list_row_groups
from aslspark.training.prefetch import prefetched


class PetastormFeed:
    """One rank's rows of a table through petastorm's reader; see `aslspark.training.batches.Feed`.

    Petastorm deals whole row groups to ranks: those whose number leaves the rank when divided by the number of
    ranks. Each epoch it reads them again, the groups in a random order and the rows of each in a random order, but
    never mixes the rows of two groups.

    Parameters
    ----------
    folder : str
        Of one Parquet file, written by `flat_copy`: `picture` (bytes), `label` (int64), `weight` (float32).
    shape : (int, int, int)
        Height, width, channels of every picture.
    batch_size : int
        Rows a step and rank, at most.
    rank, size : int
        This rank among how many.
    seed : int
        Of the order.
    """

    def __init__(
        self, folder: str, *, shape: tuple[int, int, int], batch_size: int, rank: int, size: int, seed: int
    ) -> None:
        groups = [group.rows for group in list_row_groups(folder)]
        self.rows = sum(groups)
        self._plan = Steps([sum(groups[other::size]) for other in range(size)], batch_size, rank)
        self.steps = self._plan.number
        self._folder, self._shape = folder, shape
        self._rank, self._size, self._seed = rank, size, seed

    def epoch(self, number: int, shuffle: bool = True) -> Iterator[Batch]:
        """Give every row of this rank once; see `aslspark.training.batches.Feed.epoch`."""
        return prefetched(self._plan.batches(self._row_groups(number, shuffle), None))

    def _row_groups(self, number: int, shuffle: bool) -> Iterator[Rows]:
        import pyarrow_hotfix  # noqa: F401  (closes CVE-2023-47248 in this process, before anything is read)
        from petastorm import make_batch_reader

        # A reader an epoch, which opens in milliseconds: one that went on would give orders that depend on how
        # often it was asked. One thread, since with more the groups come as they get ready.
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        with make_batch_reader(
            f"file://{self._folder}",
            cur_shard=self._rank,
            shard_count=self._size,
            num_epochs=1,
            shuffle_row_groups=shuffle,
            shuffle_rows=shuffle,
            seed=seed if shuffle else None,  # it would shuffle the groups with one, whatever it is told
            reader_pool_type="thread",
            workers_count=1,
        ) as reader:
            for group in reader:
                data = np.frombuffer(b"".join(group.picture), np.uint8)
                yield Rows(data.reshape(-1, *self._shape), group.label, group.weight)

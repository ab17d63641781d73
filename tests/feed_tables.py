"""Small tables of numbered rows, and the feeds that read them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aslspark.common.settings import AugmentConfig, FeatureConfig, NetworkConfig, TrainingConfig
from aslspark.training.feed import RowReader, SampleFeed
from aslspark.training.worker import SampleFolders, WorkerJob

LABELS = ["A", "B", "C"]
SHAPE = (2, 3, 1)
NONE_FOUND = 5
"""One row in so many has no hand."""
HAND = pa.struct(
    {"found": pa.string(), "landmarks": pa.list_(pa.float32()), "world": pa.list_(pa.float32()), "side": pa.string()}
)


def write_table(folder, sizes, group_rows):
    """Write files of the given sizes; the first two bytes of each picture hold its row number."""
    folder.mkdir()
    first = 0
    for n, size in enumerate(sizes):
        numbers = range(first, first + size)
        first += size
        data = [bytes([i // 256, i % 256, 1, 2, 3, 4]) for i in numbers]
        picture = pa.StructArray.from_arrays(
            [pa.array([2] * size, pa.int32()), pa.array([3] * size, pa.int32()), pa.array(data, pa.binary())],
            ["height", "width", "data"],
        )
        table = pa.table(
            {
                "picture": picture,
                "label": [LABELS[i % 3] for i in numbers],
                "source": ["few" if i < 10 else "many" for i in numbers],
            }
        )
        pq.write_table(table, folder / f"part-{n}.parquet", row_group_size=group_rows)
    return str(folder)


def write_table_with_hands(folder, sizes, group_rows=20, pictures=True):
    """Write files of the given sizes; pictures and hands begin with their row's number."""
    folder.mkdir()
    first = 0
    for n, size in enumerate(sizes):
        numbers = range(first, first + size)
        first += size
        points = {i: np.random.default_rng(i).random(63, np.float32) for i in numbers}
        hands = [
            {"found": None}
            if i % NONE_FOUND == 0
            else {"found": "plain", "landmarks": [i, *points[i][1:]], "world": points[i], "side": "left"}
            for i in numbers
        ]
        columns = {
            "hand": pa.array(hands, HAND),
            "label": [LABELS[i % 3] for i in numbers],
        }
        if pictures:
            columns["picture"] = pa.array([bytes([i // 256, i % 256, 1, 2, 3, 4]) for i in numbers], pa.binary())
        pq.write_table(pa.table(columns), folder / f"part-{n}.parquet", row_group_size=group_rows)
    return str(folder)


def rows_of(batch):
    pixels = batch.pictures.reshape(len(batch.pictures), -1).astype(int)
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


def feeds(folder, size, batch_size=16, seed=5, budget=1 << 30, **read):
    reader = RowReader(**{"labels": LABELS, "shape": SHAPE, **read})
    given = {"batch_size": batch_size, "seed": seed, "budget": budget}
    return [SampleFeed(folder, reader, rank=rank, size=size, **given) for rank in range(size)]


def job_on(folder, validation=None, labels=LABELS, weight_of=None, cache_mb=1, **more):
    given = {
        "shape": SHAPE,
        "inputs": ("picture",),
        "training": TrainingConfig(epochs=1, patience=1, schedule="constant", batch_size=16, seed=5, cache_mb=cache_mb),
        "network": NetworkConfig(),
        "features": FeatureConfig(),
        "augment": AugmentConfig(on=False),
        "val_batch_size": 16,
        **more,
    }
    return WorkerJob({}, SampleFolders(folder, validation, labels, weight_of=weight_of or {}), **given)

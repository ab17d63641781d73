"""Petastorm's reader on a flat copy of a small table, as two and more ranks would read it."""

import threading
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feed_tables import SHAPE, job_on, rows_of, write_table
from stacks import needs_petastorm

from aslspark.common.errors import AslsparkError
from aslspark.training import flat_copy
from aslspark.training.flat_copy import flat_copies
from aslspark.training.petastorm_feed import PetastormFeed

pytestmark = needs_petastorm


@pytest.fixture
def feeds_of(tmp_path, monkeypatch):
    """Feeds of all ranks on a flat copy in row groups of ten rows."""
    monkeypatch.setattr(flat_copy, "GROUP_BYTES", 60)
    with ExitStack() as copies:

        def feeds(folder, size, batch_size=16, seed=5, **more):
            job = copies.enter_context(flat_copies(job_on(folder, **more), size, str(tmp_path)))
            given = {"shape": SHAPE, "batch_size": batch_size, "size": size, "seed": seed}
            return [PetastormFeed(job.folders.train, rank=rank, **given) for rank in range(size)]

        yield feeds


@pytest.mark.parametrize("cache_mb", [1, 0], ids=["copied at once", "copied in pieces"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("sizes", [[300], [101, 1, 57], [7]])
def test_every_row_is_seen_once_an_epoch_by_exactly_one_rank(feeds_of, tmp_path, sizes, size, cache_mb):
    feeds = feeds_of(write_table(tmp_path / "t", sizes, group_rows=20), size, cache_mb=cache_mb)
    for epoch in range(2):
        seen = [row for feed in feeds for batch in feed.epoch(epoch) for row in rows_of(batch)]
        assert sorted(seen) == list(range(sum(sizes)))
    assert all(feed.rows == sum(sizes) for feed in feeds)


@pytest.mark.parametrize(("rows", "size", "batch_size"), [(300, 2, 16), (101, 3, 8), (5, 2, 1), (7, 3, 1), (33, 2, 16)])
def test_all_ranks_take_as_many_steps_of_nearly_one_size(feeds_of, tmp_path, rows, size, batch_size):
    feeds = feeds_of(write_table(tmp_path / "t", [rows], group_rows=20), size, batch_size)
    sizes = [[len(batch.labels) for batch in feed.epoch(0)] for feed in feeds]
    assert {len(steps) for steps in sizes} == {feeds[0].steps}
    flat = [n for steps in sizes for n in steps]
    assert max(flat) - min(flat) <= 2


def test_ranks_with_uneven_shares_still_take_as_many_steps(tmp_path):
    groups = [40, 3, 3, 3]  # rank 0 is dealt 43 rows, rank 1 six
    schema = pa.schema({"picture": pa.binary(6), "label": pa.int64(), "weight": pa.float32()})
    first = 0
    with pq.ParquetWriter(tmp_path / "rows.parquet", schema) as writer:
        for size in groups:
            pictures = [bytes([0, row, 0, 0, 0, 0]) for row in range(first, first + size)]
            columns = [pa.array(pictures, pa.binary(6)), pa.array([0] * size), pa.array([1.0] * size, pa.float32())]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            first += size
    feeds = [PetastormFeed(str(tmp_path), shape=SHAPE, batch_size=5, rank=rank, size=2, seed=1) for rank in range(2)]
    batches = [list(feed.epoch(0)) for feed in feeds]
    assert [len(steps) for steps in batches] == [6, 6]
    assert sorted(row for steps in batches for batch in steps for row in rows_of(batch)) == list(range(49))
    for step in zip(*batches, strict=True):
        values = [np.array(rows_of(batch), float) for batch in step]
        mean_over_ranks = np.mean([v.sum() * batch.scale for v, batch in zip(values, step, strict=True)])
        assert mean_over_ranks == pytest.approx(np.concatenate(values).mean())


def test_pictures_labels_and_weights_stay_together(feeds_of, tmp_path):
    folder = write_table(tmp_path / "t", [101, 40], group_rows=20)
    for feed in feeds_of(folder, 2, weight_of={"few": 2.0, "many": 0.5}):
        for batch in feed.epoch(3):
            rows = rows_of(batch)
            assert batch.labels.tolist() == [row % 3 for row in rows]
            assert batch.weights.tolist() == [2.0 if row < 10 else 0.5 for row in rows]


def test_an_epochs_order_depends_on_its_number_and_the_seed_alone(feeds_of, tmp_path):
    folder = write_table(tmp_path / "t", [200], group_rows=20)

    def order(feed, epoch, shuffle=True):
        return [row for batch in feed.epoch(epoch, shuffle) for row in rows_of(batch)]

    (feed,), (again,), (other,) = feeds_of(folder, 1), feeds_of(folder, 1), feeds_of(folder, 1, seed=6)
    assert order(feed, 2) == order(feed, 2) == order(again, 2)
    assert order(feed, 2) != order(feed, 3)
    assert order(feed, 2) != order(other, 2)
    assert order(feed, 0, shuffle=False) == order(feed, 1, shuffle=False)


def test_a_table_sorted_by_label_is_mixed_in_the_copy(feeds_of, tmp_path):
    feed = feeds_of(write_table(tmp_path / "t", [400], group_rows=400), 1)[0]
    rows = [row for batch in feed.epoch(0, shuffle=False) for row in rows_of(batch)]
    assert np.std(rows[:10]) > 40  # ten neighbours of the table would have 2.9


def test_an_epoch_that_is_left_early_leaves_no_thread(feeds_of, tmp_path):
    feed = feeds_of(write_table(tmp_path / "t", [200], group_rows=20), 1)[0]
    before = set(threading.enumerate())
    batches = feed.epoch(0)
    next(batches)
    assert set(threading.enumerate()) > before
    batches.close()
    assert [thread.name for thread in set(threading.enumerate()) - before if "ventilat" not in thread.name] == []


def test_what_cannot_be_copied_is_named_and_nothing_is_left(tmp_path):
    folder = write_table(tmp_path / "t", [20], group_rows=20)
    for more, message in (
        ({"labels": ["A", "B"]}, "labels C are not among the model's: A, B"),
        ({"shape": (3, 3, 1)}, "6 bytes where 3x3x1 needs 9"),
    ):
        with pytest.raises(AslsparkError, match=message), flat_copies(job_on(folder, **more), 2, str(tmp_path)):
            pass
    assert list(tmp_path.glob("flat-*")) == []


def test_a_copy_is_gone_when_its_block_ends_even_with_an_error(tmp_path):
    folder = write_table(tmp_path / "t", [20], group_rows=20)

    def fail():
        with flat_copies(job_on(folder, validation=folder), 2, str(tmp_path)) as job:
            assert pq.read_metadata(f"{job.folders.validation}/rows.parquet").num_rows == 20
            raise RuntimeError("a worker failed")

    with pytest.raises(RuntimeError, match="a worker failed"):
        fail()
    assert list(tmp_path.glob("flat-*")) == []


def test_a_broken_copy_is_an_error_where_its_batch_would_have_come(feeds_of, tmp_path):
    feed = feeds_of(write_table(tmp_path / "t", [200], group_rows=20), 1)[0]
    (file,) = tmp_path.glob("flat-*/train/rows.parquet")
    content = bytearray(file.read_bytes())
    content[4:1000] = bytes(996)  # the footer stays whole
    file.write_bytes(content)
    with pytest.raises(OSError, match="page header"):
        list(feed.epoch(0))

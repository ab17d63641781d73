from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from feed_tables import LABELS, SHAPE, feeds, rows_of, write_table

from aslspark.common.errors import AslsparkError
from aslspark.common.settings import TrainingConfig
from aslspark.training.feed import RowReader, SampleFeed, list_row_groups, share_of
from aslspark.training.loop import learning_rate_factor


@pytest.mark.parametrize("budget", [1 << 20, 300, 1], ids=["kept", "streamed", "streamed one group at a time"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("sizes", [[300], [101, 1, 57], [13, 13, 13, 13, 8]])
def test_every_row_is_seen_once_an_epoch_by_exactly_one_rank(tmp_path, sizes, size, budget):
    folder = write_table(tmp_path / "t", sizes, group_rows=20)
    for epoch in range(2):
        seen = [row for f in feeds(folder, size, budget=budget) for batch in f.epoch(epoch) for row in rows_of(batch)]
        assert sorted(seen) == list(range(sum(sizes)))


def test_a_table_is_kept_while_it_fits_the_budget_and_streamed_beyond(tmp_path):
    folder = write_table(tmp_path / "t", [100], group_rows=20)
    assert not feeds(folder, 1, budget=100 * 6)[0].streamed
    assert feeds(folder, 1, budget=100 * 6 - 1)[0].streamed
    assert not feeds(folder, 2, budget=100 * 3)[0].streamed


def test_a_stream_has_steps_of_the_same_size_as_a_kept_table(tmp_path):
    folder = write_table(tmp_path / "t", [101, 57], group_rows=20)
    kept, streamed = (
        [len(batch.labels) for batch in feeds(folder, 2, budget=budget)[1].epoch(0)] for budget in (1 << 20, 150)
    )
    assert kept == streamed


def test_streamed_rows_are_mixed_across_row_groups_and_anew_each_epoch(tmp_path):
    folder = write_table(tmp_path / "t", [400], group_rows=20)
    feed = feeds(folder, 1, budget=3 * 100 * 6)[0]  # five groups in a pool
    first, second = ([row for batch in feed.epoch(n) for row in rows_of(batch)] for n in range(2))
    assert first != second
    assert len({row // 20 for row in first[:20]}) > 2


@pytest.mark.parametrize("budget", [1 << 20, 150, 1])
def test_rows_that_are_not_shuffled_come_in_the_order_in_which_they_are_dealt_however_they_are_read(tmp_path, budget):
    folder = write_table(tmp_path / "t", [101], group_rows=101)
    feed = feeds(folder, 2, budget=budget)[1]
    for number in range(2):
        assert [row for batch in feed.epoch(number, shuffle=False) for row in rows_of(batch)] == [*range(51, 101)]
    # Cut in the midst of batches by pools of one row group.
    small = feeds(write_table(tmp_path / "u", [101], group_rows=7), 1, budget=budget)[0]
    (whole,) = feeds(str(tmp_path / "u"), 1, batch_size=101)[0].epoch(0, shuffle=False)
    assert [row for batch in small.epoch(0, shuffle=False) for row in rows_of(batch)] == rows_of(whole)


@pytest.mark.parametrize(("rows", "size", "batch_size"), [(300, 2, 16), (101, 3, 8), (5, 2, 1), (7, 3, 1), (33, 2, 16)])
def test_all_ranks_take_as_many_steps_of_nearly_one_size(tmp_path, rows, size, batch_size):
    folder = write_table(tmp_path / "t", [rows], group_rows=20)
    sizes = [[len(b.labels) for b in feed.epoch(0)] for feed in feeds(folder, size, batch_size=batch_size)]
    assert len({len(steps) for steps in sizes}) == 1
    flat = [n for steps in sizes for n in steps]
    assert max(flat) - min(flat) <= 2
    assert min(flat) >= 1


def test_the_scales_make_the_mean_over_ranks_the_mean_over_the_step(tmp_path):
    folder = write_table(tmp_path / "t", [101], group_rows=20)
    for step in zip(*(feed.epoch(0) for feed in feeds(folder, 2)), strict=True):
        values = [np.arange(len(batch.labels), dtype=float) for batch in step]
        mean_over_ranks = np.mean([v.sum() * batch.scale for v, batch in zip(values, step, strict=True)])
        assert mean_over_ranks == pytest.approx(np.concatenate(values).mean())


def test_labels_and_pictures_stay_together(tmp_path):
    folder = write_table(tmp_path / "t", [101, 40], group_rows=20)
    for feed in feeds(folder, 2):
        for batch in feed.epoch(3):
            assert batch.labels.tolist() == [row % 3 for row in rows_of(batch)]


def test_a_footer_is_read_once(tmp_path):
    folder = write_table(tmp_path / "t", [60], group_rows=20)
    (feed,) = feeds(folder, 1, budget=1)  # streamed, a row group at a time
    list(feed.epoch(0))
    with (tmp_path / "t" / "part-0.parquet").open("r+b") as file:
        file.seek(-8, 2)
        file.write(bytes(8))  # where the footer's length stands
    assert sorted(row for batch in feed.epoch(1) for row in rows_of(batch)) == list(range(60))


def test_a_rank_that_is_told_the_row_groups_opens_no_files_but_its_own(tmp_path):
    folder = write_table(tmp_path / "t", [20, 20, 20, 20], group_rows=20)
    groups = list_row_groups(folder)
    own = {piece.group.path for piece in share_of(groups, 0, 4, seed=5)}
    for group in groups:
        if group.path not in own:
            Path(group.path).write_bytes(b"of another rank")
    reader = RowReader(LABELS, SHAPE)
    feed = SampleFeed(folder, reader, batch_size=20, rank=0, size=4, seed=5, groups=groups)
    assert sum(len(rows_of(batch)) for batch in feed.epoch(0)) == 20


def test_an_epochs_order_depends_on_its_number_and_the_seed_alone(tmp_path):
    folder = write_table(tmp_path / "t", [200], group_rows=20)

    def order(seed, epoch):
        return [row for batch in feeds(folder, 1, seed=seed)[0].epoch(epoch) for row in rows_of(batch)]

    assert order(5, 2) == order(5, 2)
    assert order(5, 2) != order(5, 3)
    assert order(5, 2) != order(6, 2)


def test_each_rank_reads_no_more_row_groups_than_it_must(tmp_path):
    groups = list_row_groups(write_table(tmp_path / "t", [200], group_rows=20))
    pieces = Counter(piece.group.number for rank in range(4) for piece in share_of(groups, rank, 4, seed=1))
    assert sum(pieces.values()) <= len(groups) + 3  # a boundary between ranks cuts at most one group in two


def test_weights_follow_the_source(tmp_path):
    folder = write_table(tmp_path / "t", [40], group_rows=20)
    feed = feeds(folder, 1, weight_of={"few": 2.0, "many": 0.5})[0]
    for batch in feed.epoch(0):
        assert batch.weights.tolist() == [2.0 if row < 10 else 0.5 for row in rows_of(batch)]


def test_rows_of_a_source_without_a_weight_count_as_1(tmp_path):
    folder = write_table(tmp_path / "t", [30], group_rows=20)
    (batch,) = feeds(folder, 1, batch_size=30, weight_of={"few": 3.0})[0].epoch(0)
    assert dict(zip(rows_of(batch), batch.weights.tolist(), strict=True)) == {
        n: 3.0 if n < 10 else 1.0 for n in range(30)
    }


def test_fewer_rows_than_processes_are_refused_with_the_numbers(tmp_path):
    folder = write_table(tmp_path / "t", [2], group_rows=20)
    with pytest.raises(AslsparkError, match=r"2 rows are too few for 3 processes"):
        feeds(folder, 3)


def test_a_label_that_the_model_does_not_know_is_named(tmp_path):
    folder = write_table(tmp_path / "t", [20], group_rows=20)
    with pytest.raises(AslsparkError, match=r"labels C are not among the model's: A, B"):
        feeds(folder, 1, labels=["A", "B"])


def test_pictures_of_another_size_are_refused(tmp_path):
    folder = write_table(tmp_path / "t", [20], group_rows=20)
    with pytest.raises(AslsparkError, match=r"6 bytes where 3x3x1 needs 9"):
        feeds(folder, 1, shape=(3, 3, 1))


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_learning_rate_rises_for_an_epoch_and_then_falls_or_stays(schedule):
    training = TrainingConfig(epochs=10, patience=5, schedule=schedule)
    factors = [learning_rate_factor(training, step, 20) for step in range(1, 201)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[:20] == sorted(factors[:20])
    assert factors[19] == 1.0
    if schedule == "constant":
        assert set(factors[19:]) == {1.0}
    else:
        assert factors[19:] == sorted(factors[19:], reverse=True)
        assert factors[-1] < 0.001

"""The study of tables: which rows are left out together, and which are like one that was learned from."""

import numpy as np

from benchmarks.studies.tables import FOLDS, blocks, is_unlike, read_table


def pictures(count, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28, 1), np.uint8)


def test_each_letter_is_cut_into_contiguous_blocks_of_about_one_size():
    labels = np.array(["A", "B"] * 11)
    folds = blocks(labels)
    for label in "AB":
        of_label = folds[labels == label]
        assert list(of_label) == sorted(of_label)
        assert sorted(np.bincount(of_label)) == [2, 2, 2, 2, 3]
    assert set(folds) == set(range(FOLDS))


def test_a_row_is_like_another_of_its_letter_in_another_fold_alone():
    labels = np.array(["A"] * 10 + ["B"] * 10)
    rows = pictures(20)
    rows[9] = 255 - (255 - rows[0]) // 2  # paler, in the last fold
    rows[3] = rows[2]  # in the same fold
    rows[15] = rows[5]  # of another letter
    assert list(np.flatnonzero(~is_unlike(rows, labels))) == [0, 9]


def test_a_table_is_read_with_its_letters_by_their_places_in_the_alphabet(tmp_path):
    rows = pictures(2)
    lines = [",".join(map(str, (number, *row.ravel()))) for number, row in zip((0, 24), rows, strict=True)]
    header = ",".join(["label", *(f"pixel{place}" for place in range(1, 785))])
    (tmp_path / "table.csv").write_text("\n".join([header, *lines]) + "\n")
    read, letters = read_table(str(tmp_path / "table.csv"))
    assert list(letters) == ["A", "Y"]
    np.testing.assert_array_equal(read, rows)

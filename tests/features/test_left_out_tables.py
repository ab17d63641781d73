"""The study of tables: which rows are left out together, and which are like one that was learned from."""

import numpy as np

from benchmarks.studies.tables import FOLDS, blocks, is_unlike, photographs, read_table


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
    assert list(np.flatnonzero(~is_unlike(rows, labels, blocks(labels)))) == [0, 9]


def test_rows_of_one_photograph_are_left_out_together_and_folds_stay_even():
    labels = np.array(["A"] * 20 + ["B"] * 20)
    rows = pictures(40)
    rows[[9, 19]] = 255 - (255 - rows[0]) // 2
    rows[25] = rows[3]  # of another letter
    folds = photographs(rows, labels)
    assert folds[0] == folds[9] == folds[19]
    assert is_unlike(rows, labels, folds).all()
    for label in "AB":
        assert list(np.bincount(folds[labels == label])) == [4] * FOLDS


def test_a_letter_whose_rows_are_all_alike_is_cut_into_blocks():
    labels = np.array(["A"] * 10)
    rows = pictures(1) // 2 + np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    np.testing.assert_array_equal(photographs(rows, labels), blocks(labels))


def test_a_table_is_read_with_its_letters_by_their_places_in_the_alphabet(tmp_path):
    rows = pictures(2)
    lines = [",".join(map(str, (number, *row.ravel()))) for number, row in zip((0, 24), rows, strict=True)]
    header = ",".join(["label", *(f"pixel{place}" for place in range(1, 785))])
    (tmp_path / "table.csv").write_text("\n".join([header, *lines]) + "\n")
    read, letters = read_table(str(tmp_path / "table.csv"))
    assert list(letters) == ["A", "Y"]
    np.testing.assert_array_equal(read, rows)

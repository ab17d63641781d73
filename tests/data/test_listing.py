"""Pictures by name alone, before any is read: their order, the split of each, and which cannot be used; no Spark."""

from collections import Counter

import pytest

from aslspark.data.pictures.listing import (
    ListedFile,
    Picture,
    PictureSource,
    labelled_by_folder,
    once_each,
    picture_splits,
)
from aslspark.data.pictures.options import PictureOptions
from aslspark.data.samples import SPLITS, TEST, TRAIN, VALIDATION
from aslspark.data.splits import SplitOptions, splits_of_blocks, splits_of_groups

BLOCKS = SplitOptions(validation=0.2, test=0.2, blocks=5)
BY_HASH = "later"


def source(names, label="A", **more):
    return PictureSource("film", [Picture(name, name, 9, label, **more) for name in names], lambda scratch: None)


def splits(pictures, options, groups=None, is_test=False):
    return picture_splits(pictures, is_test, options, groups or {}, BY_HASH)


def test_frames_are_cut_in_the_order_in_which_they_were_taken_whatever_order_they_are_listed_in():
    of_block = splits_of_blocks(BLOCKS, "film")
    # By plain names, 10 to 19 would stand between 1 and 2.
    expected = {f"frame{n}.jpg": of_block[(n - 1) // 5] for n in range(1, 26)}
    for names in (sorted(expected), sorted(expected, reverse=True), list(expected)):
        assert dict(zip(names, splits(source(names), BLOCKS), strict=True)) == expected


def test_each_label_is_cut_on_its_own():
    pictures = source([f"A{n}" for n in range(10)]).pictures + source([f"B{n}" for n in range(20)], "B").pictures
    found = splits(PictureSource("film", pictures, lambda scratch: None), BLOCKS)
    for label, rows in (("A", 2), ("B", 4)):
        of_label = Counter(split for picture, split in zip(pictures, found, strict=True) if picture.label == label)
        assert of_label == {TRAIN: 3 * rows, VALIDATION: rows, TEST: rows}


@pytest.mark.parametrize("first_signer", ["ann", "bob", "cyd"])
def test_every_picture_of_a_signer_is_on_that_signers_side_the_first_and_the_last_too(first_signer):
    options = SplitOptions(kind="signer", validation=0.3, test=0.3)
    signers = sorted(["ann", "bob", "cyd"], key=lambda name: name != first_signer)
    groups = splits_of_groups(options, signers)
    pictures = [Picture(f"{n}-{s}", f"{n}-{s}", 9, "A", signer=s) for s in signers for n in range(4)]
    found = splits(PictureSource("film", pictures, lambda scratch: None), options, groups)
    assert found == [groups[picture.signer] for picture in pictures]
    assert set(found) == set(SPLITS)


def test_every_picture_of_a_source_is_on_that_sources_side():
    found = splits(source("abc"), SplitOptions(kind="source"), {"film": VALIDATION, "": TRAIN})
    assert found == [VALIDATION] * 3


@pytest.mark.parametrize("kind", ["block", "signer", "source", "random"])
def test_what_a_source_says_of_a_split_stays_and_only_its_training_rows_are_divided(kind):
    said = [TEST, VALIDATION, TRAIN, None]
    pictures = [Picture(f"{n}", f"{n}", 9, "A", signer="ann", split=said[n % 4]) for n in range(40)]
    found = splits(
        PictureSource("film", pictures, lambda scratch: None),
        SplitOptions(kind=kind, validation=0.2, test=0),
        {"ann": VALIDATION, "film": VALIDATION},
    )
    for picture, split in zip(pictures, found, strict=True):
        if picture.split in (TEST, VALIDATION):
            assert split == picture.split
    divided = Counter(split for picture, split in zip(pictures, found, strict=True) if picture.split in (TRAIN, None))
    assert (
        divided
        == {
            "block": {TRAIN: 16, VALIDATION: 4},
            "signer": {VALIDATION: 20},
            "source": {VALIDATION: 20},
            "random": {BY_HASH: 20},
        }[kind]
    )


def test_of_a_test_source_all_is_test():
    pictures = source("abc", split=VALIDATION)
    assert splits(pictures, BLOCKS, is_test=True) == [TEST] * 3


def test_what_cannot_be_used_is_divided_nowhere_and_moves_no_other():
    names = [f"frame{n}" for n in range(1, 11)]
    whole = dict(zip(names, splits(source(names), BLOCKS), strict=True))
    pictures = source(names).pictures
    pictures.insert(3, Picture("bad", "bad", 0, "A", reason="empty"))
    found = PictureSource("film", pictures, lambda scratch: None)
    assert [picture.name for picture in found.usable] == names
    assert dict(zip(names, splits(found, BLOCKS), strict=True)) == whole


def listed(*names, length=9):
    return labelled_by_folder([ListedFile(name, name, length) for name in names], PictureOptions())


def test_the_nearest_folder_that_is_called_like_a_label_says_it():
    pictures, passed = listed(
        "A/day/1.jpg", "A/B/2.jpg", "set/del/deep/3.png", "notes/4.jpg", "A/5.txt", "space/6.WEBP"
    )
    assert [(picture.name, picture.label) for picture in pictures] == [
        ("A/day/1.jpg", "A"),
        ("A/B/2.jpg", "B"),
        ("set/del/deep/3.png", "del"),
        ("space/6.WEBP", "space"),
    ]
    assert passed[0] == "notes: 1 picture, the name is no label"
    assert passed[1].endswith("such as A/5.txt")


def test_a_picture_of_distances_is_passed_over_where_the_same_shot_is_there_in_colour():
    names = ["A/color_0_0001.png", "A/depth_0_0001.png", "A/depth_0_0002.png"]
    pictures, _ = listed(*names)
    assert [picture.reason for picture in pictures] == [None, "depth picture", None]


def test_a_picture_that_is_named_twice_is_taken_once_by_path_and_by_name():
    rows = [("p", "a", "A"), ("p", "b", "B"), ("q", "a", "A"), ("r", "c", "A")]
    found = once_each([Picture(path, name, 9, label, row=n) for n, (path, name, label) in enumerate(rows, 1)])
    assert [picture.reason for picture in found] == [None, "named twice", "named twice", None]
    assert found[1].detail == "row 1 is the same picture, as A"
    assert found[2].detail == "row 1 is the same picture"
    # One that cannot be used is no first one.
    first = Picture("p", "a", 0, "A", reason="empty")
    assert [picture.reason for picture in once_each([first, Picture("p", "a", 9, "A")])] == ["empty", None]

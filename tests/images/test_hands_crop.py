import numpy as np
import pytest
from PIL import Image

from aslspark.images.hands.crop import MIDDLE_KNUCKLE, WRIST, hand_crop, points_in_crop
from aslspark.images.hands.options import HandOptions

FINGERS = np.deg2rad([-50, -20, 0, 20, 40])


def hand_at(x, y, size, lean=0.0):
    """Landmarks of an open hand in pixels, upright or leaning to the right by some degrees, wrist at (x, y)."""
    reach = np.array([0.4, 0.6, 0.8, 1.0])
    angles = FINGERS + np.deg2rad(lean)
    points = [(0.0, 0.0)] + [(r * np.sin(a), -r * np.cos(a)) for a in angles for r in reach]
    return np.column_stack([np.array(points) * size + (x, y), np.zeros(21)])


def shares(points, size):
    return (points / max(size)).astype(np.float32)


def dotted(points, size):
    """A grey picture with a bright dot of nine pixels on each landmark."""
    pixels = np.full((size[1], size[0], 3), 60, np.uint8)
    for x, y in np.round(points[:, :2]).astype(int):
        if 0 < x < size[0] - 1 and 0 < y < size[1] - 1:
            pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
    return Image.fromarray(pixels)


def test_the_crop_is_a_square_that_holds_every_landmark_with_its_margin():
    size = (640, 480)
    points = hand_at(400, 300, 120)
    crop = hand_crop(dotted(points, size), shares(points, size), HandOptions(margin=0.25), 100)
    box = np.ptp(points[:, :2], axis=0).max()
    assert crop.size[0] == crop.size[1] == pytest.approx(1.5 * box, abs=1)
    inside = points_in_crop(shares(points, size), size, HandOptions(margin=0.25))
    assert inside.min() == pytest.approx(0.25 / 1.5, abs=0.01)
    assert inside.max() == pytest.approx(1 - 0.25 / 1.5, abs=0.01)


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("lean", [0, 35, 170])
def test_landmarks_lie_in_the_crop_where_they_are_said_to(upright, lean):
    size = (700, 600)
    points = hand_at(350, 320, 150, lean)
    options = HandOptions(upright=upright)
    crop = np.asarray(hand_crop(dotted(points, size), shares(points, size), options, 400).convert("L"))
    for x, y in points_in_crop(shares(points, size), size, options) * crop.shape[0]:
        column, row = int(x), int(y)
        assert crop[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].max() > 150


@pytest.mark.parametrize("lean", [-120, -30, 0, 75, 180])
def test_an_upright_crop_has_the_knuckle_straight_above_the_wrist(lean):
    size = (500, 500)
    points = shares(hand_at(250, 250, 100, lean), size)
    inside = points_in_crop(points, size, HandOptions(upright=True))
    assert inside[MIDDLE_KNUCKLE][0] == pytest.approx(inside[WRIST][0], abs=1e-4)
    assert inside[MIDDLE_KNUCKLE][1] < inside[WRIST][1] - 0.1
    assert inside.min() >= 0
    assert inside.max() <= 1


@pytest.mark.parametrize("upright", [False, True])
def test_what_lies_outside_of_the_picture_is_black(upright):
    size = (300, 300)
    points = hand_at(20, 190, 100)  # its left half is cut off
    crop = np.asarray(hand_crop(dotted(points, size), shares(points, size), HandOptions(upright=upright), 200))
    outside = round(-(points[:, 0].min() - 0.25 * np.ptp(points[:, :2], axis=0).max()))
    assert not crop[:, : outside - 2].any()
    assert crop[:, outside + 2 :].min() > 0


def test_a_large_picture_is_shrunk_evenly_before_it_is_cut():
    size = (3000, 2400)
    points = hand_at(1500, 1500, 1000)
    large = Image.fromarray(np.random.default_rng(1).integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(size)
    options = HandOptions(upright=True)
    whole = hand_crop(large, shares(points, size), options, 3000).resize((64, 64), reducing_gap=2.0)
    less = hand_crop(large, shares(points, size), options, 64)
    assert 128 <= less.size[0] < 256
    difference = np.abs(np.asarray(less.resize((64, 64))).astype(int) - np.asarray(whole))
    assert difference.mean() < 2


def test_blurring_leaves_the_hand_sharp_and_the_rest_not():
    size = (400, 400)
    noise = np.random.default_rng(2).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    points = hand_at(200, 260, 140)
    keep, blur = (
        np.asarray(hand_crop(Image.fromarray(noise), shares(points, size), HandOptions(background=name), 200))
        for name in ("keep", "blur")
    )
    side = keep.shape[0]
    for x, y in points_in_crop(shares(points, size), size, HandOptions())[[0, 5, 9, 13, 17]] * side:
        place = (slice(int(y) - 2, int(y) + 3), slice(int(x) - 2, int(x) + 3))
        assert np.array_equal(keep[place], blur[place])
    corner = (slice(0, side // 12), slice(0, side // 12))
    assert blur[corner].std() < keep[corner].std() / 4


def test_landmarks_that_all_lie_on_one_point_still_give_a_picture():
    points = np.full((21, 3), 0.5, np.float32)
    for background in ("keep", "blur"):
        assert hand_crop(Image.new("L", (50, 50)), points, HandOptions(background=background), 28).size == (1, 1)

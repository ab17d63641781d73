import math
from dataclasses import replace

import numpy as np
import pytest

from aslspark.images.hands.landmark_network import tracked_square
from aslspark.images.hands.search_squares import OVERLAP, PARTS, SEARCH_STEPS, search_squares
from aslspark.images.hands.square import Picture, Square
from aslspark.images.hands.test_time_augmentation import look_squares

SIDEWAYS = Square(100.0, 60.0, 40.0, math.pi / 2)
"""Its up is the picture's right."""


@pytest.mark.parametrize(
    ("square", "expected"),
    [
        (Square(100.0, 60.0, 40.0), [(100, 60), (80, 40), (120, 40), (120, 80)]),
        (Square(100.0, 60.0, 40.0, mirrored=True), [(100, 60), (120, 40), (80, 40), (80, 80)]),
        (SIDEWAYS, [(100, 60), (120, 40), (120, 80), (80, 80)]),
        (replace(SIDEWAYS, mirrored=True), [(100, 60), (120, 80), (120, 40), (80, 40)]),
    ],
    ids=["upright", "mirrored", "turned", "turned and mirrored"],
)
def test_points_of_a_square_are_taken_to_where_they_are_in_the_picture(square, expected):
    corners = np.array([(0.5, 0.5, 0.1), (0, 0, 0), (1, 0, 0), (1, 1, -0.5)])
    points = square.in_picture(corners)
    assert points[:, :2] == pytest.approx(np.array(expected))
    assert points[:, 2] == pytest.approx([4, 0, 0, -20])  # depth in the picture's pixels too
    assert square.in_picture(corners[:, :2]) == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    ("square", "expected"),
    [(SIDEWAYS, (-0.02, 0.01, 0.03)), (replace(SIDEWAYS, mirrored=True), (-0.02, -0.01, 0.03))],
    ids=["turned", "turned and mirrored"],
)
def test_points_in_metres_are_turned_with_the_square_and_not_moved(square, expected):
    assert square.in_space(np.array([(0.01, 0.02, 0.03)]))[0] == pytest.approx(expected)


def dotted(places, size):
    """A grey picture of so many pixels with white dots of 9 x 9 at places."""
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)
    for x, y in places:
        pixels[y - 4 : y + 5, x - 4 : x + 5] = 255
    return pixels


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 25, -140])
@pytest.mark.parametrize("scale", [1, 4], ids=["as it is", "reduced"])
def test_what_is_cut_out_shows_the_dots_where_the_square_has_them(mirrored, degrees, scale):
    square = Square(150.0 * scale, 110.0 * scale, 120.0 * scale, math.radians(degrees), mirrored)
    shares = np.array([(0.25, 0.3), (0.7, 0.45), (0.4, 0.8)])
    places = np.rint(square.in_picture(shares)).astype(int)
    picture = dotted(places, (320 * scale, 240 * scale))
    cut = Picture(picture).cut(square, 120 if scale == 1 else 150)
    assert cut.shape == (len(cut), len(cut), 3)
    assert cut.dtype == np.uint8
    left = cut[..., 0].astype(float) - 90
    for x, y in ((places - (square.x, square.y)) @ square.axes / square.side + 0.5) * len(cut):
        window = left[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9].clip(0)
        rows, columns = np.indices(window.shape)
        middle = np.array([(columns * window).sum(), (rows * window).sum()]) / window.sum()
        assert middle == pytest.approx((8 + x - round(x), 8 + y - round(y)), abs=0.1)


def test_what_lies_beyond_the_picture_is_black():
    picture = Picture(np.full((100, 200, 3), 255, np.uint8))
    assert (picture.width, picture.height, picture.longer_side) == (200, 100, 200)
    cut = picture.cut(Square(100.0, 50.0, 400.0), 200)
    assert (cut[80:120, 60:140] == 255).all()
    assert not cut[:70].any()
    assert not cut[130:].any()
    assert not cut[:, :45].any()
    assert not cut[:, 155:].any()


def test_single_pixels_of_a_large_picture_are_averaged_before_it_is_cut():
    noise = np.random.default_rng(1).integers(0, 2, (1200, 1200, 1), np.uint8) * np.full(3, 255, np.uint8)
    assert Picture(noise).cut(Square(600.0, 600.0, 1200.0), 150).std() < 30


@pytest.mark.parametrize("degrees", [0, 60, -120])
def test_a_hand_is_tracked_by_a_square_with_its_wrist_below(degrees):
    """A hand whose palm takes 100 x 120 pixels, upright; turned, its square is turned with it."""
    points = np.zeros((21, 3))
    points[[0, 5, 9, 13], :2] = (50, 120), (30, 20), (50, 20), (70, 20)
    points[[1, 2, 3, 6, 10, 14, 17, 18], :2] = (
        (20, 90),
        (10, 60),
        (0, 40),
        (30, 0),
        (50, 0),
        (70, 0),
        (90, 30),
        (100, 10),
    )
    points[[4, 7, 8, 11, 12, 15, 16, 19, 20], :2] = (500, -500)  # the fingers' ends have no part in it
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn
    square = tracked_square(points)
    assert math.degrees(square.angle) == pytest.approx(degrees)
    assert square.side == pytest.approx(2 * 120)
    # The middle of the palm, a tenth of its height toward the fingers.
    assert (square.x, square.y) == pytest.approx(tuple(np.array([50, 60 - 12]) @ turn))


def test_further_looks_are_the_tracked_square_smaller_and_mirrored():
    points = np.random.default_rng(1).random((21, 3)) * 100
    first = tracked_square(points)
    looks = look_squares(points, 3)
    assert [look.mirrored for look in looks] == [False, False, True]
    assert [look.side / first.side for look in looks] == pytest.approx([1, 0.85, 1.15])
    assert {(look.x, look.y, look.angle) for look in looks} == {(first.x, first.y, first.angle)}
    assert look_squares(points, 0) == []
    assert look_squares(points, 1) == looks[:1]


def test_a_picture_is_searched_whole_then_with_a_border_then_in_parts():
    searches = list(search_squares(1280, 720))
    assert [sorted({name for name, _ in squares}) for squares in searches] == [
        ["plain"],
        ["framed", "padded"],
        ["enlarged"],
    ]
    assert {name for squares in searches for name, _ in squares} == set(SEARCH_STEPS)
    ((_, whole),) = searches[0]
    assert whole == Square(640.0, 360.0, 1280.0)
    assert [square for _, square in searches[1]] == [Square(640.0, 360.0, 3 * 1280.0), Square(640.0, 360.0, 1.7 * 1280)]


@pytest.mark.parametrize("size", [(1280, 720), (300, 400), (64, 64), (1280, 90)])
def test_a_small_hand_lies_whole_in_some_part_wherever_it_is(size):
    parts = [square for _, square in list(search_squares(*size))[2]]
    sides = np.array([square.side for square in parts])
    low = np.array([(square.x, square.y) for square in parts]) - sides[:, None] / 2
    assert len(set(sides)) == len(PARTS)
    for side in set(sides):
        hand = OVERLAP * side
        for corner in np.random.default_rng(1).random((200, 2)) * np.maximum(np.array(size) - hand, 0):
            inside = (low <= corner + 1e-6) & (corner + hand <= low + side + 1e-6)
            assert (inside.all(axis=1) & (sides == side)).any()


@pytest.mark.parametrize("size", [(1280, 1), (1, 1280), (1280, 100), (1, 1), (1280, 1280)])
def test_a_strip_is_searched_in_few_parts(size):
    assert sum(map(len, search_squares(*size))) < 80


def test_the_parts_of_a_strip_have_it_in_their_middle():
    parts = list(search_squares(1280, 90))[2]
    assert {square.y for _, square in parts} == {45}
    assert min(square.x - square.side / 2 for _, square in parts) == 0

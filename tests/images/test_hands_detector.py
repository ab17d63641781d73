import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aslspark.images.hands.crop import points_in_crop
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.find_and_crop import find_and_crop, whole_picture
from aslspark.images.hands.hand import MOST_LOOKS, NO_HAND
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.images.image_spec import ImageSpec

OPTIONS = HandOptions()
FORM = ImageSpec(64, 64, 3)
KNUCKLES, TIPS = [5, 9, 13, 17], [8, 12, 16, 20]


@pytest.fixture(scope="module")
def images(real_data):
    def read(name):
        return Image.open(real_data / "images" / name).convert("RGB")

    return read


@pytest.fixture(scope="module")
def detector():
    return HandDetector(OPTIONS, installed_networks("test"))


@pytest.fixture(scope="module")
def look(detector):
    return lambda image: detector([np.asarray(image)])[0]


def far(image, side, size=(1280, 720), place=(900, 250)):
    """Cut a hand out of its black background and put it, small, into a dull room."""
    room = np.linspace(90, 160, size[0], dtype=np.uint8)
    whole = Image.fromarray(np.repeat(np.tile(room, (size[1], 1))[:, :, None], 3, axis=2))
    small = image.resize((side, side), Image.Resampling.LANCZOS)
    mask = small.convert("L").point(lambda value: 255 if value > 25 else 0)
    whole.paste(small, place, mask)
    return whole


def test_each_search_finds_its_kind_of_picture(images, look):
    hands = [look(images(PLAIN)), look(images(CLOSE)), look(images(CLOSER)), look(far(images(TIGHT), 90))]
    assert [hand.found for hand in hands] == ["plain", "framed", "padded", "enlarged"]
    for hand in hands:
        assert hand.landmarks.shape == hand.world.shape == (21, 3)
        assert hand.landmarks.dtype == hand.world.dtype == np.float32
        assert 0 <= hand.score <= 1


def test_pictures_of_many_sizes_at_once_have_the_hands_that_each_has_alone(images, look, detector):
    pictures = [
        images(PLAIN),
        far(images(TIGHT), 90),
        images(WALL),
        images(CLOSE).resize((150, 190)),
        images(FIST).crop((0, 20, 224, 180)),
        images(CLOSER),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (1280, 3)),
        *(images(f"alphabet_frames/{letter}/{letter}0.jpg") for letter in "CDL"),
    ]
    together = detector([np.asarray(picture) for picture in pictures])
    assert [hand.found is None for hand in together] == [n in (2, 6, 7) for n in range(11)]
    for hand, picture in zip(together, pictures, strict=True):
        alone = look(picture)
        assert (hand.found, hand.side) == (alone.found, alone.side)
        if alone.found is not None:
            np.testing.assert_allclose(hand.looks, alone.looks, atol=1e-4)
    assert detector([]) == []


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_hand_has_as_many_looks_as_are_asked_for_but_for_the_one_that_finds_its_place(images, detector, count):
    (hand,) = replace(detector, options=HandOptions(looks=count))([np.asarray(images(PLAIN))])
    assert hand.looks.shape == (max(1, count - 1), 126)


def test_the_landmarks_are_the_median_of_three_looks_that_agree(images, look):
    hand = look(images(TIGHT))
    looks = hand.looks.reshape(3, 2, 21, 3)
    np.testing.assert_allclose(np.median(looks[:, 0], axis=0), hand.landmarks, atol=1e-6)
    np.testing.assert_allclose(np.median(looks[:, 1], axis=0), hand.world, atol=1e-6)
    size = np.ptp(hand.landmarks[:, :2], axis=0).max()
    for again in looks[1:, 0]:
        assert 0 < np.linalg.norm(again[:, :2] - looks[0, 0, :, :2], axis=1).mean() < 0.1 * size


def test_a_wall_has_no_hand(images, look):
    hand = look(images(WALL))
    assert hand is NO_HAND


def test_what_looks_a_little_like_a_palm_is_no_hand(images, detector):
    assert replace(detector, options=HandOptions(confidence=0.01))([np.asarray(images(WALL))]) == [NO_HAND]


def test_where_no_palm_has_the_confidence_the_landmarks_of_faint_ones_decide(images, detector, look):
    pixels = np.asarray(images(PLAIN))
    (hand,) = replace(detector, options=HandOptions(confidence=0.999))([pixels])
    assert hand.found == "plain"
    np.testing.assert_allclose(hand.landmarks, look(images(PLAIN)).landmarks, atol=0.01)


def test_every_search_gives_places_in_the_picture_itself(images, look):
    tight = images(CLOSER)
    alone = look(tight)
    assert alone.found == "padded"
    points = alone.landmarks[:, :2] * 400
    bright = np.asarray(tight.convert("L"))
    inside = ((points >= 0) & (points < 400)).all(axis=1)
    on_hand = [bright[int(y), int(x)] > 25 for x, y in points[inside]]
    assert np.mean(on_hand) > 0.9
    small = look(far(tight, 90))
    assert small.found == "enlarged"
    expected = points * 90 / 400 + (900, 250)
    assert np.abs(small.landmarks[:, :2] * 1280 - expected).max() < 12


def test_the_turn_that_a_camera_noted_is_made_first(images, detector):
    upright = images(PLAIN)
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned to the right
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", quality=98, exif=exif)
    (pixels, hand), (as_it_is, other) = find_and_crop([whole_picture(turned.getvalue(), FORM), upright], FORM, detector)
    assert np.abs(hand.landmarks - other.landmarks)[:, :2].max() < 0.02
    assert np.abs(pixels.astype(int) - as_it_is).mean() < 8


def test_the_crop_shows_the_hand(images, detector):
    image = images(PLAIN)
    ((pixels, hand),) = find_and_crop([image], FORM, detector)
    assert pixels.shape == FORM.shape
    inside = points_in_crop(hand.landmarks, image.size, OPTIONS)
    assert inside.min() > 0.1
    assert inside.max() < 0.9


def test_a_hand_is_found_again_in_a_small_copy_and_read_as_without_one(images, detector):
    pictures = [images(PLAIN), images(FIST), far(images(TIGHT), 30), Image.new("RGB", (200, 200))]
    plain = [hand for _, hand in find_and_crop(pictures, FORM, detector)]
    both = [hand for _, hand in find_and_crop(pictures, FORM, detector, small_pixels=48)]
    for hand, as_it_is in zip(both[:2], plain[:2], strict=True):
        np.testing.assert_array_equal(hand.landmarks, as_it_is.landmarks)
        assert hand.looks.shape == (2 * MOST_LOOKS, 126)
        views = len(as_it_is.looks)
        np.testing.assert_array_equal(hand.looks[:views], as_it_is.looks)
        np.testing.assert_array_equal(hand.looks[views:MOST_LOOKS, :63], [hand.landmarks.ravel()])
        points, small = (looks[-1, :63].reshape(21, 3)[:, :2] for looks in (hand.looks[:MOST_LOOKS], hand.looks))
        assert 0.005 < apart(small, points) < 0.15
    # A hand that is that small already, and no hand, stay as they are.
    for hand, as_it_is in zip(both[2:], plain[2:], strict=True):
        assert hand.found == as_it_is.found
        np.testing.assert_array_equal(hand.looks, as_it_is.looks)
    assert both[3] == NO_HAND


def test_what_is_found_elsewhere_in_the_small_copy_is_passed_over(images, look):
    hand = look(images(PLAIN))
    moved = replace(hand, landmarks=hand.landmarks + np.float32([0.6 * hand.extent, 0, 0]))
    assert hand.with_small(moved) is hand
    assert hand.with_small(NO_HAND) is hand
    assert len(hand.with_small(hand).looks) == 2 * MOST_LOOKS


def pixels_of(hand, picture):
    return hand.landmarks[:, :2] * max(picture.size)


def apart(points, others):
    """The mean distance of landmarks, as a share of the hand's size."""
    return np.linalg.norm(points - others, axis=1).mean() / np.ptp(others, axis=0).max()


@pytest.mark.parametrize("name", ["PLAIN", "FIST", "TIGHT", "CLOSE"])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_picture_turned_on_its_side_or_upside_down_shows_the_same_hand(images, look, name, quarters):
    upright = images(globals()[name])
    hand, turned = look(upright), look(Image.fromarray(np.rot90(upright, quarters)))
    points = pixels_of(hand, upright)
    for _ in range(quarters):  # counter-clockwise, in a square picture
        points = np.column_stack([points[:, 1], upright.width - 1 - points[:, 0]])
    assert turned.side == hand.side
    assert apart(pixels_of(turned, upright), points) < 0.02
    up, across = hand.world[9] - hand.world[0], turned.world[9] - turned.world[0]
    angle = np.degrees(np.arctan2(*across[:2]) - np.arctan2(*up[:2])) % 360
    assert angle == pytest.approx(90 * quarters, abs=8)


@pytest.mark.parametrize("name", ["PLAIN", "FIST", "TIGHT", "CLOSE"])
def test_a_mirrored_picture_shows_the_other_hand_in_the_mirrored_place(images, look, name):
    image = images(globals()[name])
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    hand, other = look(image), look(mirrored)
    assert {hand.side, other.side} == {"left", "right"}
    assert min(hand.score, other.score) > 0.9  # all looks agree, mirrored ones too
    points = pixels_of(hand, image) * (-1, 1) + (image.width - 1, 0)
    assert apart(pixels_of(other, mirrored), points) < 0.025


def test_of_two_hands_the_nearer_one_is_taken(images, look):
    room = far(images(TIGHT), 300, place=(100, 200))
    both = room.copy()
    both.paste(far(images(TIGHT), 240, place=(900, 300)).crop((900, 300, 1140, 540)), (900, 300))
    assert look(both).found == "plain"
    assert apart(pixels_of(look(both), both), pixels_of(look(room), room)) < 0.02


def curls_like_a_right_hand(world):
    """Tell the side by the shape alone.

    From the wrist to the first and to the last knuckle: on a right hand the cross product points out of the palm, to
    where the fingers curl, with x to the right, y down and z away.
    """
    palm = np.cross(world[5] - world[0], world[17] - world[0])
    return (world[TIPS] - world[KNUCKLES]).mean(axis=0) @ palm > 0


def test_the_side_is_that_of_a_picture_which_is_not_mirrored(images, look):
    for image in (images(FIST), images(FIST).transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        hand = look(image)
        assert hand.side == ("right" if curls_like_a_right_hand(hand.world) else "left")


PLAIN = "alphabet_frames/B/B0.jpg"
FIST = "alphabet_frames/A/A0.jpg"
WALL = "alphabet_frames/Nothing/N0.jpg"
CLOSE = "studio_hands/m/hand1_m_bot_seg_1_cropped.jpeg"
CLOSER = "studio_hands/c/hand2_c_right_seg_1_cropped.jpeg"
TIGHT = "studio_hands/b/hand1_b_bot_seg_1_cropped.jpeg"

import io

import numpy as np
import pytest
from PIL import Image

from aslspark.images.decoding import ImageSpec
from aslspark.images.hands.crop import points_in_crop
from aslspark.images.hands.detector_process import shared_detector
from aslspark.images.hands.find_and_crop import find_and_crop, whole_picture
from aslspark.images.hands.options import HandOptions

pytest.importorskip("mediapipe")

OPTIONS = HandOptions()
FORM = ImageSpec(64, 64, 3)
KNUCKLES, TIPS = [5, 9, 13, 17], [8, 12, 16, 20]


@pytest.fixture(scope="module")
def images(real_data):
    def read(name):
        return Image.open(real_data / "images" / name).convert("RGB")

    return read


@pytest.fixture(scope="module")
def look():
    def find(image):
        return shared_detector(OPTIONS)(np.asarray(image))

    yield find
    shared_detector(OPTIONS).close()


def far(image, side, size=(1280, 720), place=(900, 250)):
    """Cut a hand out of its black background and put it, small, into a dull room."""
    room = np.linspace(90, 160, size[0], dtype=np.uint8)
    whole = Image.fromarray(np.repeat(np.tile(room, (size[1], 1))[:, :, None], 3, axis=2))
    small = image.resize((side, side), Image.Resampling.LANCZOS)
    mask = small.convert("L").point(lambda value: 255 if value > 25 else 0)
    whole.paste(small, place, mask)
    return whole


def test_each_try_finds_its_kind_of_picture(images, look):
    plain = look(images(PLAIN))
    padded = look(images(CLOSE))
    framed = look(images(CLOSER))
    small = look(far(images(TIGHT), 90))
    hands = (plain, padded, framed, small)
    assert [hand.found for hand in hands] == ["plain", "padded", "framed", "enlarged"]
    for hand in hands:
        assert hand.landmarks.shape == hand.world.shape == (21, 3)
        assert hand.landmarks.dtype == hand.world.dtype == np.float32
        assert 0 <= hand.score <= 1


def test_the_landmarks_are_the_median_of_four_looks_that_agree(images, look):
    hand = look(images(TIGHT))
    looks = hand.looks.reshape(4, 2, 21, 3)
    np.testing.assert_allclose(np.median(looks[:, 0], axis=0), hand.landmarks, atol=1e-6)
    np.testing.assert_allclose(np.median(looks[:, 1], axis=0), hand.world, atol=1e-6)
    size = np.ptp(hand.landmarks[:, :2], axis=0).max()
    for again in looks[1:, 0]:
        assert 0 < np.linalg.norm(again[:, :2] - looks[0, 0, :, :2], axis=1).mean() < 0.1 * size


def test_a_wall_has_no_hand(images, look):
    hand = look(images("alphabet_frames/Nothing/N0.jpg"))
    assert (hand.found, hand.landmarks, hand.world, hand.side, hand.score, hand.trouble) == (None,) * 6


def test_every_try_gives_places_in_the_picture_itself(images, look):
    tight = images("studio_hands/a/hand1_a_bot_seg_2_cropped.jpeg")
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


def test_the_turn_that_a_camera_noted_is_made_first(images):
    upright = images(PLAIN)
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned to the right
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", quality=98, exif=exif)
    pixels, hand = find_and_crop(whole_picture(turned.getvalue(), FORM), FORM, OPTIONS)
    as_it_is, other = find_and_crop(upright, FORM, OPTIONS)
    assert np.abs(hand.landmarks - other.landmarks)[:, :2].max() < 0.02
    assert np.abs(pixels.astype(int) - as_it_is).mean() < 8


def test_the_crop_shows_the_hand(images):
    image = images(PLAIN)
    pixels, hand = find_and_crop(image, FORM, OPTIONS)
    assert pixels.shape == FORM.shape
    inside = points_in_crop(hand.landmarks, image.size, OPTIONS)
    assert inside.min() > 0.1
    assert inside.max() < 0.9


@pytest.mark.parametrize("name", ["PLAIN", "FIST", "TIGHT"])
def test_the_mirror_shows_the_other_hand(images, look, name):
    image = images(globals()[name])
    hand, mirrored = look(image), look(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert {hand.side, mirrored.side} == {"left", "right"}


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


def test_what_mediapipe_writes_to_standard_error_is_not_seen(images, look, capfd):
    look(images(PLAIN))
    assert capfd.readouterr() == ("", "")


PLAIN = "alphabet_frames/B/B0.jpg"
FIST = "alphabet_frames/A/A0.jpg"
CLOSE = "alphabet_frames/A/A35.jpg"
CLOSER = "studio_hands/c/hand5_c_dif_seg_2_cropped.jpeg"
TIGHT = "studio_hands/b/hand1_b_bot_seg_1_cropped.jpeg"

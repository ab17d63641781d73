"""Landmarks beside those of MediaPipe, on pictures of people.

`mediapipe_hands.npz` is what mediapipe 0.10.21 gave with `Hands(static_image_mode=True, max_num_hands=2,
model_complexity=1, min_detection_confidence=0.5)`, for 300 pictures that the seed in the file chose.
"""

from pathlib import Path

import numpy as np
import pytest

from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.find_and_crop import AT_ONCE, MOST_SIDE, find_and_crop, whole_picture
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.images.image_spec import ImageSpec

pytestmark = pytest.mark.long
FORM = ImageSpec(64, 64, 3)


@pytest.fixture(scope="module")
def expected():
    with np.load(Path(__file__).with_name("mediapipe_hands.npz")) as kept:
        return dict(kept)


@pytest.fixture(scope="module")
def found(expected, real_data):
    """The hand that MediaPipe found, as the detector finds it: points in pixels, points in metres, sides."""
    find_hands = HandDetector(HandOptions(confidence=0.5, looks=1), installed_networks("test"), threads=2)
    points, world, sides = [], [], []
    paths = [real_data / name for name in expected["pictures"][expected["picture"]]]
    for start in range(0, len(paths), AT_ONCE):
        images = [whole_picture(path.read_bytes(), FORM) for path in paths[start : start + AT_ONCE]]
        for image, (_, hand) in zip(images, find_and_crop(images, FORM, find_hands), strict=True):
            points.append(hand.landmarks * min(max(image.size), MOST_SIDE))
            world.append(hand.world)
            sides.append(hand.side)
    return np.stack(points), np.stack(world), np.array(sides)


def apart(points, others, sizes):
    """Mean distances of the landmarks, as shares of the hands' sizes: their median and 95th percentile."""
    return np.percentile(np.linalg.norm(points - others, axis=2).mean(axis=1) / sizes, [50, 95])


def test_landmarks_are_where_mediapipe_sees_them(expected, found):
    points, theirs = found[0], expected["points"]
    sizes = np.ptp(theirs[..., :2], axis=1).max(axis=1)
    assert (apart(points[..., :2], theirs[..., :2], sizes) < (0.005, 0.02)).all()  # 0.0033 and 0.0198
    assert (apart(points[..., 2:], theirs[..., 2:], sizes) < (0.01, 0.04)).all()  # depth, which is less sure


def test_points_in_metres_are_those_of_mediapipe(expected, found):
    sizes = np.linalg.norm(np.ptp(expected["world"], axis=1), axis=1)
    assert (apart(found[1], expected["world"], sizes) < (0.006, 0.03)).all()  # 0.0049 and 0.0256


def test_the_side_is_that_of_mediapipe_which_takes_pictures_for_mirrored(expected, found):
    sides = np.where(expected["mediapipe_label"] == "Left", "right", "left")
    assert (sides == found[2]).mean() >= 0.99

"""Raw numbers of the palm network, and what is read from them."""

import math

import numpy as np
import pytest

from aslspark.images.hands.palms import SIDE, anchors, find_palms, overlaps
from aslspark.images.hands.square import Square

WHOLE = Square(100.0, 100.0, 200.0)
"""A picture of 200 x 200 pixels."""


class Session:
    """Answers with numbers made up for a test, as an onnxruntime.InferenceSession would with the network's."""

    def __init__(self, *boxes):
        self.raw, self.logits = np.zeros((1, 2016, 18), np.float32), np.full((1, 2016, 1), -20, np.float32)
        for anchor, score, left, top, right, bottom, keypoints in boxes:
            x, y = anchors()[anchor]
            middle = ((left + right) / 2 - x, (top + bottom) / 2 - y, right - left, bottom - top)
            points = np.full((7, 2), 0.5)
            for n, place in keypoints.items():
                points[n] = place
            self.raw[0, anchor] = SIDE * np.array([*middle, *(points - (x, y)).ravel()])
            self.logits[0, anchor] = math.log(score / (1 - score))

    def get_inputs(self):
        return [type("Node", (), {"name": "pictures"})]

    def run(self, _, inputs):
        assert inputs["pictures"].dtype == np.float32
        return self.raw, self.logits


def palms_of(*boxes, square=WHOLE, confidence=0.3):
    (palms,) = find_palms(Session(*boxes), np.zeros((1, SIDE, SIDE, 3), np.uint8), [square], confidence)
    return palms


UPRIGHT = {0: (0.5, 0.6), 2: (0.5, 0.4)}
"""The wrist below the knuckle of the middle finger, as shares of the cut-out."""


def test_anchors_are_two_a_cell_of_8_pixels_then_six_a_cell_of_16_row_by_row():
    places = anchors()
    assert places.shape == (24 * 24 * 2 + 12 * 12 * 6, 2) == (2016, 2)
    half, whole = 4 / SIDE, 8 / SIDE
    for n, place in ((0, (half, half)), (2, (half + whole, half)), (48, (half, half + whole)), (1151, (1 - half,) * 2)):
        assert places[n] == pytest.approx(place)
    assert places[1152] == pytest.approx((whole, whole))
    assert places[2015] == pytest.approx((1 - whole, 1 - whole))


def test_a_box_is_read_from_its_anchor_and_scores_are_of_the_logistic_function():
    (palm,) = palms_of((700, 0.8, 0.4, 0.5, 0.6, 0.8, UPRIGHT))
    assert palm.score == pytest.approx(0.8)
    assert palm.box == pytest.approx((0.4, 0.5, 0.6, 0.8))


@pytest.mark.parametrize(("confidence", "count"), [(0.29, 1), (0.31, 1), (0.89, 1), (0.91, 0)])
def test_a_lone_palm_needs_a_third_of_the_confidence(confidence, count):
    assert len(palms_of((700, 0.3, 0.4, 0.4, 0.6, 0.6, UPRIGHT), confidence=confidence)) == count


def test_beside_a_palm_that_has_the_confidence_a_fainter_one_is_none():
    sure, faint = (700, 0.5, 0.4, 0.4, 0.6, 0.6, UPRIGHT), (1300, 0.4, 0.1, 0.1, 0.3, 0.3, UPRIGHT)
    assert [palm.score for palm in palms_of(sure, faint, confidence=0.49)] == pytest.approx([0.5])
    assert len(palms_of(sure, faint, confidence=0.51)) == 2


def test_boxes_that_overlap_are_one_palm_at_their_mean_weighted_by_score():
    palms = palms_of(
        (700, 0.3, 0.4, 0.4, 0.6, 0.6, UPRIGHT),
        (704, 0.9, 0.44, 0.4, 0.64, 0.6, UPRIGHT),
        (1300, 0.5, 0.1, 0.1, 0.3, 0.3, UPRIGHT),
    )
    assert [palm.score for palm in palms] == pytest.approx([0.9, 0.5])
    assert palms[0].box == pytest.approx((0.43, 0.4, 0.63, 0.6))  # a quarter of the one, three of the other
    assert palms[1].box == pytest.approx((0.1, 0.1, 0.3, 0.3))


def test_a_box_without_an_area_is_read_as_any_other():
    assert len(palms_of((700, 0.9, 0.5, 0.5, 0.5, 0.5, UPRIGHT), (704, 0.8, 0.1, 0.1, 0.1, 0.1, UPRIGHT))) == 2


def test_the_overlap_is_the_intersection_over_the_union():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [5, 5, 5, 5]], float)
    assert overlaps(boxes[0], boxes) == pytest.approx([1, 1 / 7, 0, 0])


@pytest.mark.parametrize(
    ("knuckle", "angle", "moved"),
    [((0.5, 0.4), 0, (0, -0.1)), ((0.7, 0.6), 90, (0.1, 0)), ((0.5, 0.8), 180, (0, 0.1)), ((0.3, 0.6), -90, (-0.1, 0))],
)
def test_the_hands_square_has_the_wrist_below_and_is_moved_toward_the_fingers(knuckle, angle, moved):
    (palm,) = palms_of((700, 0.8, 0.4, 0.5, 0.5, 0.7, {0: (0.5, 0.6), 2: knuckle}))
    assert math.degrees(palm.hand.angle) == pytest.approx(angle)
    # 0.1 x 0.2 of the picture's 200 pixels: half of the height toward the fingers, 2.6 times the longer side.
    assert (palm.hand.x, palm.hand.y) == pytest.approx((90 + 200 * moved[0], 120 + 200 * moved[1]))
    assert palm.hand.side == pytest.approx(2.6 * 40)


def test_a_palm_in_a_turned_part_of_a_picture_has_its_square_in_the_picture():
    part = Square(300.0, 50.0, 100.0, math.pi / 2)
    (palm,) = palms_of((700, 0.8, 0.4, 0.5, 0.6, 0.7, UPRIGHT), square=part)
    assert math.degrees(palm.hand.angle) == pytest.approx(90)
    # The part's x is the picture's y, and its up is the picture's right.
    assert (palm.hand.x, palm.hand.y) == pytest.approx((300, 50))
    assert palm.hand.side == pytest.approx(2.6 * 20)

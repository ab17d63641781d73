"""A network of landmarks alone reads each look at a hand, and a hand that hangs down also turned by half."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from aslspark.common.onnx_sessions import open_session
from aslspark.features.landmarks import FEATURES, HAND_NUMBERS, MOST_LOOKS
from aslspark.models.onnx_classifier import OnnxClassifier

UP, DOWN, OTHER = "ABC"
_Y_OF_THE_THUMB = 1
"""Place in the features: below 0 in an upright hand, which has the wrist at 0."""


def network(sureness_down):
    """Reads an upright hand as A, a hanging one as B so surely, and as C where neither is sure."""
    weights = np.zeros((FEATURES, 3), np.float32)
    weights[_Y_OF_THE_THUMB] = (-30, 30 * sureness_down, 0)
    tensor = helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel())
    nodes = [
        helper.make_node("MatMul", ["landmarks", "weights"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["positive"]),
        helper.make_node("Softmax", ["positive"], ["probability"], axis=1),
    ]
    given = helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["n", FEATURES])
    made = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "lean", [given], [made], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return OnnxClassifier(model.SerializeToString(), (UP, DOWN, OTHER), (8, 8, 1), inputs=("landmarks",))


def hand(up):
    points = np.zeros((21, 3), np.float32)
    points[1:, 1] = np.linspace(0.1, 0.2, 20) * (-1 if up else 1)
    return np.concatenate([points.ravel(), points.ravel(), [1, 1]]).astype(np.float32)


def read(network, *hands):
    reasons = np.full(len(hands), None, object)
    vectors = np.stack(hands)
    probabilities = network.probabilities(open_session(network.onnx, 1), None, vectors, reasons)
    assert reasons.tolist() == [None] * len(hands)
    return ["ABC"[best] for best in probabilities.argmax(axis=1)]


def test_a_picture_that_is_upside_down_is_read_turned_by_half():
    assert read(network(sureness_down=0), hand(up=True), hand(up=False), hand(up=True)) == [UP, UP, UP]


def test_a_hand_that_is_surely_read_as_it_hangs_stays_so():
    assert read(network(sureness_down=2), hand(up=True), hand(up=False)) == [UP, DOWN]


def looked(up, *views):
    """A hand, and looks at it: whether each sees it upright; the others see what all agree on."""
    of_hand = hand(up)
    seen = [hand(view)[:126] for view in views] + [of_hand[:126]] * (MOST_LOOKS - len(views))
    return np.concatenate([of_hand, *seen])


def test_what_most_looks_at_a_hand_show_is_read():
    classifier = network(sureness_down=0.5)
    assert read(classifier, looked(True), looked(True, False), looked(True, False, False, False, False)) == [
        UP,
        UP,
        DOWN,
    ]


def test_looks_that_are_all_alike_change_nothing():
    classifier, session = network(sureness_down=0.5), None
    session = open_session(classifier.onnx, 1)
    hands = np.stack([looked(True), looked(False)])
    reasons = np.full(2, None, object)
    given = classifier.probabilities(session, None, hands, reasons)
    np.testing.assert_array_equal(given, classifier.probabilities(session, None, hands[:, :HAND_NUMBERS], reasons))


def test_where_no_hand_was_found_nothing_is_turned():
    none = np.zeros(HAND_NUMBERS, np.float32)
    classifier = network(sureness_down=0)
    reasons = np.full(1, None, object)
    probabilities = classifier.probabilities(open_session(classifier.onnx, 1), None, none[None], reasons)
    assert reasons.tolist() == ["no hand found"]
    assert probabilities[0] == pytest.approx([1 / 3] * 3)

"""A bundle's manifest on both sides of each of its bounds; nothing is loaded."""

import pytest

from aslspark.bundle.checks import check_manifest
from aslspark.common.load_refused import LoadRefused

FILES = ("bundle.json", "network.onnx", "network.safetensors", "pipeline/metadata/part-00000")
GOOD = {"kind": "network", "labels": ["A", "B"], "shape": [28, 28, 1]}


def accepted(manifest):
    try:
        check_manifest(manifest, FILES)
    except LoadRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("temperature", [0.001, 1, 1000.0], [0.000999, 1000.1, 0, -1.0, float("nan"), True, "1", None]),
        ("threshold", [0.0, 0, 0.5, 1.0, 1], [-1e-9, 1.000001, float("nan"), False, "0.5", None]),
        ("shape", [[1, 1, 1], [4096, 4096, 3]], [[4097, 9, 1], [9, 4097, 1], [0, 9, 1], [9, 9, 2], [9, 9], [9, 9, 4]]),
        ("shape", [[9, 10, 3]], [[9.0, 10, 3], ["9", 10, 3], [True, 10, 3], None, "9"]),
        ("labels", [["A"], ["x" * 100, "y"]], [[], ["x" * 101], [""], ["A", "A"], ["A\n"], [1], "AB", None]),
        ("inputs", [["picture"], ["landmarks", "picture"]], [[], ["picture", "picture"], ["sound"], "picture", None]),
        ("kind", ["network", "mllib"], ["Network", "", None, 1]),
        ("framework", ["keras", "torch", None], ["jax", "", 1]),
        ("network_file", ["network.safetensors", None], ["network.keras", "../network.safetensors", "bundle.json"]),
        ("settings", [{}], [[], "x", None]),
    ],
)
def test_a_value_at_its_bound_is_accepted_and_one_beyond_it_is_refused(name, inside, outside):
    assert accepted(GOOD)
    assert [value for value in inside if not accepted({**GOOD, name: value})] == []
    assert [value for value in outside if accepted({**GOOD, name: value})] == []


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        (
            "mask",
            [[[0, 0, 0], [255, 255, 255]], None],
            [[[0, 0, 0], [255, 255, 256]], [[-1, 0, 0], [9, 9, 9]], [[0] * 3]],
        ),
        ("mask", [[[0, 60, 110], [30, 209, 255]]], [[[0, 60, 110.0], [30, 209, 255]], [[0, 60], [30, 209]], [], "0"]),
        ("fit", ["crop", "letterbox", None], ["stretch", "", 1]),
        ("upright", [True, False], [1, "yes", None]),
        ("stretch", [True, False], [0, "no", None]),
        ("landmark_features", [0, 400], [400.0, "400", True]),
        ("hands", [{}, {"looks": 4, "confidence": 0.3}, None], [{"looks": 0}, {"confidence": 1.5}, [], "on"]),
    ],
)
def test_how_pictures_are_made_ready_is_held_to_the_bounds_of_the_settings(name, inside, outside):
    assert [value for value in inside if not accepted({**GOOD, "preprocessing": {name: value}})] == []
    assert [value for value in outside if accepted({**GOOD, "preprocessing": {name: value}})] == []


@pytest.mark.parametrize(("kind", "needed"), [("network", "network.onnx"), ("mllib", "pipeline/metadata/part-00000")])
def test_what_a_kind_of_bundle_is_made_of_must_be_there(kind, needed):
    check_manifest({**GOOD, "kind": kind}, [needed])
    with pytest.raises(LoadRefused, match="is missing"):
        check_manifest({**GOOD, "kind": kind}, [name for name in FILES if name != needed])


def test_the_metadata_of_a_pipeline_are_known_as_spark_3_and_as_spark_4_name_them_and_there_are_one():
    spark3, number = "pipeline/metadata/part-00000", "3c1d7e2f-90ab-4cde-8f01-23456789abcd"
    spark4 = f"{spark3}-{number}-c000.txt"
    for names in ([spark3], [spark4, "pipeline/metadata/_SUCCESS"]):
        check_manifest({**GOOD, "kind": "mllib"}, names)
    for names in ([f"{spark3}.gz"], [f"{spark3}-{number}-c000.txt.gz"], [f"{spark3}-x-c000.txt"], [f"a/{spark4}"]):
        with pytest.raises(LoadRefused, match="is missing"):
            check_manifest({**GOOD, "kind": "mllib"}, names)
    with pytest.raises(LoadRefused, match="is there more than once"):
        check_manifest({**GOOD, "kind": "mllib"}, [spark3, spark4])

"""A bundle of a model that looks for hands brings the networks that find them."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from serving_bundles import LABELS, network, write_bundle

from aslspark.bundle.files import HANDS, MANIFEST, SUMS, seal
from aslspark.common.errors import AslsparkError
from aslspark.images.hands.networks import FOLDER_VARIABLE, NETWORK_FILES, installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.scoring.model import read_model
from aslspark.scoring.reader import Reader

SHAPE = (64, 64, 3)
FILES = ("NOTICE.txt", "landmarks.onnx", "palm.onnx")


@pytest.fixture(scope="module")
def picture(real_data):
    return (real_data / "images" / "alphabet_frames" / "B" / "B0.jpg").read_bytes()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "hands", network(shape=SHAPE), hands=True)


@pytest.fixture
def bundle(written, tmp_path):
    return shutil.copytree(written, tmp_path / "bundle")


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))


@pytest.fixture
def former(bundle):
    """The bundle as an earlier version wrote it: it looks for hands, and brings no networks."""
    shutil.rmtree(bundle / HANDS)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["preprocessing"]["hands"]["seconds"] = 10.0
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    seal(bundle)
    return bundle


def test_the_networks_their_origin_and_their_checksums_are_in_it(bundle):
    assert sorted(path.name for path in (bundle / HANDS).iterdir()) == sorted(FILES)
    sums = dict(reversed(line.split("  ")) for line in (bundle / SUMS).read_text().splitlines())
    for name, content in installed_networks("test").files().items():
        assert (bundle / HANDS / name).read_bytes() == content
        assert sums[f"{HANDS}{name}"] == hashlib.sha256(content).hexdigest()


def test_a_model_that_looks_for_no_hands_brings_none(tmp_path):
    path = write_bundle(tmp_path / "bundle", network())
    assert not (tmp_path / "bundle" / HANDS).exists()
    assert Reader.load(path).hands is None


def test_a_bundle_with_its_networks_needs_none_of_the_machine(bundle, picture, nothing_installed, caplog):
    with pytest.raises(AslsparkError):
        installed_networks("test")
    reader, model = Reader.load(str(bundle)), read_model(str(bundle))
    assert reader.hands == model.hands
    assert reader.hands.networks.palm == (bundle / HANDS / "palm.onnx").read_bytes()
    answer = reader.read(picture)
    assert answer.letter in LABELS
    reader.hands = None
    assert reader.read(picture).probability != answer.probability  # the hand was found and cropped to
    assert caplog.messages == []


def test_a_bundle_with_its_networks_scores_in_spark_with_none_of_the_machine(spark, bundle, picture, nothing_installed):
    rows = spark.createDataFrame([(bytearray(picture),)], "content binary")
    (row,) = read_model(str(bundle)).setInputCol("content").transform(rows).collect()
    expected = Reader.load(str(bundle)).read(picture)
    assert (row["letter"], row["probability"]) == (expected.letter, pytest.approx(expected.probability, abs=1e-5))


def test_a_bundle_of_an_earlier_version_looks_with_the_machines_networks_and_says_so(written, former, picture, caplog):
    reader = Reader.load(str(former))
    assert caplog.messages == [
        f"{former} is of an earlier version: it looks for hands with the networks of this machine"
    ]
    assert reader.hands.options == HandOptions()  # and its `seconds` have no meaning now
    assert reader.hands.networks == installed_networks("test")
    assert reader.read(picture).top == Reader.load(written).read(picture).top


def test_a_bundle_of_an_earlier_version_says_what_is_missing_where_the_machine_has_no_networks(
    former, nothing_installed
):
    for load in (Reader.load, read_model):
        with pytest.raises(AslsparkError) as caught:
            load(str(former))
        assert str(caught.value).startswith(f"--model {former}: the networks that find hands are not here (")
        assert str(caught.value).endswith("; run: aslspark fetch hand-models")


def scalar_network():
    """A network that takes what the palm network takes, and gives one number."""
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 192, 192, 3])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("y", "z")]
    nodes = [helper.make_node("ReduceMean", ["x"], [name], keepdims=0) for name in ("y", "z")]
    graph = helper.make_graph(nodes, "scalar", [given], made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("name", NETWORK_FILES)
@pytest.mark.parametrize("content", ["other", "classifier", "scalar", "garbage"])
def test_a_bundle_whose_hand_network_is_something_else_is_refused(bundle, name, content):
    (other,) = set(NETWORK_FILES) - {name}
    contents = {
        "other": (bundle / HANDS / other).read_bytes(),
        "classifier": (bundle / "network.onnx").read_bytes(),
        "scalar": scalar_network(),
        "garbage": np.random.default_rng(1).bytes(1000),
    }
    (bundle / HANDS / name).write_bytes(contents[content])
    seal(bundle)
    reason = "cannot be opened" if content == "garbage" else "takes .*: it is no network that finds hands"
    for load in (Reader.load, read_model):
        with pytest.raises(AslsparkError, match=f"--model {bundle}: .*{name} {reason}") as caught:
            load(str(bundle))
        assert "\n" not in str(caught.value)


def test_a_hand_network_that_was_changed_is_found_and_named(bundle):
    path = bundle / HANDS / "palm.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(AslsparkError, match=r"hands/palm\.onnx was changed"):
        Reader.load(str(bundle))

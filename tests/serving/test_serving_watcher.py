"""The service looks for another bundle as long as it lives, and takes none that does not answer."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from moments import ENTERED, whenever
from s3_store import served_bucket
from serving_bundles import LABELS, SHAPE, network, picture_file, service, write_bundle

from aslspark.bundle.files import SUMS, seal
from aslspark.common.errors import AslsparkError
from aslspark.common.store_path import any_path
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.reader import Reader
from aslspark.serving.model_holder import RETRYING, WATCHING, ModelHolder, try_out

pytestmark = pytest.mark.slow

PIXELS = 1_000_000


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return [Path(write_bundle(folder / name, network(seed=seed))) for name, seed in (("first", 5), ("second", 6))]


@pytest.fixture
def link(bundles, tmp_path):
    link = tmp_path / "champion"
    link.symlink_to(bundles[0])
    return link


def lead(link, to):
    away = link.with_name("next")
    away.symlink_to(to)
    os.replace(away, link)


def gives(factor):
    """A network whose four numbers are each the picture's mean times a factor."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Mul", ["flat", "factor"], ["one"]),
        helper.make_node("Concat", ["one"] * len(LABELS), ["probability"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "numbers",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", *SHAPE])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", len(LABELS)])],
        [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return OnnxClassifier(made.SerializeToString(), LABELS, SHAPE)


def with_manifest(bundle, folder, **changed):
    """A copy of a bundle whose manifest says something else, sealed anew."""
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**manifest, **changed}))
    seal(folder)
    return folder


@pytest.mark.promise(
    "service",
    "A bundle that is still being copied is tried again until it is whole, and is then served.",
    kind="a failed try that is taken for the last word",
)
def test_a_bundle_that_is_still_being_copied_is_served_when_it_is_whole(bundles, link, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(bundles[1], half)
    whole = (half / "network.onnx").read_bytes()
    (half / "network.onnx").write_bytes(whole[: len(whole) // 2])
    with service(link, "--every", "0.05") as started:
        lead(link, half)
        health = started.ask("/health")[1]
        while health["watcher"]["state"] != "retrying":
            health = started.ask("/health")[1]
        assert health["status"] == "ok"
        assert health["watcher"]["failures"] >= 1
        assert started.ask("/predict", picture_file(), "image/jpeg")[0] == 200
        assert 'aslspark_model_watcher{state="retrying"} 1.0' in started.ask("/metrics")[1].decode()
        (half / "network.onnx").write_bytes(whole)  # what tells bundles apart, SHA256SUMS, stays as it was
        while not started.ask("/health")[1]["model"].startswith("half@"):
            pass
        assert started.ask("/health")[1]["watcher"]["state"] == "watching"


@pytest.mark.promise(
    "service",
    "Whatever a bundle's path leads to, the watcher lives, the old model stays and the next good bundle is served.",
    kind="an exception of a kind that was not foreseen",
)
def test_the_watcher_lives_through_whatever_the_path_leads_to(bundles, link, tmp_path, capsys):
    holder = ModelHolder(str(link), pixels=PIXELS)
    before = holder.current
    folder = tmp_path / "sums"
    (folder / "SHA256SUMS").mkdir(parents=True)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    hands = with_manifest(bundles[1], tmp_path / "hands", preprocessing={"hands": {"unheard": 1}})
    mask = with_manifest(bundles[1], tmp_path / "mask", preprocessing={"mask": 7})
    sizes = with_manifest(bundles[1], tmp_path / "sizes", preprocessing=[1])
    for to in (folder, loop, hands, mask, sizes, tmp_path / "nowhere", "x" * 5000):
        link.unlink()
        link.symlink_to(str(to)[:4000])
        assert holder.check() is False
        assert holder.check() is False
        assert (holder.current, holder.state) == (before, RETRYING), to
        lead_back(link, bundles[0])
        holder.check()
        assert holder.state == WATCHING
    lead(link, bundles[1])
    assert holder.check() is True
    assert holder.current.reader.digest == Reader.load(str(bundles[1])).digest


def lead_back(link, to):
    link.unlink()
    link.symlink_to(to)


def test_a_bundle_in_a_store_is_served_and_exchanged_when_another_lies_there(bundles, tmp_path, monkeypatch):
    with served_bucket(tmp_path) as store:
        for name, value in store.environment().items():
            monkeypatch.setenv(name, value)
        place = any_path(store.uri("runs/letters"))
        place.copy_from(bundles[0], last=[SUMS])
        holder = ModelHolder(str(place), pixels=PIXELS)
        assert holder.current.name == f"letters@{Reader.load(str(bundles[0])).digest[:12]}"
        assert not holder.check()
        place.copy_from(bundles[1], last=[SUMS])
        assert holder.check()
        assert holder.current.reader.digest == Reader.load(str(bundles[1])).digest
        place.remove_tree()
        assert not holder.check()
        assert not holder.check()
        assert (holder.state, holder.current.bundle) == ("retrying", str(place))


def test_an_error_that_nobody_foresaw_does_not_end_the_watcher(link, bundles):
    holder = ModelHolder(str(link), pixels=PIXELS)

    def unheard(_):
        raise ZeroDivisionError("a library's own")

    lead(link, bundles[1])
    with whenever(try_out, ENTERED, unheard):
        assert holder.check() is False
        assert holder.state == RETRYING
    assert holder.check(at_once=False) is False  # not before its time
    assert holder.check() is True
    assert (holder.state, holder.failures, holder.switches) == (WATCHING, 1, 1)


@pytest.mark.promise(
    "service",
    "A bundle whose network gives no probabilities, or whose settings allow none, is not served.",
    kind="a trial whose result nobody looks at",
)
@pytest.mark.parametrize("factor", [1.0, -0.002, float("nan"), 3e38, 0.0])
def test_a_network_that_gives_no_probabilities_is_not_served(link, tmp_path, factor):
    bad = write_bundle(tmp_path / "bad", gives(factor))
    with pytest.raises(AslsparkError, match="no probabilities"):
        ModelHolder(bad, pixels=PIXELS)
    holder = ModelHolder(str(link), pixels=PIXELS)
    before = holder.current
    lead(link, bad)
    assert holder.check() is False
    assert holder.current is before


@pytest.mark.promise(
    "service",
    "A bundle whose network gives no probabilities, or whose settings allow none, is not served.",
    kind="a trial whose result nobody looks at",
)
@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": "1"},
        {"temperature": float("nan")},
        {"threshold": 2},
        {"threshold": None},
        {"labels": [*LABELS[:-1], 7]},
        {"labels": [*LABELS, "Z"]},
        {"shape": [28, 28, 0]},
        {"shape": [56, 14, 1]},
    ],
)
def test_a_bundle_whose_settings_allow_no_answer_is_not_served(bundles, link, tmp_path, changed):
    bad = with_manifest(bundles[1], tmp_path / "bad", **changed)
    with pytest.raises(AslsparkError) as found:
        ModelHolder(str(bad), pixels=PIXELS)
    assert len(str(found.value).splitlines()) == 1
    holder = ModelHolder(str(link), pixels=PIXELS)
    lead(link, bad)
    assert holder.check() is False
    assert holder.state == RETRYING


def test_a_network_whose_numbers_overflow_at_a_picture_says_so(tmp_path):
    network = gives(1 / (4 * 127.5))
    reader = Reader.load(write_bundle(tmp_path / "mean", network))
    assert reader.read(picture_file()).letter
    reader.temperature = float("nan")
    answer = reader.answer(np.zeros(SHAPE, np.uint8), None)
    assert (answer.letter, answer.usable) == (None, False)

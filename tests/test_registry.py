import json
import os
import subprocess
import sys

import pytest

from aslspark.bundle import read_model, seal, whole_folder, write_model
from aslspark.errors import AslsparkError
from aslspark.models import torch_network
from aslspark.registry import BEGUN, CHAMPION, PROMOTED, REFUSED, Registry
from aslspark.scoring import OnnxClassifier, SignClassifierModel

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def model():
    network = torch_network.build("cnn", SHAPE, 3, 0.0).eval()
    return SignClassifierModel(OnnxClassifier(torch_network.to_onnx(network, SHAPE, True), ("A", "B", "C"), SHAPE))


@pytest.fixture
def bundle(spark, model, tmp_path):
    with whole_folder(tmp_path / "bundle") as folder:
        write_model(model, None, folder, settings={})
        seal(folder)
    return tmp_path / "bundle"


@pytest.fixture
def registry(tmp_path):
    return Registry(str(tmp_path / "registry"))


def reign(registry, bundle, action=PROMOTED):
    version = registry.add(str(bundle))
    registry.record(action, champion=version, challenger=version)
    registry.point(CHAMPION, version)
    return version


def test_the_champion_is_read_by_its_alias_as_any_bundle(spark, registry, bundle, model):
    reign(registry, bundle, BEGUN)
    champion = registry.folder / CHAMPION
    assert champion.is_symlink()
    assert read_model(str(champion)).classifier == model.classifier
    assert SignClassifierModel.load(f"file://{champion}").labels == ("A", "B", "C")
    assert os.readlink(champion) == "versions/0001"  # relative: the registry may be moved as a whole


def test_a_rollback_brings_the_earlier_champion_back_and_a_second_the_one_before_that(registry, bundle):
    assert [reign(registry, bundle, action) for action in (BEGUN, PROMOTED, PROMOTED)] == ["0001", "0002", "0003"]
    registry.record(REFUSED, champion="0003", challenger="0004")
    assert registry.roll_back("it reads S as A") == "0002"
    assert registry.roll_back() == "0001"
    with pytest.raises(AslsparkError, match="no champion before 0001"):
        registry.roll_back()
    assert registry.champion() == "0001"
    assert reign(registry, bundle) == "0005"  # the refused one's number is not given again
    assert registry.roll_back() == "0001"
    assert registry.decisions()[4]["reasons"] == ["it reads S as A"]


def test_a_record_is_only_added_to(registry, bundle):
    reign(registry, bundle, BEGUN)
    before = (registry.folder / "decisions.jsonl").read_bytes()
    reign(registry, bundle)
    after = (registry.folder / "decisions.jsonl").read_bytes()
    assert after.startswith(before)
    assert [json.loads(line)["action"] for line in after.splitlines()] == [BEGUN, PROMOTED]


def test_a_broken_bundle_becomes_no_champion(registry, bundle):
    reign(registry, bundle, BEGUN)
    version = registry.add(str(bundle))
    (registry.path(version) / "network.onnx").write_bytes(b"")
    with pytest.raises(AslsparkError, match=r"network\.onnx was changed"):
        registry.point(CHAMPION, version)
    assert registry.champion() == "0001"


def test_two_jobs_do_not_change_a_registry_at_once(registry):
    words = "import sys; from aslspark.registry import Registry; Registry(sys.argv[1]).locked().__enter__()"
    command = [sys.executable, "-c", words, str(registry.folder)]
    with registry.locked():
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another job is changing it" in other.stderr
    assert subprocess.run(command, check=False).returncode == 0


def test_what_a_killed_job_left_is_removed_by_the_next(registry, bundle):
    reign(registry, bundle, BEGUN)
    for left in ("aslspark-work", "versions/.0002.tmp-1", "versions/0002.unfinished", ".frozen-test.tmp-1"):
        (registry.folder / left).mkdir()
    with registry.locked():
        pass
    assert sorted(path.name for path in registry.folder.iterdir()) == [
        ".lock",
        "champion",
        "decisions.jsonl",
        "versions",
    ]
    assert [path.name for path in (registry.folder / "versions").iterdir()] == ["0001"]

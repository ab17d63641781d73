import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from aslspark.bundle.files import seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.errors import AslsparkError
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.registry.registry import BEGUN, CHAMPION, PROMOTED, RECOVERED, REFUSED, Registry
from aslspark.scoring.model import SignClassifierModel, read_model

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


def decide(registry, bundle, action):
    """Make the bundle a version, as begin and retrain do."""
    with registry.work() as work:
        shutil.copytree(bundle, work / "bundle")
        with registry.locked():
            row = registry.decide(action, {}, bundle=work / "bundle")
    return row.get("challenger", row["champion"])


def test_the_champion_is_read_by_its_alias_as_any_bundle(spark, registry, bundle, model):
    decide(registry, bundle, BEGUN)
    champion = registry.folder / CHAMPION
    assert champion.is_symlink()
    assert read_model(str(champion)).classifier == model.classifier
    assert SignClassifierModel.load(f"file://{champion}").labels == ("A", "B", "C")
    assert os.readlink(champion) == "versions/0001"  # relative: the registry may be moved as a whole


def test_a_rollback_brings_the_earlier_champion_back_and_a_second_the_one_before_that(registry, bundle):
    assert [decide(registry, bundle, action) for action in (BEGUN, PROMOTED, PROMOTED)] == ["0001", "0002", "0003"]
    assert decide(registry, bundle, REFUSED) == "0004"
    assert registry.roll_back("it reads S as A") == "0002"
    assert registry.roll_back() == "0001"
    with pytest.raises(AslsparkError, match="no champion before 0001"):
        registry.roll_back()
    assert registry.champion() == "0001"
    assert decide(registry, bundle, PROMOTED) == "0005"  # the refused one's number is not given again
    assert registry.roll_back() == "0001"
    assert registry.decisions()[4]["reasons"] == ["it reads S as A"]


def test_a_record_is_only_added_to(registry, bundle):
    decide(registry, bundle, BEGUN)
    before = (registry.folder / "decisions.jsonl").read_bytes()
    decide(registry, bundle, PROMOTED)
    after = (registry.folder / "decisions.jsonl").read_bytes()
    assert after.startswith(before)
    assert [json.loads(line)["action"] for line in after.splitlines()] == [BEGUN, PROMOTED]


def test_a_broken_bundle_becomes_no_champion(registry, bundle, tmp_path):
    decide(registry, bundle, BEGUN)
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    (broken / "network.onnx").write_bytes(b"")
    with pytest.raises(AslsparkError, match=r"network\.onnx was changed"):
        decide(registry, broken, PROMOTED)
    assert registry.champion() == "0001"
    assert [row["action"] for row in registry.decisions()] == [BEGUN]
    assert [path.name for path in (registry.folder / "versions").iterdir()] == ["0001"]


def test_two_jobs_do_not_change_a_registry_at_once(registry):
    words = "import sys; from aslspark.registry.registry import Registry; Registry(sys.argv[1]).locked(0).__enter__()"
    command = [sys.executable, "-c", words, str(registry.folder)]
    with registry.locked():
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another job is changing it" in other.stderr
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.promise(
    "registry",
    "While a challenger is trained, anyone may roll back, promote or refuse.",
    kind="the registry is held for longer than the moment of a change",
)
def test_a_registry_changes_while_another_job_is_at_work(registry, bundle):
    decide(registry, bundle, BEGUN)
    with registry.work() as work:
        decide(registry, bundle, PROMOTED)
        words = "import sys; from aslspark.registry.registry import Registry; print(Registry(sys.argv[1]).roll_back())"
        other = [sys.executable, "-c", words, str(registry.folder)]
        assert subprocess.run(other, capture_output=True, text=True, check=True).stdout == "0001\n"
        assert work.is_dir()  # no dead one's, so the others left it alone
    assert not work.exists()


@pytest.mark.promise(
    "registry",
    "What a registry removes is what its own jobs made; whatever else lies in its folder stays.",
    kind="deletion by the pattern of a name",
)
def test_what_a_killed_job_left_is_removed_by_the_next_and_nothing_else(registry, bundle):
    decide(registry, bundle, BEGUN)
    words = (
        "import os, signal, sys; from aslspark.registry.registry import Registry\n"
        "with Registry(sys.argv[1]).work() as work:\n"
        "    (work / 'half').mkdir(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", words, str(registry.folder)], check=False)
    assert list(registry.folder.glob(".work-*/half"))
    others = ["aslspark-notes", ".mine.tmp-1", ".work-of-mine", "versions/.0002.tmp-1", "versions/0002.unfinished"]
    for name in others:
        (registry.folder / name).mkdir()
        (registry.folder / name / "file").write_text("mine")
    decide(registry, bundle, PROMOTED)
    assert not list(registry.folder.glob(".work-*/half"))
    for name in others:
        assert (registry.folder / name / "file").read_text() == "mine"


STEPS = {
    BEGUN: ("none", "0001"),
    PROMOTED: ("0002", "0003"),
    REFUSED: ("0002", "0002"),
    "rolled back": ("0002", "0001"),
}
"""By change: the champion before and after it."""


@pytest.mark.slow
@pytest.mark.promise(
    "registry",
    "Killed at whatever step, a decision is carried out and recorded or neither, and the next call needs no help.",
    kind="record and alias are changed one after the other",
)
@pytest.mark.parametrize("what", STEPS)
def test_a_process_killed_at_any_step_leaves_a_record_that_agrees_with_the_champion(what, registry, tmp_path):
    bundle = REPOSITORY / "tests" / "fixtures" / "bundles" / "format-1-network"
    if what != BEGUN:
        for action in (BEGUN, PROMOTED):
            decide(registry, bundle, action)
    before = [row["action"] for row in registry.decisions()]
    script = [sys.executable, str(REPOSITORY / "tests" / "registry_killed.py"), str(registry.folder), str(bundle), what]
    run = subprocess.run(script, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(found) > 8
    assert [one["killed"] for one in found] == [True] * (len(found) - 1) + [False]
    champion_before, champion_after = (None if name == "none" else name for name in STEPS[what])
    done = []
    for one in found:
        done.append(one["actions"] == [*before, what])
        assert done[-1] or one["actions"] == before
        assert one["champion"] == one["champion_before_recovery"]  # whoever reads the alias sees no other one later
        assert one["champion"] == (champion_after if done[-1] else champion_before)
        if what != REFUSED:
            assert one["seen_before_recovery"] == one["actions"]
        if what == REFUSED:
            assert one["challenger"] == ("0003" if done[-1] else None)
        assert len(one["versions"]) == len(before) + (done[-1] and what != "rolled back")
        assert not [name for name in one["left"] if name.startswith(".") and name != ".lock"]
        assert one["after"][:-1] == one["actions"]
    assert done == sorted(done)
    assert not done[0]
    assert done[-1]
    assert sum(done) >= 3  # some steps lie behind the one from which on it holds


@pytest.mark.promise(
    "registry",
    "A line of the record that was cut short is completed or left out; no rollback leads to what was never champion.",
    kind="a torn line, or a record without its alias",
)
def test_a_line_that_was_cut_short_hides_no_decision(registry, bundle):
    for action in (BEGUN, PROMOTED):
        decide(registry, bundle, action)
    file = registry.folder / "decisions.jsonl"
    whole = file.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in (1, 2, len(last) // 2, len(last) - 1):
        file.write_bytes(whole[:-cut])
        complete = cut == 1  # only its end is missing
        assert [row["action"] for row in registry.decisions()] == [BEGUN, PROMOTED][: 1 + complete]
        with registry.locked():
            pass
        rows = registry.decisions()
        assert [row["action"] for row in rows] == [BEGUN, PROMOTED if complete else RECOVERED]
        assert registry.champion() == rows[-1]["champion"] == "0002"
        assert registry.earlier_champion() == "0001"


def old_registry(folder, bundle, rows, champion):
    """A registry as versions before this one left it: rows without an id."""
    for row in rows:
        shutil.copytree(bundle, folder / "versions" / row.get("challenger", row["champion"]), dirs_exist_ok=True)
    (folder / "decisions.jsonl").write_text("".join(json.dumps({"at": "2026-01-01", **row}) + "\n" for row in rows))
    (folder / "champion").symlink_to(f"versions/{champion}")
    return Registry(str(folder))


@pytest.mark.promise(
    "registry",
    "A line of the record that was cut short is completed or left out; no rollback leads to what was never champion.",
    kind="a torn line, or a record without its alias",
)
def test_a_promotion_that_an_older_version_recorded_but_did_not_carry_out_is_never_gone_back_to(bundle, tmp_path):
    recorded = [
        {"action": BEGUN, "champion": "0001", "bundle": "x"},
        {"action": PROMOTED, "champion": "0002", "before": "0001", "challenger": "0002"},
    ]
    registry = old_registry(tmp_path / "old", bundle, recorded, "0001")
    assert decide(registry, bundle, PROMOTED) == "0003"
    assert [row["action"] for row in registry.decisions()] == [BEGUN, PROMOTED, RECOVERED, PROMOTED]
    assert registry.roll_back() == "0001"


@pytest.mark.promise(
    "registry",
    "Registries that earlier versions made are read and gone on with.",
    kind="a record in another form",
)
def test_a_registry_of_an_older_version_goes_on(bundle, tmp_path):
    recorded = [
        {"action": BEGUN, "champion": "0001", "bundle": "x"},
        {"action": PROMOTED, "champion": "0002", "before": "0001", "challenger": "0002"},
        {"action": REFUSED, "champion": "0002", "before": "0002", "challenger": "0003"},
    ]
    registry = old_registry(tmp_path / "old", bundle, recorded, "0002")
    before = (registry.folder / "decisions.jsonl").read_bytes()
    assert decide(registry, bundle, PROMOTED) == "0004"
    assert [registry.roll_back(), registry.roll_back()] == ["0002", "0001"]
    assert (registry.folder / "decisions.jsonl").read_bytes().startswith(before)

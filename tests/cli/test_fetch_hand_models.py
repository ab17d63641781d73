"""The networks that find hands: from MediaPipe's wheel, from a folder, and what is refused."""

import shutil
import subprocess
import sys
import zipfile

import onnx
import pytest

from aslspark.cli import fetch
from aslspark.cli.fetch_hand_models import _OF_WHEEL, WHEEL, fetch_hand_models
from aslspark.common.errors import AslsparkError
from aslspark.images.hands.make_networks import MEDIAPIPE, SOURCES, check_networks
from aslspark.images.hands.networks import (
    FOLDER_VARIABLE,
    LANDMARKS,
    NETWORK_FILES,
    NOTICE,
    PALM,
    HandNetworks,
    installed_networks,
    network_folders,
    read_networks,
)

HERE = next((folder for folder in network_folders() if read_networks(folder)), None)
"""Where this machine has them."""
needs_networks = pytest.mark.skipif(HERE is None, reason="the networks are not here: aslspark fetch hand-models")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """MediaPipe's wheel, 35 MB."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *_OF_WHEEL, "--dest", str(folder)]
    if subprocess.run([*command, f"mediapipe=={MEDIAPIPE}"], capture_output=True, check=False).returncode != 0:
        pytest.skip("pip fetches no wheel of mediapipe here")
    return folder / WHEEL


def places(monkeypatch, folder):
    """Let pip find what is in the folder, and nothing else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


@needs_networks
@pytest.mark.long
@pytest.mark.parametrize("given", [True, False])
def test_a_wheel_gives_the_networks_of_the_environment_byte_for_byte(wheel, given, tmp_path, monkeypatch):
    places(monkeypatch, wheel.parent)
    fetch_hand_models(str(wheel) if given else None, str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*NETWORK_FILES, NOTICE])
    for name in (*NETWORK_FILES, NOTICE):
        assert (tmp_path / "out" / name).read_bytes() == (HERE / name).read_bytes()


@needs_networks
def test_the_networks_here_read_pictures_in_batches_and_say_where_they_come_from():
    check_networks(read_networks(HERE), "these", "")
    text = (HERE / NOTICE).read_text()
    assert all(words in text for words in ("MediaPipe", "Apache License, Version 2.0", "tf2onnx"))
    assert all(source.sha256 in text for source in SOURCES.values())


@needs_networks
@pytest.mark.parametrize("below", [".", "hands"])
def test_a_folder_or_a_bundle_that_has_the_networks_is_enough(below, tmp_path, monkeypatch, capsys):
    shutil.copytree(HERE, tmp_path / "theirs" / below, dirs_exist_ok=True)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "ours"))
    fetch.main(["hand-models", "--from", str(tmp_path / "theirs")])
    assert installed_networks("this") == read_networks(HERE)
    assert (tmp_path / "ours" / NOTICE).read_text() == (HERE / NOTICE).read_text()
    shutil.rmtree(tmp_path / "theirs")
    fetch.main(["hand-models", "--from", str(tmp_path / "theirs")])
    assert capsys.readouterr().out.splitlines()[-1].endswith("are as they must be")


@needs_networks
def test_networks_without_their_notice_get_one(tmp_path):
    shutil.copytree(HERE, tmp_path / "theirs", ignore=shutil.ignore_patterns(NOTICE))
    fetch_hand_models(str(tmp_path / "theirs"), str(tmp_path / "ours"))
    assert "Apache License" in (tmp_path / "ours" / NOTICE).read_text()


def zip_of(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for source in SOURCES.values():
            archive.writestr(source.path if content else "read/me.txt", content)


@pytest.mark.promise(
    "install",
    "The networks that find hands are made of files whose SHA-256 the package knows; others leave nothing behind.",
    kind="a file that changes at its source after it was looked at",
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda path: None, r"cannot be read as a wheel \(\[Errno 2\]"),
        (lambda path: path.write_bytes(b"PK"), r"cannot be read as a wheel \(File is not a zip file\)"),
        (lambda path: zip_of(path, b""), f"holds no {SOURCES[PALM].path}; give the wheel of mediapipe {MEDIAPIPE}"),
        (lambda path: zip_of(path, b"other"), f"{SOURCES[PALM].path} is d9298a10.* in place of 1b14e942"),
        (lambda path: path.mkdir(), "holds no palm.onnx and landmarks.onnx; give a folder or a bundle that does"),
    ],
    ids=["nothing", "no zip", "another zip", "other networks", "an empty folder"],
)
def test_what_is_not_mediapipes_wheel_is_refused_and_leaves_nothing(made, words, tmp_path):
    made(tmp_path / "given")
    with pytest.raises(AslsparkError, match=f"--from {tmp_path / 'given'}: .*{words}"):
        fetch_hand_models(str(tmp_path / "given"), str(tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} <= {"given"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "words"),
    [(True, "THESE PACKAGES DO NOT MATCH THE HASHES"), (False, "No matching distribution found")],
    ids=["another hash", "no wheel"],
)
def test_a_wheel_that_pip_does_not_find_or_that_has_another_hash_is_one_line(there, words, tmp_path, monkeypatch):
    if there:
        (tmp_path / WHEEL).write_bytes(b"another file under the name of the right one")
    places(monkeypatch, tmp_path)
    command = [sys.executable, "-m", "aslspark", "fetch", "hand-models", "--out", str(tmp_path / "out")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert found.stderr.startswith(f"error: fetch hand-models: pip says: {words}")
    assert found.stderr.endswith(f"; without an index, fetch {WHEEL} elsewhere and give --from FILE\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["tensorflow", "tf2onnx"])
def test_without_the_converter_one_line_says_what_works(missing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", sys.modules["zipfile"])
    monkeypatch.setitem(sys.modules, missing, None)  # as where it is not installed
    with pytest.raises(AslsparkError, match=rf"{missing}.*pip install aslspark\[tensorflow\], or give --from FOLDER"):
        fetch_hand_models(None, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def without_scores(palm):
    """The network with its first output alone."""
    model = onnx.load_from_string(palm)
    del model.graph.output[1:]
    return model.SerializeToString()


def less_the_mean(palm):
    """The network with its first output less the mean of the batch."""
    model = onnx.load_from_string(palm)
    first = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["raw" if name == first else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["raw"], ["mean"], axes=[0]))
    model.graph.node.append(onnx.helper.make_node("Sub", ["raw", "mean"], [first]))
    return model.SerializeToString()


@needs_networks
@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda here: HandNetworks(here.palm[:-1000], here.landmarks), f"{PALM} cannot be run"),
        (lambda here: HandNetworks(here.palm, here.palm), f"{LANDMARKS} cannot be run"),
        (lambda here: HandNetworks(without_scores(here.palm), here.landmarks), f"{PALM} gives "),
        (lambda here: HandNetworks(less_the_mean(here.palm), here.landmarks), f"{PALM} mixes the pictures"),
    ],
    ids=["cut off", "of another size", "without an output", "with a mean over the batch"],
)
def test_networks_that_are_there_and_do_not_work_are_named_and_left(broken, words, tmp_path):
    networks = broken(read_networks(HERE))
    for name, content in zip(NETWORK_FILES, (networks.palm, networks.landmarks), strict=True):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AslsparkError, match=rf"^{tmp_path}: {words}.*; remove this folder, and fetch it anew$"):
        fetch_hand_models(str(HERE), str(tmp_path))
    assert read_networks(tmp_path) == networks


def test_a_folder_with_something_else_is_not_touched(tmp_path):
    (tmp_path / PALM).write_bytes(b"half of them")
    with pytest.raises(AslsparkError, match=f"--out {tmp_path}: it holds something else; choose a folder that is new"):
        fetch_hand_models(None, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [PALM]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sign-mnist"], "sign-mnist: give --out DIR"),
        (["sign-mnist", "--out", "x", "--from", "y"], "--from y: it is for hand-models alone"),
    ],
)
def test_each_set_has_its_options(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        fetch.main(words)
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)

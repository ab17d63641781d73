"""Networks as files for other runtimes: each gives what the bundle gives, and the example reads with it."""

import json
import logging
import shutil
import subprocess
import sys
import threading
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import REPOSITORY
from moments import ENTERED, whenever
from serving_bundles import LABELS, SHAPE, picture_file, untrained
from tiny_training import random_inputs

from aslspark.bundle.boxed import FOLDER, LETTERS
from aslspark.bundle.export import export_network
from aslspark.bundle.files import read_bundle, seal
from aslspark.cli import export
from aslspark.common.atomic_file import replace_file
from aslspark.common.catalog import NETWORKS
from aslspark.common.errors import AslsparkError
from aslspark.features.landmarks import FEATURES
from aslspark.scoring.reader import Reader

pytestmark = pytest.mark.slow

EXAMPLE = REPOSITORY / "examples" / "exported_network.py"
NAMES = ("cnn", "two_branch")


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory):
    """Make a bundle of a framework and a network, once."""
    folder = tmp_path_factory.mktemp("bundles")
    return cache(lambda framework, name: untrained(framework, folder / f"{framework}-{name}", name=name))


def by_the_bundle(path, inputs):
    onnx = read_bundle(path, keep=["network.onnx"]).files["network.onnx"]
    return onnxruntime.InferenceSession(onnx).run(["probability"], inputs)[0]


RUN = """
import json, runpy, sys
import numpy as np
from aslspark.bundle.export import export_network

example, *rest = json.loads(sys.argv[1])
for bundle, form, out, inputs in rest:
    assert export_network(bundle, form, out) == [out, out + ".json"]
    given = runpy.run_path(example)[f"run_{form}"](out, dict(np.load(inputs)))
    np.save(out + ".npy", given)
"""
"""In a process of its own, which imports one framework."""


@pytest.mark.parametrize(
    ("framework", "forms"), [("keras", ["onnx", "tflite"]), ("torch", ["onnx", "torchscript"])], ids=["keras", "torch"]
)
def test_every_format_gives_what_the_bundle_gives(bundle_of, framework, forms, tmp_path):
    calls = []
    for name, form in product(NAMES, forms):
        inputs = random_inputs(NETWORKS[name].inputs, SHAPE, 5)
        np.savez(tmp_path / f"{name}.npz", **inputs)
        out = tmp_path / name / f"network.{form}"
        calls.append((bundle_of(framework, name), form, str(out), str(tmp_path / f"{name}.npz")))
    subprocess.run([sys.executable, "-c", RUN, json.dumps([str(EXAMPLE), *calls])], check=True, timeout=300)
    for bundle, _, out, given in calls:
        inputs = dict(np.load(given))
        expected = by_the_bundle(bundle, inputs)
        assert np.load(f"{out}.npy") == pytest.approx(expected, abs=1e-4)
        assert expected.std() > 1e-3
        about = json.loads(Path(f"{out}.json").read_text())
        assert [value["name"] for value in about["inputs"]] == [*inputs]
        assert [value["shape"][1:] for value in about["inputs"]] == [[*value.shape[1:]] for value in inputs.values()]
        assert about["labels"] == [*LABELS]


@pytest.mark.parametrize(
    ("form", "framework"), [pytest.param("tflite", "keras", marks=pytest.mark.long), ("torchscript", "torch")]
)
def test_the_example_reads_a_picture_as_the_bundle_does(bundle_of, form, framework, tmp_path):
    (tmp_path / "hand.jpg").write_bytes(picture_file(size=(90, 60)))
    bundle, out = bundle_of(framework, "cnn"), str(tmp_path / f"network.{form}")
    command = [sys.executable, "-m", "aslspark", "export", bundle, "--format", form, "--out", out]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[-1].startswith(f"{out}: the network")  # after what it was doing, where it took long
    command = [sys.executable, str(EXAMPLE), out, str(tmp_path / "hand.jpg")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()
    answer = Reader.load(bundle).read(picture_file(size=(90, 60)))
    assert said[0] == answer.letter
    assert float(said[1]) == pytest.approx(answer.probability, abs=2e-4)


def test_the_command_says_for_programs_which_files_it_wrote(tmp_path, capsys):
    out = str(tmp_path / "letters.onnx")
    export.main([LETTERS, "--format", "onnx", "--out", out, "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"files": [out, f"{out}.json"]}


def test_the_model_in_the_package_is_exported_and_read_with_its_temperature(tmp_path):
    out = str(tmp_path / "letters.onnx")
    export_network(LETTERS, "onnx", out)
    features = np.random.default_rng(2).normal(size=FEATURES)
    (tmp_path / "hand.json").write_text(json.dumps(features.tolist()))
    command = [sys.executable, str(EXAMPLE), out, str(tmp_path / "hand.json")]
    letter, share = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    given = by_the_bundle(LETTERS, {"landmarks": features[None].astype(np.float32)})[0].astype(float)
    powers = given ** (1 / 0.8)
    assert letter == json.loads((tmp_path / "letters.onnx.json").read_text())["labels"][given.argmax()]
    assert float(share) == pytest.approx(powers.max() / powers.sum(), abs=1e-3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "python examples/exported_network.py network.onnx hand.jpg"),
        (["hand.jpg"], "give a JSON file of them"),
        (["nowhere.json"], "error: [Errno 2] No such file or directory: 'nowhere.json'"),
    ],
)
def test_the_example_says_what_it_takes(tmp_path, words, said):
    (tmp_path / "hand.jpg").write_bytes(picture_file())
    export_network(LETTERS, "onnx", str(tmp_path / "letters.onnx"))
    command = [sys.executable, str(EXAMPLE), "letters.onnx", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ran.returncode, said in ran.stderr, "Traceback" in ran.stderr) == (1, True, False)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.with_name("letters.onnx.json").unlink(), "letters.onnx.json is not there; aslspark export"),
        (lambda file: file.write_bytes(b"no network"), "error: letters.onnx cannot be run: "),
    ],
    ids=["without what is said of it", "damaged"],
)
def test_the_example_says_in_one_line_what_is_wrong_with_a_network(tmp_path, spoil, said):
    (tmp_path / "hand.json").write_text(json.dumps([0.0] * FEATURES))
    export_network(LETTERS, "onnx", str(tmp_path / "letters.onnx"))
    spoil(tmp_path / "letters.onnx")
    command = [sys.executable, str(EXAMPLE), "letters.onnx", "hand.json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ran.returncode, said in ran.stderr, ran.stderr.count("\n")) == (1, True, 1)


def test_while_a_network_is_written_the_log_says_so(tmp_path):
    class Said(logging.Handler):
        def __init__(self):
            super().__init__()
            self.words, self.any = [], threading.Event()

        def emit(self, record):
            self.words.append(record.getMessage())
            self.any.set()

    listening, log = Said(), logging.getLogger("aslspark")
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(listening)
    try:
        with whenever(replace_file, ENTERED, lambda _: listening.any.wait(30)):
            export_network(LETTERS, "onnx", str(tmp_path / "letters.onnx"))
    finally:
        log.removeHandler(listening)
        log.setLevel(before)
    assert listening.words[0].startswith("  writing the network as onnx: 0:0")


def holding(folder, framework, file):
    """The model in the package, as if it held its network in a framework, too."""
    shutil.copytree(FOLDER, folder)
    about = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**about, "framework": framework, "network_file": file}))
    (folder / file).write_bytes(b"")
    seal(folder)
    return str(folder)


def test_what_a_format_does_not_hold_is_refused_with_what_works(tmp_path_factory, tmp_path):
    out, folder = str(tmp_path / "file"), tmp_path_factory.mktemp("refused")
    torch = holding(folder / "torch", "torch", "network.safetensors")
    keras = holding(folder / "keras", "keras", "network.keras")
    forest = str(REPOSITORY / "tests" / "fixtures" / "bundles" / "format-1-forest")
    for path, form, said in (
        (torch, "tflite", r"--format tflite: .* its own in torch; choose onnx and torchscript$"),
        (keras, "torchscript", r"--format torchscript: .* in keras; choose onnx and tflite$"),
        (LETTERS, "tflite", r"--format tflite: .*letters has its own in ONNX alone; choose onnx$"),
        (forest, "onnx", r"export .*: a model of Spark MLlib, which no format here holds"),
        (str(tmp_path / "none"), "onnx", r"export .*: there is no such folder"),
    ):
        with pytest.raises(AslsparkError, match=said):
            export_network(path, form, out)
    (tmp_path / "file.json").write_text("{}")
    with pytest.raises(AslsparkError, match=r"--out .*file.json: it exists already"):
        export_network(LETTERS, "onnx", out)
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]

"""What `pip install` needs and gives: each extra, in an environment of its own with the newest packages allowed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from conftest import REPOSITORY

from aslspark.images.hands.networks import FOLDER_VARIABLE, network_folders, read_networks

BRING_THEMSELVES = {
    "horovod": "compiled beside the frameworks, by environment/build.sh or the runtime",
    "petastorm": "environment/spark35/requirements.in, to compare with; it ends before today's pyarrow",
    "IPython": "a notebook runs in it",
    "boto3": "AWS Lambda brings it, and nothing else calls for it",
}
"""Modules that no extra names, and where they come from."""
HERE = {"torch": "2.13.0", "torchvision": "0.28.0"}
"""Builds for the CPU: without a version, pip takes gigabytes of CUDA."""

SERVES = f"""
import http.client, json, re, subprocess, sys
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
bundle = {str(REPOSITORY / "tests" / "fixtures" / "bundles" / "format-1-network")!r}
command = [sys.prefix + "/bin/aslspark", "serve", "--model", bundle, "--port", "0"]
process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
try:
    port = next(int(at[1]) for line in process.stdout if (at := re.search(r"http://localhost:(\\d+)", line)))
    asks = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    import io
    from PIL import Image
    picture = io.BytesIO()
    Image.new("L", (40, 40), 128).save(picture, "PNG")
    for path, body in (("/health", None), ("/", None), ("/predict", picture.getvalue())):
        asks.request("POST" if body else "GET", path, body, {{"Content-Type": "image/png"}} if body else {{}})
        answer = asks.getresponse()
        said = answer.read()
        assert answer.status == 200, (path, answer.status, said)
    assert json.loads(said)["answers"][0]["letter"], said
finally:
    process.terminate()
    process.wait(30)
"""
FINDS_HANDS = """
import sys
import numpy as np
from PIL import Image
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
detector = HandDetector(HandOptions(looks=2), installed_networks("hands.on=true"))
(hand,) = detector([np.zeros((64, 64, 3), np.uint8)])
assert hand.found is None, hand
for path in sys.argv[1:]:
    (hand,) = detector([np.asarray(Image.open(path).convert("RGB"))])
    assert hand.found, path
"""
BUILDS_KERAS = """
import onnxruntime
from aslspark.models import keras_network
network = keras_network.build("cnn", (28, 28, 1), 3, 0.0)
onnx = keras_network.to_onnx(network, True)
assert onnxruntime.InferenceSession(onnx).get_outputs()[0].name == "probability"
"""
TABLE = """
import random
with open("letters.csv", "w") as file:
    file.write("label," + ",".join(f"pixel{place}" for place in range(1, 785)) + "\\n")
    for label in (0, 1, 2) * 30:
        file.write(f"{label}," + ",".join(str(random.randrange(80) + 70 * label) for _ in range(784)) + "\\n")
open("space.yaml", "w").write("mllib.trees: [2, 3]\\n")
"""
FOREST = "--set mllib.classifier=forest mllib.trees=2 mllib.depth=2"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as it would be published; built from what git knows, so that nothing is left in the checkout."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "aslspark", "jobs", "setup.py", "pyproject.toml", "README.md"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((REPOSITORY / name).read_bytes())
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(tree)]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return next(out.glob("*.whl"))


class Installed:
    """An environment of its own, with nothing in it but the package and what it asked for."""

    def __init__(self, folder, wheel, extras, python=sys.executable):
        self.folder, self.bin = folder, folder / "venv" / "bin"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYSPARK", "SPARK"))
        }
        self.env = {**kept, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}
        self.run(python, "-m", "venv", str(folder / "venv"))
        pins = [
            f"{name}=={version}" for name, version in HERE.items() if "torch" in extras and python == sys.executable
        ]
        self.run(self.bin / "pip", "install", "--quiet", f"{wheel}[{extras}]" if extras else wheel, *pins)
        self.run(self.bin / "pip", "check")

    def run(self, *command, code=0):
        done = subprocess.run(
            [str(word) for word in command], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done

    def python(self, script, *words):
        return self.run(self.bin / "python", "-c", script, *words)

    def aslspark(self, words, code=0):
        return self.run(self.bin / "aslspark", *words.split(), code=code)


@pytest.fixture
def installed(tmp_path, wheel):
    return lambda extras, **how: Installed(tmp_path, wheel, extras, **how)


@pytest.mark.long
@pytest.mark.promise(
    "install",
    "Each extra settles in an empty environment on the newest packages it allows, and what it is for runs there.",
    kind="ranges that settle on packages which do not run together, or a package that is imported and not declared",
)
@pytest.mark.parametrize(("extra", "script"), [("serve", SERVES), ("hands", FINDS_HANDS), ("tensorflow", BUILDS_KERAS)])
def test_an_extra_that_needs_no_spark_settles_and_runs(extra, script, installed, request):
    here, pictures = installed(extra), []
    if extra == "hands":
        networks = next((folder for folder in network_folders() if read_networks(folder)), None)
        if networks is None:
            pytest.skip("the networks are not here: aslspark fetch hand-models")
        here.env[FOLDER_VARIABLE] = str(here.folder / "networks")
        here.aslspark(f"fetch hand-models --from {networks}")
        if (images := REPOSITORY.parent / "shared" / "data" / "images" / "studio_hands").is_dir():
            pictures = sorted((images / "a").glob("*.jpeg"))[:2]
    here.python(script, *pictures)


@pytest.mark.long
@pytest.mark.promise(
    "install",
    "Each extra settles in an empty environment on the newest packages it allows, and what it is for runs there.",
    kind="ranges that settle on packages which do not run together, or a package that is imported and not declared",
)
@pytest.mark.parametrize(
    ("extras", "job"),
    [
        ("spark", "train-baseline --model forest --data letters.csv --out out --trees 2 --depth 2"),
        (
            "spark,torch",
            "train-cnn --data letters.csv --out out --framework torch --launcher torch --num-proc 1 --epochs 1",
        ),
        ("spark,tune", f"tune --data letters.csv --out out --space space.yaml --trials 2 {FOREST}"),
        (
            "spark,mlflow",
            "train-baseline --model forest --data letters.csv --out out --trees 2 --depth 2 --set tracking.mlflow=true",
        ),
    ],
)
def test_an_extra_beside_spark_settles_and_its_job_runs(extras, job, installed):
    here = installed(extras)
    here.python(TABLE)
    here.aslspark(job)
    assert list((here.folder / "out").iterdir())
    if extras == "spark":
        here.aslspark("score --model out --data letters.csv --out scored")
        assert list((here.folder / "scored").glob("*.parquet"))
    if extras == "spark,mlflow":
        assert (here.folder / "mlruns" / "mlflow.db").is_file()


@pytest.mark.long
@pytest.mark.parametrize("name", ["python3.12", "python3.13"])
def test_a_newer_python_trains_with_two_processes_without_horovod_scores_and_serves(name, installed):
    python = newer_python(name)
    here = installed("spark,torch,serve", python=python)
    here.python(TABLE)
    here.aslspark("train-cnn --data letters.csv --out out --framework torch --launcher torch --num-proc 2 --epochs 1")
    here.aslspark("score --model out --data letters.csv --out scored")
    assert list((here.folder / "scored").glob("*.parquet"))
    here.python(SERVES)


def newer_python(name):
    """Find an interpreter, which may be one of pyenv's that is not in use."""
    found = [shutil.which(name), *Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/python")]
    for python in filter(None, found):
        if subprocess.run([str(python), "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return str(python)
    pytest.skip(f"there is no {name} on this machine")


@pytest.mark.promise(
    "install",
    "Every package that is imported stands in setup.py, for all or in an extra.",
    kind="a package that is here only because another one brings it",
)
def test_every_package_that_is_imported_is_declared(tmp_path):
    """Of the package and its jobs; by the distributions that bring the modules here."""
    words = ["--quiet", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run([sys.executable, "setup.py", *words], cwd=REPOSITORY, check=True, capture_output=True)
    text = (tmp_path / "aslspark.egg-info" / "requires.txt").read_text()
    # Whoever uses the package installs none of [test], [docs] and [dev].
    parts = [part for part in text.split("\n[") if not part.startswith(("test]", "docs]", "dev]"))]
    lines = [line for part in parts for line in part.splitlines() if not line.endswith("]")]
    declared = {normal(re.split(r"[<>=!\[ ;]", line)[0]) for line in lines if line and not line.startswith("[")}
    brought = metadata.packages_distributions()
    imported = {}
    for path in [*(REPOSITORY / "aslspark").rglob("*.py"), *(REPOSITORY / "jobs").glob("*.py")]:
        for module in imports_of(path):
            imported.setdefault(module, path.relative_to(REPOSITORY))
    assert {"numpy", "scipy", "h5py", "starlette", "pydantic"} <= set(imported)
    ours = {*sys.stdlib_module_names, "aslspark", *BRING_THEMSELVES}
    missing = {
        module: str(path)
        for module, path in imported.items()
        if module not in ours and not declared & {normal(name) for name in (*brought.get(module, ()), module)}
    }
    assert not missing


def normal(name):
    return re.sub("[-_.]+", "-", name).lower()


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        yield from (name.split(".")[0] for name in names)

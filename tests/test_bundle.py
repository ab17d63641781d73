import json
import shutil

import numpy as np
import pytest

from aslspark.bundle import FORMAT, MANIFEST, SUMS, read_model, require_new, seal, whole_folder, write_model
from aslspark.errors import AslsparkError
from aslspark.models import torch_network
from aslspark.scoring import OnnxClassifier, SignClassifierModel

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def model():
    network = torch_network.build("cnn", SHAPE, 3, 0.0).eval()
    return SignClassifierModel(OnnxClassifier(torch_network.to_onnx(network, SHAPE, True), ("A", "B", "C"), SHAPE))


@pytest.fixture
def bundle(spark, model, tmp_path):
    path = tmp_path / "bundle"
    with whole_folder(path) as folder:
        write_model(model, None, folder, settings={"training": {"epochs": 1}})
        (folder / "history.csv").write_text("epoch\n1\n")
        seal(folder)
    return path


def test_what_was_written_is_what_is_read(spark, model, bundle):
    assert read_model(str(bundle)).classifier == model.classifier
    assert read_model(f"file://{bundle}").classifier == model.classifier
    manifest = json.loads((bundle / MANIFEST).read_text())
    assert manifest["settings"] == {"training": {"epochs": 1}}
    assert manifest["versions"]["aslspark"]


def test_a_byte_changed_anywhere_is_found_and_the_file_named(bundle, tmp_path):
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    assert {MANIFEST, SUMS, "network.onnx", "history.csv"} == {path.name for path in files}
    for path in files:
        good = path.read_bytes()
        for place in np.random.default_rng(1).integers(0, len(good), 20):
            bad = bytearray(good)
            bad[place] ^= 1 << int(place % 8)
            path.write_bytes(bytes(bad))
            with pytest.raises(AslsparkError, match="copy the bundle again") as error:
                read_model(str(bundle))
            assert "\n" not in str(error.value)
            if path.name != SUMS:
                assert path.name in str(error.value)
        path.write_bytes(good)
    read_model(str(bundle))


def test_a_missing_file_a_foreign_file_and_a_short_file_are_named(bundle):
    (bundle / "extra.py").write_text("print('hello')")
    with pytest.raises(AslsparkError, match=r"extra\.py does not belong"):
        read_model(str(bundle))
    (bundle / "extra.py").unlink()
    onnx = (bundle / "network.onnx").read_bytes()
    (bundle / "network.onnx").write_bytes(onnx[:-1])
    with pytest.raises(AslsparkError, match=r"network\.onnx was changed"):
        read_model(str(bundle))
    (bundle / "network.onnx").unlink()
    with pytest.raises(AslsparkError, match=r"network\.onnx is missing"):
        read_model(str(bundle))


def test_a_newer_bundle_is_refused_with_its_format(bundle):
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**manifest, "format": FORMAT + 1}))
    seal(bundle)
    with pytest.raises(AslsparkError, match=f"bundle format {FORMAT + 1}; .* reads {FORMAT}"):
        read_model(str(bundle))


def test_a_folder_that_is_no_bundle_is_named(tmp_path):
    with pytest.raises(AslsparkError, match="there is no such folder"):
        read_model(str(tmp_path / "nowhere"))
    with pytest.raises(AslsparkError, match="no bundle"):
        read_model(str(tmp_path))


def test_a_bundle_is_written_whole_or_not_at_all(tmp_path):
    def fail_while_writing():
        with whole_folder(tmp_path / "bundle") as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_while_writing()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_written_over(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(AslsparkError, match=r"--out .*there: it exists already; choose another name or remove it"):
        require_new(str(tmp_path / "there"))
    shutil.rmtree(tmp_path / "there")
    assert require_new(str(tmp_path / "there")) == tmp_path / "there"


def test_a_place_on_no_file_system_of_this_machine_is_refused():
    with pytest.raises(AslsparkError, match="s3a://lake/bundle"):
        require_new("s3a://lake/bundle")

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import serving_bundles
from serving_bundles import network_saying

from aslspark.bundle.files import FORMAT, MANIFEST, SUMS, read_bundle, require_new, seal, whole_folder
from aslspark.bundle.write import write_model
from aslspark.common.errors import AslsparkError
from aslspark.images.hands.detector import HandDetector
from aslspark.images.hands.networks import installed_networks
from aslspark.images.hands.options import HandOptions
from aslspark.images.image_spec import ImageSpec
from aslspark.models import torch_network
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel, read_model
from aslspark.scoring.reader import Reader

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


def deep_bundle(folder):
    """A bundle as a fit with a trace leaves it: files side by side and in folders below, one of them empty."""
    model = SignClassifierModel(network_saying([0.7, 0.2, 0.1], ("A", "B", "C")))
    with whole_folder(folder) as scratch:
        write_model(model, None, scratch)
        for name in ("network.safetensors", "reference.json", "profile/trace.json", "profile/plugins/1/host.pb"):
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).write_bytes(np.random.default_rng(len(name)).bytes(3000))
        (scratch / "profile" / "empty").write_bytes(b"")
        seal(scratch)
    return folder


def test_each_file_of_a_bundle_is_missed_changed_longer_and_shorter_however_deep_it_lies(tmp_path):
    folder = deep_bundle(tmp_path / "bundle")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert len(names) == 8
    assert "profile/plugins/1/host.pb" in names
    for name in names:
        path = folder / name
        good = path.read_bytes()
        bad = [good + b"x"]
        if good:
            changed = bytes([good[0] ^ 1]) + good[1:], good[:-1] + bytes([good[-1] ^ 1])
            bad += [*changed, good[:-1], b""]
        for content in bad:
            path.write_bytes(content)
            with pytest.raises(AslsparkError) as caught:
                read_bundle(str(folder), keep=["network.onnx"])
            assert name == SUMS or f"{name} was changed (its SHA-256 differs)" in str(caught.value)
        path.unlink()
        with pytest.raises(AslsparkError, match="missing"):
            read_bundle(str(folder))
        path.write_bytes(good)
    for name in ("foreign", "profile/plugins/foreign"):
        (folder / name).write_bytes(b"")
        with pytest.raises(AslsparkError, match=f"{name} does not belong"):
            read_bundle(str(folder))
        (folder / name).unlink()
    whole = read_bundle(str(folder), keep=["profile/"])
    assert sorted(whole.files) == [MANIFEST, "profile/empty", "profile/plugins/1/host.pb", "profile/trace.json"]


def test_a_bundle_that_is_copied_is_copied_whole_and_as_it_was_checked(tmp_path):
    folder, copy = deep_bundle(tmp_path / "bundle"), tmp_path / "copy"
    copy.mkdir()
    # Larger than what is read at once, and no multiple of it.
    (folder / "profile" / "long").write_bytes(np.random.default_rng(1).bytes(2_500_001))
    seal(folder)
    read_bundle(str(folder), copy_to=copy)
    there = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()} == there
    assert read_bundle(str(copy)).digest == read_bundle(str(folder)).digest


def test_what_tells_two_bundles_apart_changes_with_every_file(tmp_path):
    folder = deep_bundle(tmp_path / "bundle")
    digests = {read_bundle(str(folder)).digest}
    for name in ("bundle.json", "network.onnx", "profile/plugins/1/host.pb"):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        seal(folder)
        digests.add(read_bundle(str(folder)).digest)
    assert len(digests) == 4


MASK = ((0, 60, 110), (30, 209, 255))
WRITTEN = {
    "temperature": 1.7,
    "threshold": 0.25,
    "form": ImageSpec(20, 24, 3, fit="letterbox", mask=MASK),
    "hands": HandDetector(
        HandOptions(margin=0.31, upright=True, background="blur", confidence=0.4, looks=2), installed_networks("test")
    ),
}


@pytest.mark.parametrize("alone", [*WRITTEN, "everything", "nothing"])
def test_a_loaded_bundle_makes_pictures_ready_and_answers_as_the_model_that_was_written(tmp_path, alone):
    chosen = {name: value for name, value in WRITTEN.items() if alone in (name, "everything")}
    classifier = network_saying([0.5, 0.3, 0.2], ("A", "B", "del"), (20, 24, 3))
    model = SignClassifierModel(classifier, **chosen)
    with whole_folder(tmp_path / "bundle") as folder:
        write_model(model, None, folder)
        seal(folder)
    loaded, reader = read_model(str(tmp_path / "bundle")), Reader.load(str(tmp_path / "bundle"))
    for again in (loaded, reader):
        assert (again.form, again.hands, again.temperature) == (model.form, model.hands, model.temperature)
        assert again.labels == ("A", "B", "del")
    assert loaded.classifier == classifier
    assert loaded.getThreshold() == reader.threshold == model.getThreshold()
    assert loaded.digest == reader.digest != ""
    assert reader.network == replace(classifier, onnx=b"")


@pytest.mark.parametrize("upright", [False, True])
def test_a_loaded_bundle_makes_landmarks_into_features_as_it_was_trained_on_them(tmp_path, upright):
    classifier = replace(
        serving_bundles.network("two_branch", (32, 32, 3), inputs=("picture", "landmarks")), upright=upright
    )
    path = serving_bundles.write_bundle(tmp_path / "bundle", classifier, hands=True)
    assert read_model(path).classifier == classifier
    assert Reader.load(path).network == replace(classifier, onnx=b"")


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

"""The model that comes with the package: loaded by its name, and made anew byte for byte from a few drawn hands."""

import filecmp
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from stacks import needs_current_pyarrow

from aslspark.bundle.boxed import FOLDER, LETTERS
from aslspark.bundle.files import read_bundle
from aslspark.common.errors import AslsparkError
from aslspark.common.labels import STATIC_LETTERS
from aslspark.common.onnx_sessions import open_session
from aslspark.common.settings import PictureConfig, load_config
from aslspark.data.samples import read_samples
from aslspark.features.landmarks import PICTURE_POINTS, WORLD_POINTS
from aslspark.features.synthetic_hands import drawn_hands
from aslspark.images.hands.hand import Hand, hand_column
from aslspark.images.hands.networks import FOLDER_VARIABLE
from aslspark.scoring.reader import Reader
from aslspark.workflows.evaluate import evaluate

MOST_BYTES = 2 << 20


def test_the_model_in_the_package_reads_drawn_hands_that_it_has_not_seen():
    network = Reader.load(LETTERS).network
    assert network.labels == STATIC_LETTERS
    hands = drawn_hands(STATIC_LETTERS, 8, 4711)
    onnx = read_bundle(LETTERS, keep=["network.onnx"]).files["network.onnx"]
    reasons = np.full(hands.shape[0] * hands.shape[1], None, object)
    given = network.probabilities(open_session(onnx, 1), None, hands.reshape(-1, hands.shape[2]), reasons)
    right = given.argmax(axis=1).reshape(hands.shape[:2]) == np.arange(24)[:, None]
    assert right.mean() > 0.9


def test_it_is_judged_on_pictures_in_a_size_that_can_be_looked_at(spark, real_data, tmp_path):
    for letter in "BX":
        picture = min((real_data / "images" / "studio_hands" / letter.lower()).iterdir())
        (tmp_path / "hands" / letter).mkdir(parents=True)
        (tmp_path / "hands" / letter / picture.name).write_bytes(picture.read_bytes())
    Image.new("RGB", (64, 64)).save(tmp_path / "hands" / "B" / "none.png")  # a mistake, which the sheet shows
    metrics = evaluate(spark, LETTERS, str(tmp_path / "hands"), str(tmp_path / "judged"))
    assert (metrics["rows"], metrics["unscored"]) == (3, 1)
    sizes = read_samples(spark, str(tmp_path / "judged" / "ingested")).select("picture.height", "picture.width")
    assert {tuple(row) for row in sizes.collect()} == {(PictureConfig().size,) * 2}


def test_it_is_small_and_says_what_it_learned_from():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES
    card = (FOLDER / "card.md").read_text()
    assert all(licence in card for licence in ("Apache-2.0", "MIT", "CC0"))


def test_where_no_networks_find_hands_the_error_says_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(AslsparkError, match=r"--model letters: .*aslspark fetch hand-models"):
        Reader.load(LETTERS)


def test_a_folder_of_the_same_name_goes_before_it(tmp_path, monkeypatch):
    (tmp_path / LETTERS).mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AslsparkError, match="no bundle"):
        Reader.load(LETTERS)


def drawn_rows(count, source="drawn"):
    hands = drawn_hands(STATIC_LETTERS, count, 5)
    found = [
        Hand("plain", hand[PICTURE_POINTS].reshape(21, 3), hand[WORLD_POINTS].reshape(21, 3), "right", 1.0)
        for of_letter in hands
        for hand in of_letter
    ]
    labels = [letter for letter in STATIC_LETTERS for _ in range(count)]
    names = pa.array([f"{source}-{number % 2}" for number in range(len(labels))])
    return pa.table({"label": labels, "source": names, "signer": names, "hand": hand_column(found)})


@needs_current_pyarrow
def test_the_same_hands_and_settings_make_the_same_bytes(tmp_path):
    from benchmarks.studies.letters import make_bundle

    config = load_config("conf/hands.yaml", ["training.epochs=2", "training.threads=1"])
    for name in ("one", "other"):
        make_bundle(drawn_rows(4), config, drawn_rows(1, "other"), tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["SHA256SUMS", "bundle.json", "card.md", "network.onnx"]
    same, differing, unread = filecmp.cmpfiles(tmp_path / "one", tmp_path / "other", names, shallow=False)
    assert (sorted(same), differing, unread) == (names, [], [])
    assert Reader.load(str(tmp_path / "one")).labels == STATIC_LETTERS
    assert Path(tmp_path / "one" / "card.md").read_text().count("| other-") == 2

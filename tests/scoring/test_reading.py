import io
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image
from serving_bundles import LABELS, SHAPE, network, network_saying, picture_file, write_bundle

from aslspark.common import catalog
from aslspark.common.errors import AslsparkError
from aslspark.images.image_spec import ImageSpec
from aslspark.models.onnx_classifier import needs_hand
from aslspark.scoring.calibration import ABSTAINED
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.reader import NO_PIXELS, NUMBERS, Reader

NETWORKS = {
    "plain": ("small_cnn", SHAPE, (catalog.PICTURE,)),
    "landmarks": ("landmark_net", SHAPE, (catalog.LANDMARKS,)),
    "both": ("two_branch", (32, 32, 3), (catalog.PICTURE, catalog.LANDMARKS)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def bundle(request, tmp_path_factory):
    name, shape, inputs = NETWORKS[request.param]
    folder = tmp_path_factory.mktemp("bundles") / request.param
    classifier = network(name, shape, LABELS, inputs)
    return write_bundle(folder, classifier, hands=request.param != "plain", temperature=1.7, threshold=0.26)


@pytest.fixture(scope="module")
def files(real_data):
    paths = sorted((real_data / "images" / "studio_hands").glob("[al]/hand1*_1_*.jpeg"))[:4]
    grey = io.BytesIO()
    Image.new("L", (50, 50), 128).save(grey, "PNG")
    return [*(path.read_bytes() for path in paths), grey.getvalue(), b"\xff\xd8\xff no picture", picture_file()[:300]]


def test_a_picture_is_read_as_spark_scores_it(spark, bundle, files):
    model = SignClassifierModel.load(bundle).setInputCol("content")
    rows = model.transform(spark.createDataFrame([(bytearray(file),) for file in files], "content binary")).collect()
    reader = Reader.load(bundle)
    answers = [reader.read(file) for file in files]
    assert any(answer.top for answer in answers)
    for row, answer in zip(rows, answers, strict=True):
        assert (answer.letter, answer.reason) == (row["letter"], row["reason"])
        assert [letter for letter, _ in answer.top] == [guess["letter"] for guess in row["top"] or []]
        assert [share for _, share in answer.top] == pytest.approx([guess["probability"] for guess in row["top"] or []])


def test_pixels_as_numbers_are_read_as_their_bytes_are(bundle):
    reader = Reader.load(bundle)
    pixels = np.random.default_rng(1).integers(0, 256, reader.form.shape, np.uint8)
    assert reader.read(pixels.ravel().tolist(), NUMBERS) == reader.read(pixels.tobytes())
    assert reader.read([0.0, 256.0], NUMBERS).reason.startswith("wrong size")


@pytest.mark.parametrize(("temperature", "shares"), [(1.0, [0.6, 0.3, 0.1]), (2.0, [0.473, 0.334, 0.193])])
@pytest.mark.parametrize(("beside", "answered"), [(-0.002, True), (0.0, True), (0.002, False)])
def test_the_threshold_is_held_against_the_probability_that_is_shown(temperature, shares, beside, answered):
    network = network_saying([0.1, 0.6, 0.3], ("A", "B", "C"))
    reader = Reader(network, ImageSpec(*SHAPE), temperature=temperature)
    best = reader.read(bytes(784)).probability
    reader.threshold = best + beside
    answer = reader.read(bytes(784))
    assert [letter for letter, _ in answer.top] == ["B", "C", "A"]
    # Of a temperature of 2, the square roots, brought to a sum of 1.
    assert [share for _, share in answer.top] == pytest.approx(shares, abs=0.001)
    assert answer.probability == best == answer.top[0][1]
    assert (answer.letter, answer.reason) == (("B", None) if answered else (None, ABSTAINED))


def test_a_model_of_landmarks_says_that_it_needs_a_file(tmp_path):
    path = write_bundle(tmp_path / "b", network("landmark_net", inputs=(catalog.LANDMARKS,)), hands=True)
    answer = Reader.load(path).read(bytes(28 * 28))
    assert answer.reason.startswith(NO_PIXELS)
    assert not answer.usable


@pytest.mark.parametrize(
    ("inputs", "labels", "needed"),
    [
        (("landmarks",), ("A", "B"), True),
        (("landmarks",), ("A", "nothing"), False),
        (("picture",), ("A", "B"), False),
        (("picture", "landmarks"), ("A", "B"), False),
        (("landmarks", "picture"), ("A", "B"), False),
    ],
)
def test_a_hand_is_needed_by_networks_of_landmarks_alone_that_know_no_nothing(inputs, labels, needed):
    assert needs_hand(inputs, labels) == needed


def test_a_bundle_of_mllib_is_refused_with_what_would_work():
    forest = REPOSITORY / "tests" / "fixtures" / "bundles" / "format-1-forest"
    with pytest.raises(AslsparkError, match="MLlib, which needs Spark"):
        Reader.load(str(forest))


def test_reading_and_serving_import_neither_spark_nor_a_framework():
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, aslspark.cli.command, aslspark.serving.app, aslspark.serving.chart as c; c.drawn('A');"
            "print([m for m in ('pyspark', 'tensorflow', 'torch', 'pandas', 'horovod') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"

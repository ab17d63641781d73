"""`.keras` files of Keras 2 and of Keras 3, read by the Keras that is here (`fixtures/make_keras_files.py`)."""

import io
import json
import zipfile
from importlib.metadata import version

import numpy as np
import pytest
from conftest import REPOSITORY

from aslspark.common.load_refused import LoadRefused
from aslspark.models.keras_files import load_model

FIXTURES = REPOSITORY / "tests" / "fixtures"


@pytest.mark.slow
@pytest.mark.parametrize("written_by", [2, 3])
def test_a_file_of_this_keras_or_of_an_older_one_answers_as_it_did(written_by):
    content = (FIXTURES / f"keras-{written_by}.keras").read_bytes()
    if written_by > int(version("keras").partition(".")[0]):
        with pytest.raises(LoadRefused, match=r"^it was written by Keras 3, and the one here is older$"):
            load_model(content)
        return
    known = np.load(FIXTURES / f"keras-{written_by}.npz")
    model = load_model(content)
    np.testing.assert_allclose(model(known["pictures"], training=False), known["answers"], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.src.ops.numpy", "Save"),
        ("keras.src.models.functional", "Model"),
        ("keras.layers", "Lambda"),
        (None, "__lambda__"),
        (None, "Flip"),
        ([], "Flip"),
    ],
)
def test_a_class_of_keras_3_that_no_network_of_ours_has_is_refused(module, name):
    files = zipfile.ZipFile(FIXTURES / "keras-3.keras")
    config = json.loads(files.read("config.json"))
    flip = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Flip")
    flip |= {"module": module, "class_name": name, "registered_name": name}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for entry in files.namelist():
            archive.writestr(entry, json.dumps(config) if entry == "config.json" else files.read(entry))
    with pytest.raises(LoadRefused, match="which is no layer of this package's networks, so nothing of it is run"):
        load_model(changed.getvalue())

"""A registry and its monitor on real pictures of hands, as docs/operations.md shows them. Slow: `make test-long`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def found(real_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("operations") / "out"
    pixels = real_data / "pixels"
    words = ["--table", pixels / "webcam_letters.csv", "--other", pixels / "sign_mnist_head.csv", "--out", out]
    subprocess.run(
        [str(Path(sys.executable).parent / "spark-submit"), "benchmarks/studies/operations.py", *map(str, words)],
        cwd=REPOSITORY,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_CONF_DIR": str(REPOSITORY / "conf")},
        check=True,
        timeout=1800,
    )
    return json.loads((out / "operations.json").read_text())


def test_a_challenger_of_shuffled_labels_is_refused_and_one_of_twice_the_data_promoted(found):
    begun, shuffled, twice = found["decisions"]
    assert (begun["action"], shuffled["action"], twice["action"]) == ("begun", "refused", "promoted")
    assert twice["figures"]["sets"]["together"]["p"] < 0.05
    assert twice["started_from"] != "none"
    assert found["rolled_back_to"] == begun["champion"]


def test_clean_batches_raise_no_more_alarms_than_stated_and_changed_ones_do(found):
    for name, of_batches in found["watched"].items():
        for line in of_batches["rates"]:
            if name == "clean":
                # 200 batches: what is stated, and two standard deviations of chance.
                allowed = line["batches"] * line["rate"]
                assert line["alarms"] <= allowed + 2 * allowed**0.5, line
            elif not name.startswith("no "):
                assert line["alarms"] == line["batches"], (name, line)
            elif line["rows"] >= 1000:  # one letter of 24 is a twentieth of the rows: that takes a larger batch
                assert line["alarms"] > 0.9 * line["batches"], (name, line)
        assert of_batches["job"]["drift"] == (name != "clean")

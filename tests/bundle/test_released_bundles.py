"""Bundles of every format that was released: they are read, and answer as they did (`fixtures/make_bundles.py`)."""

import json

import pytest
from conftest import REPOSITORY

from aslspark.bundle.files import read_manifest
from aslspark.scoring.model import SignClassifierModel

BUNDLES = REPOSITORY / "tests" / "fixtures" / "bundles"
NAMES = ["format-1-network", "format-1-forest"]


def test_none_is_left_out():
    assert sorted(path.name for path in BUNDLES.iterdir() if path.is_dir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_released_bundle_answers_as_it_did(spark, name):
    assert read_manifest(str(BUNDLES / name))["format"] == int(name.split("-")[1])
    model = SignClassifierModel.load(str(BUNDLES / name))
    answers = json.loads((BUNDLES / f"{name}.json").read_text())
    rows = [(place, bytearray.fromhex(answer["pixels"])) for place, answer in enumerate(answers)]
    pictures = spark.createDataFrame(rows, "place int, picture binary")
    scored = sorted(model.transform(pictures).collect())
    assert [row["letter"] for row in scored] == [answer["letter"] for answer in answers]
    for row, answer in zip(scored, answers, strict=True):
        assert [best["letter"] for best in row["top"]] == [letter for letter, _ in answer["top"]]
        assert [best["probability"] for best in row["top"]] == pytest.approx([p for _, p in answer["top"]], abs=1e-5)

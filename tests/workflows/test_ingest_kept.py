"""A job that fails after it has ingested: what it ingested is kept, named, and taken by the next run."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from aslspark import train
from aslspark.common.errors import AslsparkError
from aslspark.common.settings import load_config
from aslspark.workflows.cross_validate import cross_validate
from aslspark.workflows.training_data import training_data

SMALL = ["pictures.size=8", "split.blocks=5"]
FOREST = [*SMALL, "mllib.classifier=forest", "mllib.trees=3", "mllib.depth=3"]


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given") / "hands"
    for label in "ABC":
        (folder / label).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (12, 12), (20 * number, ord(label), 99)).save(folder / label / f"{number}.png")
    return folder


@pytest.mark.promise(
    "input",
    "A job that fails after its ingest keeps what it ingested and names it, and the next run takes it.",
    kind="hours of decoding thrown away over a setting of the fit",
)
def test_a_fit_that_fails_keeps_what_was_ingested_for_the_next_run(spark, hands, tmp_path, caplog):
    caplog.set_level("INFO", "aslspark")
    (tmp_path / "bundle.ingested").mkdir()  # what was kept before is not written over
    kept = tmp_path / "bundle.ingested-2"
    with pytest.raises(AslsparkError, match="too small"):
        train(spark, [str(hands)], str(tmp_path / "bundle"), config=load_config(None, SMALL))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.ingested", kept.name]
    assert f"--data {kept}, in place of what was given" in caplog.text
    with training_data(spark, [str(kept)], (), load_config(None, SMALL), tmp_path) as table:
        assert table.samples(spark).count() == 30


def test_what_a_run_ingested_that_was_killed_before_its_first_epoch_is_kept(spark, ingested, tmp_path, caplog):
    caplog.set_level("INFO", "aslspark")
    left = tmp_path / "bundle.unfinished"
    shutil.copytree(ingested, left / "ingested")
    (left / "run.json").write_text(json.dumps({"data": ["hands"], "test_data": [], "settings": {}}))
    with pytest.raises(AslsparkError, match="does not exist"):
        train(spark, [str(tmp_path / "nowhere.csv")], str(tmp_path / "bundle"), config=load_config(None, SMALL))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.ingested"]
    assert "--data" in caplog.text


def test_folds_that_cannot_be_made_keep_what_was_ingested(spark, hands, tmp_path):
    settings = load_config(None, [*FOREST, r"pictures.signer_pattern=([0-3])\.png"])
    with pytest.raises(AslsparkError, match=r"18 of 30 samples name no signer.*--by block"):
        cross_validate(spark, [str(hands)], str(tmp_path / "folds"), settings, by="signer", folds=2)
    assert [path.name for path in tmp_path.iterdir()] == ["folds.ingested"]


@pytest.mark.promise(
    "input",
    "Folds by signers or sources of which there are too few are refused before a picture is decoded.",
    kind="minutes of decoding for folds that names alone show cannot be made",
)
@pytest.mark.parametrize(
    ("folds", "words"),
    [
        (("leave one signer out",), r"--leave-one signer: the data name 0 signer.*2 or more"),
        (("leave one source out",), r"--leave-one source: the data name 1 source.*2 or more"),
        (("signer", 5), r"--by signer --folds 5: the data name 0 signer.*5 or more.*--by block"),
    ],
)
def test_folds_of_too_few_groups_are_refused_before_the_ingest(spark, hands, tmp_path, folds, words):
    with pytest.raises(AslsparkError, match=words):
        cross_validate(spark, [str(hands)], str(tmp_path / "folds"), load_config(None, FOREST), *folds)
    assert list(tmp_path.iterdir()) == []


def test_landmarks_that_pictures_would_not_get_are_refused_before_the_ingest(spark, hands, tmp_path):
    with pytest.raises(AslsparkError, match=r"mllib\.reads=landmarks .*hands\.on=true"):
        train(spark, [str(hands)], str(tmp_path / "b"), config=load_config(None, [*FOREST, "mllib.reads=landmarks"]))
    assert list(tmp_path.iterdir()) == []


def test_what_is_given_ingested_is_left_where_it_is(spark, ingested, tmp_path):
    with pytest.raises(AslsparkError, match="hand"):
        train(spark, [ingested], str(tmp_path / "bundle"), config=load_config(None, [*FOREST, "mllib.reads=landmarks"]))
    assert list(tmp_path.iterdir()) == []
    assert (Path(ingested) / "ingest.json").is_file()

"""Each file in examples/ does what it says; `exported_network.py` is tested in tests/bundle/test_export.py."""

import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from PIL import Image
from pyspark.sql import functions as F

from aslspark.data.samples import read_samples
from aslspark.images.decoding import pixels_of

EXAMPLES = REPOSITORY / "examples"
NETWORK = REPOSITORY / "tests" / "fixtures" / "bundles" / "format-1-network"
TESTED = {
    *("own_source", "score_with_spark", "score_with_pandas", "serve_and_ask", "cross_validate", "watch_for_drift"),
    "exported_network",
}


def example(name):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == TESTED


@pytest.fixture(scope="module")
def pictures(spark, few_letters, tmp_path_factory):
    """A folder of files called LETTER-SIGNER-NUMBER.png, one of which is no picture."""
    folder = tmp_path_factory.mktemp("examples") / "pictures"
    folder.mkdir()
    for number, row in enumerate(read_samples(spark, few_letters).orderBy("id").collect()):
        name = f"{row['label']}-{row['signer'].rpartition('-')[2]}-{number}.png"
        Image.fromarray(np.squeeze(pixels_of(row["picture"]))).save(folder / name)
    (folder / "A-0-broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def own(spark, pictures):
    """What own_source.py leaves: ingested/ and model/."""
    example("own_source")["train"](spark, str(pictures), str(pictures.parent / "own"))
    return pictures.parent / "own"


@pytest.mark.long
def test_pictures_of_ones_own_source_become_a_bundle_that_was_tested_on_other_signers(spark, pictures, own):
    report = json.loads((own / "ingested" / "ingest.json").read_text())
    assert (report["kept"], report["quarantined"]) == (len(list(pictures.iterdir())) - 1, 1)
    signers = read_samples(spark, str(own / "ingested")).groupBy("signer").agg(F.countDistinct("split").alias("splits"))
    assert {row["splits"] for row in signers.collect()} == {1}
    assert json.loads((own / "model" / "bundle.json").read_text())["labels"] == list("ABCDE")


@pytest.fixture
def files(tmp_path):
    """A folder of two pictures, and a file that is none."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name, light in (("dark.png", 60), ("light.jpg", 190)):
        Image.new("L", (40, 40), light).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.mark.slow
def test_a_folder_is_scored_with_spark_and_what_is_no_picture_has_a_reason(spark, files, tmp_path):
    written = example("score_with_spark")["score"](spark, str(NETWORK), str(files), str(tmp_path / "scored"))
    answers = {row["path"].rpartition("/")[2]: row for row in written.collect()}
    assert {name for name, row in answers.items() if row["probability"]} == {"dark.png", "light.jpg"}
    assert answers["broken.png"]["reason"].startswith("not a picture")


@pytest.mark.slow
def test_a_pandas_table_is_scored_and_keeps_its_rows(spark, files):
    paths = [str(files / name) for name in ("broken.png", "light.jpg", "dark.png")]
    table = pd.DataFrame({"path": paths, "content": [Path(path).read_bytes() for path in paths]})
    scored = example("score_with_pandas")["letters"](spark, str(NETWORK), table)
    assert scored["path"].tolist() == paths
    assert scored["reason"].notna().tolist() == [True, False, False]
    assert scored["letter"].notna().tolist() == [False, True, True]


@pytest.mark.slow
def test_the_service_is_started_asked_and_ended(files):
    module = example("serve_and_ask")
    with module["served"](str(NETWORK)) as address:
        reading = module["ask"](address, str(files / "light.jpg"))
        refused = module["ask"](address, str(files / "broken.png"))
    assert refused["letter"] is None
    assert "not a picture" in refused["reason"]
    assert reading["letter"]
    assert reading["reason"] is None
    with pytest.raises(OSError, match="refused"):
        module["ask"](address, str(files / "light.jpg"))


@pytest.mark.long
def test_folds_by_signer_are_judged_from_python(spark, few_letters, tmp_path):
    settings = ("mllib.classifier=forest", "mllib.trees=2", "mllib.depth=3")
    result = example("cross_validate")["judge"](spark, few_letters, str(tmp_path / "folds"), *settings, folds=2)
    assert len(result["folds"]) == 2
    assert (tmp_path / "folds" / "report.html").is_file()


@pytest.mark.long
def test_darker_pictures_are_drift_by_their_brightness(spark, pictures, own, tmp_path, capsys):
    dark = tmp_path / "dark"
    dark.mkdir()
    for path in pictures.glob("*-[0-9]*-[0-9]*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 3).save(dark / path.name)
    assert example("watch_for_drift")["watch"](spark, str(own / "model"), str(dark), str(tmp_path / "drift"))
    assert "brightness" in capsys.readouterr().out


WRONG = {
    "own_source": [(["{files}/none", "{out}"], "{files}/none: no file in it ends in .png")],
    "score_with_spark": [
        (["{files}/none", "{files}", "{out}"], "{files}/none"),
        ([str(NETWORK), "{files}/none", "{out}"], "Path does not exist: file:{files}/none"),
        ([str(NETWORK), "{files}", "{files}"], "--out {files}: it exists already"),
    ],
    "score_with_pandas": [
        ([str(NETWORK), "{files}/none.png"], "No such file or directory: '{files}/none.png'"),
        (["{files}/none", "{files}/dark.png"], "{files}/none"),
    ],
    "serve_and_ask": [
        (["{files}/none", "{files}/dark.png"], "the service of {files}/none did not start"),
        ([str(NETWORK), "{files}/none.png"], "No such file or directory: '{files}/none.png'"),
    ],
    "cross_validate": [
        (["{files}/none", "{out}"], "{files}/none does not exist"),
        (["{files}", "{out}", "training.epoch=8"], "did you mean training.epochs?"),
    ],
    "watch_for_drift": [(["{files}/none", "{files}", "{out}"], "{files}/none")],
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words", "said"), [(name, *case) for name, cases in WRONG.items() for case in cases])
def test_an_example_that_is_given_something_wrong_says_so_in_one_line(
    spark, files, tmp_path, monkeypatch, name, words, said
):
    places = {"files": str(files), "out": str(tmp_path / "out")}
    monkeypatch.setattr("sys.argv", [f"{name}.py", *(word.format(**places) for word in words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    message = ended.value.code
    assert message.startswith("error: ")
    assert "\n" not in message
    assert said.format(**places) in message


@pytest.mark.parametrize("name", sorted(WRONG))
def test_an_example_that_is_given_nothing_says_how_it_is_called(monkeypatch, name):
    monkeypatch.setattr("sys.argv", [f"{name}.py"])
    with pytest.raises(SystemExit, match=f"python examples/{name}.py "):
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")

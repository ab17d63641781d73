"""The page of one model: whole by itself, for wide, narrow and dark screens, with nothing that keeps people out."""

import re
import sys

import pandas as pd
import pytest
from browser import faults_of

from aslspark.common.report_page import PAGE
from aslspark.common.settings import load_config
from aslspark.evaluation.metrics import classification_metrics
from aslspark.evaluation.model_page import write_model_page
from aslspark.evaluation.plots import plot_confusion

ODD = "<b>odd & named</b>"


def judged(right, wrong):
    rows = [(label, label, True, right) for label in "ABC"] + [("A", "B", False, wrong)]
    counts = pd.DataFrame(rows, columns=["label", "letter", "in_top", "rows"]).assign(source=ODD)
    return classification_metrics(counts, "ABC")


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["aslspark train-cnn", "--out", "runs/mine", "--set", "tracking.token=hunter2"])
    metrics = {
        "judged_on": ["test"],
        **judged(20, 40),
        "splits": {"train": judged(200, 0), "validation": judged(100, 0), "test": judged(20, 40)},
        "certainty": {"splits": {"test": {"calibration_error": 0.034}}},
        "groups": {"side": [{"group": "left", "rows": 20, "accuracy": 0.0, "low": 0.0, "high": 0.16}]},
        "scoring_seconds": 1.0,
    }
    plot_confusion(metrics["confusion"], "title", tmp_path / "confusion.png")
    write_model_page(
        tmp_path,
        metrics,
        name="mine",
        warnings=["Trained on drawn hands", "read with password='hunter2 and 3'"],
        made={"data": ODD},
        settings=load_config(None, ["training.epochs=3"]).as_dict(),
    )
    return tmp_path / PAGE


def test_the_page_says_how_good_on_what_and_how_it_was_made(page):
    text = page.read_text(encoding="utf-8")
    assert "<title>mine: 60.00% of 100 test pictures right</title>" in text
    assert "100.0% of the validation pictures are right, and 60.0% of the test pictures" in text
    for words in ("Trained on drawn hands.", "aslspark train-cnn --out runs/mine", "training.epochs", "left", "3.4%"):
        assert words in text
    assert "training.batch_size" not in text  # as by default


def test_the_page_needs_nothing_beside_it_and_runs_nothing_of_what_it_shows(page):
    text = page.read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert ODD not in text
    assert "&lt;b&gt;odd &amp; named&lt;/b&gt;" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "<script" not in text
    assert text.count("data:image/png;base64,") == 1


def test_the_page_is_for_all_screens_and_people(page):
    assert faults_of(page) == []

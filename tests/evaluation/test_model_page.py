"""The page of one model: whole by itself, for wide, narrow and dark screens, with nothing that keeps people out."""

import re
import sys

import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, faults_of, require_browser

from aslspark.common.report_page import PAGE
from aslspark.common.settings import load_config
from aslspark.evaluation.metrics import classification_metrics
from aslspark.evaluation.model_page import write_model_page
from aslspark.evaluation.plots import plot_confusion, plot_curves, plot_mistakes

ODD = "<b>odd & named</b>"
MISTAKES = "mistakes.png"


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
    plot_mistakes([(np.full((8, 8, 1), grey, np.uint8), "A", "B", 0.9) for grey in (60, 180)], 40, tmp_path / MISTAKES)
    history = [{"epoch": n, "loss": 1 / n, "accuracy": 0.5, "val_loss": 2 / n, "val_accuracy": 0.25} for n in (1, 2)]
    plot_curves(history, 2, tmp_path / "curves.png")
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
    assert text.count("<script") == 1  # the template's own
    assert text.count("data:image/png;base64,") == 3


def test_the_page_is_for_all_screens_and_people(page):
    assert faults_of(page) == []


@pytest.fixture
def opened(page):
    require_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_page()
        tab.goto(page.as_uri())
        yield tab
        chromium.close()


def plot_of(opened, name):
    return opened.locator(f".plot:has(img[data-name='{name}'])")


def test_a_cell_of_the_confusion_matrix_shows_the_pictures_that_were_read_so(opened):
    plot = plot_of(opened, "confusion.png")
    plot.get_by_role("button", name="A read as B: 40 of 60, 66.7%").click()
    tip = plot.locator(".tip")
    assert tip.inner_text().split("\n")[0] == "A read as B: 40 of 60, 66.7%"
    middle = "c => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]"
    assert [canvas.evaluate(middle)[0] for canvas in tip.locator("canvas").all()] == pytest.approx([60, 180], abs=2)
    plot.get_by_role("button", name="A read as A").click()
    assert tip.locator("canvas").count() == 0


def test_values_of_curves_are_read_by_the_arrow_keys(opened):
    plot = plot_of(opened, "curves.png")
    plot.focus()
    opened.keyboard.press("Tab")
    said = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        said.append(plot.locator(".tip").inner_text().strip())
        opened.keyboard.press(key)
    assert said == [
        "epoch 1: loss 1.0000 in training, 2.0000 in validation",
        "epoch 2: loss 0.5000 in training, 1.0000 in validation",
        "epoch 1: accuracy 50.0% in training, 25.0% in validation",
    ]
    opened.keyboard.press("Escape")
    assert plot.locator(".tip").is_hidden()
    opened.keyboard.press("Tab")
    assert plot.locator("button:focus").count() == 0  # one stop for the whole plot

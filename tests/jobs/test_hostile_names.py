"""One hostile name goes through every page, card, report and plot, and shows there as the words that it is."""

import csv
import re
import shutil

import pytest
from conftest import REPOSITORY
from markdown_it import MarkdownIt

from aslspark.common.markdown import code, text
from aslspark.common.settings import load_config
from aslspark.data.samples import read_samples
from aslspark.images.decoding import pixels_of
from aslspark.tuning import leaderboard
from jobs import compare, cross_validate, monitor, train_baseline

NAME = "<img src=x onerror=alert(1)>|![a](http:x) $\\frac$ `b` **c** [d](javascript:e) & \"'"
FILE = "<svg onload> | $^^$ `b` **c** [d](e) ![f](g) &amp;"
"""The same for a file: without what a file system, Spark's patterns and options understand."""
OF_PLOTS = (REPOSITORY / "aslspark" / "common" / "templates" / "plot.js").read_text().rstrip()
QUICK = ["mllib.iterations=2", "split.kind=random"]


def read_as_html(markdown):
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)


def tags(page):
    return set(re.findall(r"<([a-z][a-z0-9]*)", page))


def is_plain(page):
    """Whether a page holds no tag but those that our pages have, no script but theirs, and no link out."""
    page = page.replace(f"<script>\n{OF_PLOTS}</script>", "")
    known = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "p",
        "div",
        "small",
        "img",
        "ul",
        "li",
        "main",
        "button",
    }
    known |= {"table", "thead", "tbody", "tr", "th", "td", "code", "pre", "strong", "em", "dl", "dt", "dd"}
    outside = re.findall(r'<img[^>]*src="(?!data:|[a-z_]+\.png")', page)
    return tags(page) <= known and not outside and "<img src=x" not in page and "<svg" not in page


@pytest.mark.promise(
    "bundle",
    "A name of a source, signer, model or reason shows in every card, page and plot as the words that it is.",
    kind="a name is read as HTML, Markdown or a formula",
)
@pytest.mark.long
def test_the_card_pages_and_plots_of_jobs_show_the_name_as_it_is(spark, few_letters, tmp_path):
    hostile = tmp_path / FILE
    hostile.mkdir()
    tables = [hostile / f"{FILE}.csv", hostile / "other.csv"]
    rows = read_samples(spark, few_letters).orderBy("id").collect()
    for n, table in enumerate(tables):
        with table.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["label", *(f"pixel{n}" for n in range(1, 785))])
            for row in rows[n::2]:
                lines.writerow([ord(row["label"]) - ord("A"), *pixels_of(row["picture"]).ravel().tolist()])
    data = [str(table) for table in tables]
    bundle = tmp_path / "bundle"
    words = ["--model", "logistic", "--data", *data, "--out", str(bundle), "--set", *QUICK]
    train_baseline.main(words)
    card = (bundle / "README.md").read_text()
    page = read_as_html(card)
    assert is_plain(page)
    assert (
        page.count("&lt;svg onload&gt; | $^^$ `b` **c** [d](e) ![f](g)") >= 2
    )  # the row of the source, and the sources
    shutil.move(bundle, hostile / "bundle")
    model = ["--model", str(hostile / "bundle")]
    compare.main([*model, "--data", f"{FILE}={data[1]}", "--out", str(tmp_path / "compared")])
    monitor.main([*model, "--data", data[1], "--out", str(tmp_path / "drift")])
    words = ["--by", "block", "--folds", "2", "--set", *QUICK, "mllib.classifier=logistic"]
    cross_validate.main(["--data", *data, "--out", str(tmp_path / "folds"), *words])
    pages = [
        path.read_text() for folder in ("compared", "folds", "drift") for path in (tmp_path / folder).glob("*.html")
    ]
    assert len(pages) == 3
    assert all(is_plain(page) for page in pages)


def test_the_leaderboard_shows_reasons_and_settings_as_they_are(tmp_path):
    trial = {"settings": [f"network.weights={NAME}"], "reason": NAME}
    result = {"drawn": False, "winner": NAME, "seconds": 1, "sources": [NAME], "split": NAME, "learned_from": "all"}
    best = {"place": 1, "model": NAME, "ms_a_picture": None, "bytes": 1, "pictures_a_second": 1, "fit_seconds": 1}
    best |= {"score": 0.5, "spread": 0.1, "test": 0.5, "test_spread": 0.1, "trials": [trial, {**trial, "score": 0.5}]}
    result["models"] = [best, {"place": None, "model": NAME, "score": None, "trials": [trial]}]
    leaderboard.write_leaderboard(result, load_config(), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert is_plain(page)
    assert page.count("<td>") == 1 + 2 * 9 + 3 * 4  # no cell more, no cell less
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 17


@pytest.mark.parametrize(
    "name", [NAME, "a\n\n# b", "a\r\n- b", "- a", "1. a", "# a", "> a", "_a_", "<!--", "&lt;", "\\", "`", ""]
)
def test_words_in_markdown_are_words(name):
    words = " ".join(name.split())
    inline = MarkdownIt("commonmark", {"html": True})
    for page in (inline.render(text(name)), inline.render(f"x {code(name)}")):
        shown = re.sub(r"</?(p|code)>|^<p>x ", "", page.strip())
        shown = shown.removeprefix("x ")
        for sign, entity in (("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("&", "&amp;")):
            shown = shown.replace(entity, sign)
        assert " ".join(shown.replace("\\|", "|").split()) == words

"""Every plot as people see it: shares within 0-100 %, no text upon other text, legends beside the data."""

import itertools
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from aslspark.common.plot_style import limits_of_shares, plot_style, show_percent
from aslspark.evaluation.calibration_plots import plot_calibration, plot_coverage, plot_groups
from aslspark.evaluation.comparison_plots import plot_cost, plot_scores
from aslspark.evaluation.metrics import UNSCORED, wilson
from aslspark.evaluation.plots import plot_augmented, plot_confusion, plot_curves, plot_mistakes

LABELS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "del", "nothing", "space"]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw with a function that is given a path at its end, and return the figure that it saved."""
    saved, save = [], Figure.savefig

    def savefig(figure, *args, **options):
        save(figure, *args, **options)
        saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)

    def draw(function, *args):
        function(*args, tmp_path / "plot.png")
        return saved[-1]

    return draw


def box(artist):
    return artist.get_window_extent()


def ticks_of(axis):
    """Return the labels of an axis that can be seen."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if low <= tick.get_loc() <= high and tick.label1.get_text() and tick.label1.get_visible()
    ]


def upon_each_other(artists):
    boxes = [(artist.get_text(), box(artist)) for artist in artists]
    return [
        (one, other)
        for (one, first), (other, second) in itertools.combinations(boxes, 2)
        if first.shrunk(0.98, 0.98).overlaps(second.shrunk(0.98, 0.98))
    ]


def require_readable(figure):
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            assert upon_each_other(ticks_of(axis)) == []
            for tick in ticks_of(axis):
                if tick.get_text().endswith("%"):
                    assert 0 <= float(tick.get_text()[:-1]) <= 100
        if legend := axes.get_legend():
            assert not box(legend).overlaps(axes.patch.get_window_extent())
        for text in [*axes.texts, *(ticks_of(axes.yaxis) if axes.axison else [])]:
            low, _, high, _ = box(text).extents
            assert low >= -1
            assert high <= figure.bbox.width + 1


def confusion_of(labels):
    counts = np.diag(np.arange(100, 100 + len(labels)))
    counts[0, 1], counts[-1, 0] = 7, 4
    unscored = np.zeros(len(labels), int)
    unscored[0] = 2
    return {"labels": labels, "answers": [*labels, UNSCORED], "counts": np.c_[counts, unscored].tolist()}


def splits_of(accuracies, coverages):
    """Return one split of `calibration.calibration_metrics` with these points of its curve."""
    points = [
        {"threshold": n / 10, "coverage": coverage, "accuracy": accuracy}
        for n, (accuracy, coverage) in enumerate(zip(accuracies, coverages, strict=True))
    ]
    bins = [{"certainty": 0.7, "accuracy": 1.0, "rows": 9}, {"certainty": 0.9, "accuracy": 0.0, "rows": 3}]
    return {
        "rows": 480,
        "calibration_error": 0.02,
        "calibration_error_before": 0.1,
        "bins": bins,
        "bins_before": bins,
        "coverage": points,
        "curve": {"coverage": list(coverages), "accuracy": list(accuracies)},
    }


@pytest.mark.parametrize("labels", [LABELS, LABELS[:24], ["thumb_up", "thumb_down"]])
def test_labels_of_a_confusion_matrix_stand_beside_each_other(drawn, labels):
    figure = drawn(plot_confusion, confusion_of(labels), "100.0% of 2,900 right (test)")
    assert [tick.get_text() for tick in ticks_of(figure.axes[0].yaxis)] == labels
    require_readable(figure)


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_curves_have_whole_epochs_and_shares_within_100_percent(drawn, epochs):
    rows = [
        {"epoch": n, "loss": 3 / n, "accuracy": 1 - 0.5 / n, "val_loss": 2 / n, "val_accuracy": 1.0}
        for n in range(1, epochs + 1)
    ]
    figure = drawn(plot_curves, rows, epochs)
    assert all(tick.get_text().isdigit() for tick in ticks_of(figure.axes[0].xaxis))
    require_readable(figure)


@pytest.mark.parametrize(
    ("accuracies", "coverages"),
    [((0.95, 0.97, 1.0, 1.0), (1.0, 0.9, 0.5, 0.01)), ((1.0, 1.0), (1.0, 0.999)), ((0.0, 0.0), (1.0, 0.2))],
)
def test_coverage_lies_within_100_percent_and_its_thresholds_in_the_legend(drawn, accuracies, coverages):
    certainty = {"temperature": 1.0, "threshold": 0.1, "splits": {"test": splits_of(accuracies, coverages)}}
    figure = drawn(plot_coverage, certainty)
    require_readable(figure)
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert any(word.startswith("0.1:") and "(as set)" in word for word in words)
    require_readable(drawn(plot_calibration, certainty))


def test_a_threshold_that_answers_few_does_not_say_that_it_answers_none(drawn):
    figure = drawn(
        plot_coverage,
        {"temperature": 1.0, "threshold": 0.0, "splits": {"test": splits_of((0.3, 0.9, 1.0), (1.0, 0.21, 1 / 203))}},
    )
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words[1:] == ["0: 30.0% of 100% (as set)", "0.1: 90.0% of 21%", "0.2: 100.0% of 0.49%"]


def test_a_cost_of_two_bundles_is_no_large_box(drawn):
    bundles = [
        {"name": name, "ms_a_picture": ms, "sets": {"mine": {"accuracy": accuracy, "rows": 40}}}
        for name, ms, accuracy in (("keras-20261101-101010", 0.3, 0.98), ("torch-20261101-101010", 0.9, 1.0))
    ]
    figure = drawn(plot_cost, bundles, ["mine"])
    require_readable(figure)
    assert figure.get_figheight() < 3
    require_readable(drawn(plot_scores, bundles, ["mine"]))


@pytest.mark.parametrize("times", [(0.145, 0.147), (0.1, 0.29), (0.1, 0.51), (0.98, 1.9), (2.0, 2.0), (0.1, 40.0)])
def test_a_cost_has_ticks_enough_to_read_it_by(drawn, times):
    bundles = [{"name": f"{ms}", "ms_a_picture": ms, "sets": {"mine": {"accuracy": 0.9, "rows": 40}}} for ms in times]
    figure = drawn(plot_cost, bundles, ["mine"])
    require_readable(figure)
    low, high = figure.axes[0].get_xlim()
    assert len([tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]) >= 3


@pytest.mark.parametrize(("temperature", "dots"), [(1.0, 1), (0.5, 2)], ids=["none is set", "one is set"])
def test_probabilities_before_a_temperature_are_drawn_where_one_is_set(drawn, temperature, dots):
    splits = {"test": splits_of((1.0, 0.9), (0.5, 1.0))}
    bins = [{"certainty": 0.9, "accuracy": 0.8, "rows": 40}]
    splits["test"] |= {"bins": bins, "bins_before": bins, "calibration_error": 0.1, "calibration_error_before": 0.1}
    figure = drawn(plot_calibration, {"temperature": temperature, "threshold": 0.0, "splits": splits})
    require_readable(figure)
    assert len(figure.axes[0].collections) == dots
    assert ("before" in figure.axes[0].get_title()) == (dots == 2)


def test_groups_of_which_all_or_none_is_right_lie_within_100_percent(drawn):
    groups = [
        {"group": name, "rows": rows, "accuracy": share, **dict(zip(("low", "high"), wilson(share, rows), strict=True))}
        for name, rows, share in (("left", 40, 0.0), ("right", 100, 1.0))
    ]
    assert [(group["low"] >= 0, group["high"] <= 1) for group in groups] == [(True, True)] * 2
    assert f"{groups[0]['low']:.1%} {groups[1]['high']:.1%}" == "0.0% 100.0%"
    require_readable(drawn(plot_groups, {"side": groups}, 0.5))


def test_the_spots_of_a_confusion_matrix_lie_where_its_cells_are_drawn(tmp_path):
    counts = [[5 * (row == column) for column in range(4)] for row in range(3)]
    plot_confusion({"labels": [*"ABC"], "answers": [*"ABC", UNSCORED], "counts": counts}, "", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        spots = json.loads(image.info["spots"])
        grey, size = image.convert("L"), image.size
    assert [spot["about"] for spot in spots] == ["A → A", "B → B", "C → C"]
    for spot in spots:
        left, top, width, height = (part / 100 * size[place % 2] for place, part in enumerate(spot["box"]))
        inside = [grey.getpixel((round(left + x * width), round(top + 0.2 * height))) for x in (0.08, 0.92)]
        outside = [grey.getpixel((round(left + x * width), round(top + 0.2 * height))) for x in (-0.08, 1.08)]
        assert max(inside) < 80 < 200 < min(outside)


def test_captions_of_a_sheet_do_not_run_into_the_next_picture(drawn):
    picture = np.zeros((28, 28, 1), np.uint8)
    figure = drawn(plot_mistakes, [(picture, "space", "nothing", 0.93)] * 12, 12)
    require_readable(figure)
    title, *captions = figure.axes[0].texts
    assert "how sure" in title.get_text()
    assert upon_each_other(captions) == []


def test_pictures_of_one_pixel_are_drawn_too(drawn):
    figure = drawn(plot_mistakes, [(np.full((1, 1, channels), 9, np.uint8), "A", "S", 0.5) for channels in (1, 3)], 2)
    assert len(figure.axes[0].images) == 2


def test_the_columns_of_changed_pictures_have_heads(drawn):
    figure = drawn(plot_augmented, np.zeros((2, 4, 28, 28, 1), np.float32), ["A", "B"])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert [word for word in words if "chang" in word or "is" in word][1:] == [
        "as it is",
        "changed, 1",
        "changed, 2",
        "changed, 3",
    ]
    require_readable(figure)


@pytest.mark.parametrize("shares", [(0.0,), (1.0,), (0.5, 0.5001), (0.0, 1.0), (0.98, 1.0)])
def test_limits_of_shares_show_all_and_no_tick_beyond_0_or_1(shares):
    low, high = limits_of_shares(*shares)
    assert low <= min(shares) <= max(shares) <= high
    assert high - low >= 0.1 - 1e-9
    with plot_style():
        axes = Figure().subplots()
        axes.set_ylim(low, high)
        show_percent(axes.yaxis)
        shown = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert min(shown) >= 0
    assert max(shown) <= 1 + 1e-9

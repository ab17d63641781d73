"""The plots of a search: names whole, epochs whole, no text upon other text, however many trials there are."""

import itertools
import json

import pytest
from browser import faults_of
from matplotlib.figure import Figure
from PIL import Image

optuna = pytest.importorskip("optuna")

from aslspark.common.plot_style import limits_of_shares  # noqa: E402
from aslspark.common.settings import load_config  # noqa: E402
from aslspark.tuning.plots import plot_history, plot_importance, plot_parallel, plot_stopped  # noqa: E402
from aslspark.tuning.report import write_report  # noqa: E402

NAMES = {
    "training.learning_rate": optuna.distributions.FloatDistribution(1e-5, 0.1, log=True),
    "training.batch_size": optuna.distributions.IntDistribution(16, 128),
    "network.channels": optuna.distributions.CategoricalDistribution(["", "8,16,24", "32,64,128,256"]),
    "augment.coarse_dropout_probability": optuna.distributions.CategoricalDistribution([0.0, 0.3]),
    "features.stretch": optuna.distributions.CategoricalDistribution([True, False]),
}


@pytest.fixture
def figures(monkeypatch):
    saved, save = [], Figure.savefig

    def savefig(figure, *args, **options):
        save(figure, *args, **options)
        saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def study_of(trials):
    study = optuna.create_study(direction="maximize")
    for n in range(trials):
        params = {
            "training.learning_rate": 10 ** -(1 + n % 4),
            "training.batch_size": 16 + 7 * n % 100,
            "network.channels": ["", "8,16,24", "32,64,128,256"][n % 3],
            "augment.coarse_dropout_probability": [0.0, 0.3][n % 2],
            "features.stretch": n % 2 == 0,
        }
        stopped = n % 3 == 1
        values = {epoch: 1 - 0.5 / epoch - 0.01 * n for epoch in range(1, 3 if stopped else 6)}
        state = optuna.trial.TrialState.PRUNED if stopped else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=None if stopped else max(values.values()),
                params=params,
                distributions=NAMES,
                intermediate_values=values,
            )
        )
    return study


@pytest.mark.parametrize("trials", [1, 2, 7, 25])
def test_plots_of_a_search_can_be_read(trials, figures, tmp_path):
    study = study_of(trials)
    for draw in (plot_history, plot_parallel, plot_stopped):
        assert draw(study, tmp_path / "plot.png")
        for axes in figures[-1].axes:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                labels = [tick.label2 if draw is plot_parallel else tick.label1 for tick in ticks]
                boxes = [label.get_window_extent() for label in labels if label.get_text()]
                assert not any(a.shrunk(0.98, 0.98).overlaps(b) for a, b in itertools.combinations(boxes, 2))
                width = figures[-1].bbox.width
                assert [box.extents for box in boxes if box.x0 < -1 or box.x1 > width + 1] == []
            if legend := axes.get_legend():
                assert not legend.get_window_extent().overlaps(axes.patch.get_window_extent())
    epochs = [label.get_text() for label in figures[-1].axes[0].get_xticklabels()]
    assert epochs
    assert all(epoch.isdigit() for epoch in epochs)


def test_a_tick_between_whole_percentages_is_written_with_its_decimal(figures, tmp_path):
    study, shares = optuna.create_study(direction="maximize"), (0.1262, 0.1179, 0.1137)
    for share in shares:
        params = study_of(1).trials[0].params
        study.add_trial(optuna.trial.create_trial(value=share, params=params, distributions=NAMES))
    plot_parallel(study, tmp_path / "parallel.png")
    low, high = limits_of_shares(*shares)
    written = {
        text.get_text(): low + (high - low) * text.get_position()[1]
        for text in figures[-1].axes[0].texts
        if text.get_text().endswith("%")
    }
    assert len(written) > 2
    for label, share in written.items():
        assert float(label.removesuffix("%")) / 100 == pytest.approx(share)


def test_every_setting_of_a_search_has_an_axis_with_its_whole_name(figures, tmp_path):
    plot_parallel(study_of(4), tmp_path / "parallel.png")
    heads = [label.get_text().replace("\n", "") for label in figures[-1].axes[0].get_xticklabels()]
    assert heads == ["validation,right", *sorted(NAMES)]


def test_what_mattered_is_drawn_only_where_there_are_enough_trials(figures, tmp_path):
    assert plot_importance(study_of(25), tmp_path / "importance.png")
    assert not plot_importance(study_of(2), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_page_of_a_search_shows_each_trial_and_is_for_all_screens_and_people(tmp_path):
    study, config = study_of(7), load_config(None, ["training.epochs=8"])
    write_report(study, config, {"data": "<b>letters</b>.csv"}, tmp_path, ["Searched on few."])
    page = (tmp_path / "report.html").read_text()
    assert "<title>The best of 7 trials: 90.00% of the validation pictures right</title>" in page
    assert "Searched on few." in page
    assert page.count("<td>stopped early</td>") == 2
    assert page.count("<td>done</td>") == 5
    assert page.count("data:image/png;base64,") == 4
    for words in ("&lt;b&gt;letters&lt;/b&gt;.csv", "<dt>training.epochs</dt><dd>8</dd>", "<td>&#34;&#34;</td>"):
        assert words in page
    assert faults_of(tmp_path / "report.html") == []


def test_trials_and_epochs_are_said_where_they_are_pointed_at(tmp_path):
    study = study_of(9)
    for plot, name in ((plot_history, "history"), (plot_importance, "importance"), (plot_stopped, "stopped")):
        plot(study, tmp_path / f"{name}.png")
    says = {}
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            says[path.stem] = [spot["says"] for spot in json.loads(image.info["spots"])]
    assert says["history"][1] == "trial 2: 88.0% right, 90.0% the best so far"
    assert len(says["importance"]) == len(NAMES)
    assert all(words.endswith("% of what made trials differ") for words in says["importance"])
    assert says["stopped"][4].startswith("epoch 5, right: trial 0 90.0%, trial 2 88.0%, trial 3 87.0%, ")
    assert says["stopped"][1].endswith(", and 4 more")
    assert len(says["stopped"]) == 5

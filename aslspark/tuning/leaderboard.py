"""The result of `automl` -> `leaderboard.json`, a page, a plot, and the winner's settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from aslspark.common.plot_style import MARKERS, legend_beside, limits_of_shares, plot_style, show_percent
from aslspark.common.redacted_files import write_json, write_settings
from aslspark.common.report_page import write_page
from aslspark.common.settings import Config
from aslspark.training.data import DRAWN_WARNING

RESULT_FILE, PLOT_FILE, SETTINGS_FILE = "leaderboard.json", "leaderboard.png", "best.yaml"


def write_leaderboard(result: dict[str, Any], settings: Config, folder: Path) -> None:
    """Write the result for programs and people.

    Parameters
    ----------
    result : dict
        See `aslspark.workflows.automl.automl`.
    settings : Config
        Of the winner.
    folder : Path
    """
    write_json(folder / RESULT_FILE, result)
    write_settings(folder / SETTINGS_FILE, settings.as_dict(), "The winner's settings, for --config.")
    _plot([row for row in result["models"] if row["score"] is not None], folder / PLOT_FILE)
    trials = [trial for row in result["models"] for trial in row["trials"]]
    write_page(
        folder,
        "automl.html",
        warnings=[f"Of {DRAWN_WARNING}."] if result["drawn"] else [],
        made={"data": ", ".join(result["sources"]), "split": result["split"]},
        settings=settings.as_dict(),
        tried=len(trials),
        done=sum("score" in trial for trial in trials),
        **{name: result[name] for name in ("winner", "learned_from", "seconds", "models")},
    )


@plot_style()
def _plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    shown = (("score", "spread", "validation,\nchosen by"), ("test", "test_spread", "test"))
    ends = []
    for shift, marker, (name, spread, label) in zip((-0.12, 0.12), MARKERS, shown, strict=False):
        axes.errorbar(
            [row[name] for row in rows],
            [place + shift for place in places],
            xerr=[[min(row[spread], row[name]) for row in rows], [min(row[spread], 1 - row[name]) for row in rows]],
            fmt=marker,
            capsize=3,
            label=label,
            clip_on=False,
        )
        ends += [end for row in rows for end in (row[name] - row[spread], row[name] + row[spread])]
    axes.set_yticks(list(places), [row["model"] for row in rows])
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=limits_of_shares(*(min(max(end, 0.0), 1.0) for end in ends)))
    axes.set_xlabel("right, with the standard error")
    show_percent(axes.xaxis)
    axes.grid(axis="x")
    legend_beside(axes)
    figure.savefig(path)

"""The result of `automl` -> `leaderboard.json`, a page, a plot, and the winner's settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Required, TypedDict

from matplotlib.figure import Figure

from aslspark.common.plot_style import MARKERS, legend_beside, limits_of_shares, plot_style, show_percent
from aslspark.common.redacted_files import write_json, write_settings
from aslspark.common.report_page import write_page
from aslspark.common.settings import Config
from aslspark.training.data import DRAWN_WARNING

RESULT_FILE, PLOT_FILE, SETTINGS_FILE = "leaderboard.json", "leaderboard.png", "best.yaml"


class Tried(TypedDict, total=False):
    """A trial, with its score or the reason why it has none."""

    settings: Required[list[str]]
    """As ``key=value``."""
    seconds: float
    """Of the fit."""
    score: float
    reason: str


class _Kind(TypedDict):
    model: str
    trials: list[Tried]


class JudgedRow(_Kind):
    """A kind of model with a finished trial; what is said is said of the best one."""

    place: int
    score: float
    """The accuracy on the validation split, by which it was chosen."""
    spread: float
    """See `aslspark.tuning.trial.Score`."""
    rows: int
    test: float
    test_spread: float
    test_rows: int
    bytes: int
    ms_a_picture: float | None
    """None where it runs in Spark alone."""
    pictures_a_second: int
    """In Spark."""
    fit_seconds: float
    settings: list[str]


class LeftOutRow(_Kind):
    """A kind of model without one."""

    place: None
    score: None


class Leaderboard(TypedDict):
    """The content of `leaderboard.json`."""

    winner: str
    learned_from: str
    """The samples of its bundle, in words."""
    split: str
    sources: list[str]
    drawn: bool
    """Whether they are drawn hands."""
    budget: dict[str, Any]
    seconds: int
    models: list[JudgedRow | LeftOutRow]
    """Best first; those that were left out at the end."""


def write_leaderboard(result: Leaderboard, settings: Config, folder: Path) -> None:
    """Write the result for programs and people.

    Parameters
    ----------
    settings : Config
        Of the winner.
    """
    write_json(folder / RESULT_FILE, result)
    write_settings(folder / SETTINGS_FILE, settings.as_dict(), "The winner's settings, for --config.")
    _plot([row for row in result["models"] if row["place"] is not None], folder / PLOT_FILE)
    trials = [trial for row in result["models"] for trial in row["trials"]]
    write_page(
        folder,
        "automl.html",
        warnings=[f"Of {DRAWN_WARNING}."] if result["drawn"] else [],
        made={"data": ", ".join(result["sources"]), "split": result["split"]},
        settings=settings.as_dict(),
        tried=len(trials),
        done=sum("score" in trial for trial in trials),
        winner=result["winner"],
        learned_from=result["learned_from"],
        seconds=result["seconds"],
        models=result["models"],
    )


@plot_style()
def _plot(rows: Sequence[JudgedRow], path: Path) -> None:
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    validation, test = (
        [(row["score"], row["spread"]) for row in rows],
        [(row["test"], row["test_spread"]) for row in rows],
    )
    shown = ((validation, "validation,\nchosen by"), (test, "test"))
    for shift, marker, (scores, label) in zip((-0.12, 0.12), MARKERS, shown, strict=False):
        axes.errorbar(
            [score for score, _ in scores],
            [place + shift for place in places],
            xerr=[
                [min(spread, score) for score, spread in scores],
                [min(spread, 1 - score) for score, spread in scores],
            ],
            fmt=marker,
            capsize=3,
            label=label,
            clip_on=False,
        )
    axes.set_yticks(list(places), [row["model"] for row in rows])
    ends = [end for score, spread in validation + test for end in (score - spread, score + spread)]
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=limits_of_shares(*(min(max(end, 0.0), 1.0) for end in ends)))
    axes.set_xlabel("right, with the standard error")
    show_percent(axes.xaxis)
    axes.grid(axis="x")
    legend_beside(axes)
    figure.savefig(path)

"""The result of `automl` -> `leaderboard.json`, a page, a plot, and the winner's settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from aslspark.common.markdown import code, text
from aslspark.common.plot_style import MARKERS, legend_beside, limits_of_shares, plot_style, show_percent
from aslspark.common.redacted_files import write_json, write_settings, write_text
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
    write_text(folder / "README.md", "\n".join(_lines(result)) + "\n")


def _lines(result: dict[str, Any]) -> list[str]:
    lines = ["# Leaderboard", ""]
    if result["drawn"]:
        lines += [f"**Of {DRAWN_WARNING}.**", ""]
    done = sum("score" in trial for row in result["models"] for trial in row["trials"])
    tried = sum(len(row["trials"]) for row in result["models"])
    lines += [
        f"{text(result['winner'])} wins; `bundle/` is it, trained again on {result['learned_from']}. "
        f"{tried} trials, {done} done, {result['seconds']} s with that last training. Models were chosen by the "
        "validation split; by the test split nothing was chosen. After ± stands the standard error over letters of "
        "signers or sources.",
        "",
        f"Sources: {', '.join(map(text, result['sources']))}. {text(result['split'])}",
        "",
        f"![validation and test accuracy of the best of each kind]({PLOT_FILE})",
        "",
        "| | model | validation | test | size | ms a picture, alone | pictures a second, in Spark | fit | trials |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["models"]:
        count = len(row["trials"])
        if row["score"] is None:
            reason = row["trials"][-1]["reason"] if count else "the time was over before it was tried"
            lines.append(f"| | {text(row['model'])} | {text(reason)} | | | | | | {count} |")
            continue
        alone = f"{row['ms_a_picture']:.2f}" if row["ms_a_picture"] is not None else "only in Spark"
        lines.append(
            f"| {row['place']} | {text(row['model'])} | {row['score']:.2%} ± {row['spread']:.1%} | "
            f"{row['test']:.2%} ± {row['test_spread']:.1%} | {row['bytes'] / 1e6:.2f} MB | {alone} | "
            f"{row['pictures_a_second']:,} | {row['fit_seconds']:.0f} s | {count} |"
        )
    lines += ["", "| model | settings | validation |", "|---|---|---|"]
    for row in result["models"]:
        for trial in row["trials"]:
            settings = " ".join(map(code, trial["settings"]))
            lines.append(f"| {text(row['model'])} | {settings} | {text(_outcome(trial))} |")
    return lines


def _outcome(trial: dict[str, Any]) -> str:
    return f"{trial['score']:.2%}" if "score" in trial else str(trial["reason"])


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

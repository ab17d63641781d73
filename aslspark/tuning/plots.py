"""A study -> plots of its trials. Optuna's own have a style of their own, and cut names where settings are many."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aslspark.common.plot_style import (
    COLOURS,
    MARKERS,
    QUIET,
    SMALL,
    VALIDATION_COLOUR,
    Spot,
    as_percent,
    legend_beside,
    limits_of_shares,
    plot_style,
    save_with_spots,
    show_percent,
    show_whole,
)

log = logging.getLogger("aslspark")

_MOST_NAMED = 12
"""Trials that have a line of their own in a legend."""
_MOST_SAID = 5
"""Trials that are named where an epoch is pointed at."""
_TICKS = 4
_LEAST_FOR_IMPORTANCE = 3
"""Trials; of fewer, nothing can be said about what mattered."""


@plot_style()
def plot_history(study: optuna.Study, path: Path) -> bool:
    """Draw the accuracy of each trial that came to its end, and the best so far."""
    done = _done(study)
    values = [float(trial.value or 0) for trial in done]
    figure = Figure(figsize=(8, 3.4 if len(done) > _LEAST_FOR_IMPORTANCE else 2.2), layout="constrained")
    axes = figure.subplots()
    numbers = [trial.number for trial in done]
    best = np.maximum.accumulate(values)
    axes.plot(numbers, best, drawstyle="steps-post", color=VALIDATION_COLOUR, label="best so far")
    axes.plot(numbers, values, linestyle="none", marker="o", color=COLOURS[0], label="a trial", clip_on=False)
    _finish(axes, "trial", numbers, values)
    says = [
        f"trial {number}: {value:.1%} right, {so_far:.1%} the best so far"
        for number, value, so_far in zip(numbers, values, best, strict=True)
    ]
    save_with_spots(figure, path, _bands(axes, numbers, says))
    return True


@plot_style()
def plot_importance(study: optuna.Study, path: Path) -> bool:
    """Draw which settings the accuracy depended on; not where the trials are too few, or alike, to tell."""
    if len(_done(study)) < _LEAST_FOR_IMPORTANCE:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(study)
    except (ValueError, RuntimeError) as error:
        log.info("%s was not drawn: %s", path.name, error)
        return False
    figure = Figure(figsize=(8, 1.0 + 0.36 * len(shares)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(shares)), list(shares.values()), color=COLOURS[0])
    for place, share in enumerate(shares.values()):
        axes.text(share + 0.01, place, f"{share:.0%}", va="center", fontsize=SMALL)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.set(ylim=(len(shares) - 0.5, -0.5), xlim=(0, 1.08), xlabel="share of what made trials differ")
    axes.set_xticks(np.linspace(0, 1, 6))
    show_percent(axes.xaxis)
    spots = [
        Spot(axes, axes.get_xlim(), (place - 0.5, place + 0.5), f"{name}: {share:.1%} of what made trials differ")
        for place, (name, share) in enumerate(shares.items())
    ]
    save_with_spots(figure, path, spots)
    return True


@plot_style()
def plot_parallel(study: optuna.Study, path: Path) -> bool:
    """Draw each trial as a line through its settings, the better the darker."""
    done = _done(study)
    names = sorted({name for trial in done for name in trial.params})
    if not names:
        return False
    figure = Figure(figsize=(max(8.0, 1.35 * (len(names) + 1) + 1.2), 4.4), layout="constrained")
    axes = figure.subplots()
    values = [float(trial.value or 0) for trial in done]
    low, high = limits_of_shares(*values)
    columns = [(np.array(values) - low) / (high - low)]
    scales = [_percent_ticks(low, high)]
    for name in names:
        distribution = next(trial.distributions[name] for trial in done if name in trial.distributions)
        places, ticks = _scale([trial.params.get(name) for trial in done], distribution)
        columns.append(places)
        scales.append(ticks)
    colours = _shades(values)
    for order in np.argsort(values):  # the best lie on top
        line = [column[order] for column in columns]
        axes.plot(range(len(line)), line, color=colours[order], marker="o", markersize=3, linewidth=1.2)
    heads = ["validation,\nright", *(_in_lines(name) for name in names)]
    axes.set_xticks(range(len(columns)), heads)
    axes.tick_params(axis="x", length=0, labeltop=True, labelbottom=False, labelsize=SMALL)
    axes.set(xlim=(-0.1, len(columns) - 0.5), ylim=(-0.03, 1.03), yticks=[])
    axes.spines[:].set_visible(False)
    for place, ticks in enumerate(scales):
        axes.axvline(place, color=QUIET, linewidth=1, zorder=0)
        for height, label in ticks:
            axes.text(place + 0.05, height, label, fontsize=SMALL - 1, va="center", bbox=_BACKED, zorder=4)
    figure.savefig(path)
    return True


@plot_style()
def plot_stopped(study: optuna.Study, path: Path) -> bool:
    """Draw the accuracy by epoch of each trial; lines that end early were stopped."""
    trials = [trial for trial in study.trials if trial.intermediate_values]
    if not trials:
        return False
    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    axes = figure.subplots()
    best = study.best_trial.number
    named = len(trials) <= _MOST_NAMED
    epochs = sorted({epoch for trial in trials for epoch in trial.intermediate_values})
    for place, trial in enumerate(trials):
        kind = " (best)" if trial.number == best else ""
        kind = " (stopped)" if trial.state == optuna.trial.TrialState.PRUNED else kind
        axes.plot(
            list(trial.intermediate_values),
            list(trial.intermediate_values.values()),
            color=COLOURS[place % len(COLOURS)] if named else (VALIDATION_COLOUR if trial.number == best else QUIET),
            marker=MARKERS[place % len(MARKERS)] if named else "o",
            markersize=4,
            linewidth=2.4 if trial.number == best else 1.0,
            linestyle="--" if trial.state == optuna.trial.TrialState.PRUNED else "-",
            zorder=3 if trial.number == best else 2,
            clip_on=False,
            label=f"trial {trial.number}{kind}" if named or trial.number == best else None,
        )
    if not named:
        axes.plot([], [], color=QUIET, marker="o", markersize=4, label="the other trials")
        axes.plot([], [], color=QUIET, linestyle="--", marker="o", markersize=4, label="stopped early")
    shares = [share for trial in trials for share in trial.intermediate_values.values()]
    _finish(axes, "epoch", epochs, shares)
    save_with_spots(figure, path, _bands(axes, epochs, [_at_epoch(epoch, trials) for epoch in epochs]))
    return True


def _at_epoch(epoch: int, trials: Sequence[optuna.trial.FrozenTrial]) -> str:
    """Say which trials were best at an epoch."""
    reached = [trial for trial in trials if epoch in trial.intermediate_values]
    reached.sort(key=lambda trial: -trial.intermediate_values[epoch])
    best = [f"trial {trial.number} {trial.intermediate_values[epoch]:.1%}" for trial in reached[:_MOST_SAID]]
    more = f", and {len(reached) - _MOST_SAID} more" if len(reached) > _MOST_SAID else ""
    return f"epoch {epoch}, right: {', '.join(best)}{more}"


def _bands(axes: Any, numbers: Sequence[int], says: Sequence[str]) -> list[Spot]:
    """Make a band over the height of a plot of each number on its axis."""
    return [
        Spot(axes, (number - 0.5, number + 0.5), axes.get_ylim(), words)
        for number, words in zip(numbers, says, strict=True)
    ]


def _finish(axes: Any, what: str, numbers: Sequence[int], shares: Sequence[float]) -> None:
    """Set the axes of a plot of validation accuracies by trial or epoch, and its legend."""
    axes.set(xlabel=what, ylabel="validation, right", ylim=limits_of_shares(*shares))
    axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    show_whole(axes.xaxis)
    show_percent(axes.yaxis)
    axes.grid()
    legend_beside(axes)


def _in_lines(name: str) -> str:
    """Break a setting's name where a person would: its part, and words, each line short enough for its axis."""
    lines: list[str] = []
    for word in re.findall(r"[^._]+[._]?", name):
        if lines and len(lines[-1]) + len(word) <= _NAME_WIDTH and not lines[-1].endswith("."):
            lines[-1] += word
        else:
            lines.append(word)
    return "\n".join(lines)


_NAME_WIDTH = 14
_BACKED = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}


def _done(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]


def _shades(values: Sequence[float]) -> npt.NDArray[Any]:
    """Return a colour for each value, the highest darkest, and none too light to be seen."""
    from matplotlib import colormaps

    span = max(values) - min(values)
    share = (np.array(values) - min(values)) / span if span else np.ones(len(values))
    return np.asarray(colormaps["Blues"](0.35 + 0.65 * share))


def _percent_ticks(low: float, high: float) -> list[tuple[float, str]]:
    ticks = MaxNLocator(_TICKS).tick_values(low, high)
    return [((tick - low) / (high - low), as_percent(tick)) for tick in ticks if low <= tick <= high and tick <= 1]


def _scale(values: Sequence[Any], distribution: Any) -> tuple[npt.NDArray[Any], list[tuple[float, str]]]:
    """Return where values lie between 0 and 1 on their axis (NaN: the trial has none), and the ticks of the axis."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        choices = list(distribution.choices)
        heights = np.linspace(0, 1, len(choices)) if len(choices) > 1 else np.array([0.5])
        places = [np.nan if value is None else heights[choices.index(value)] for value in values]
        named = [str(choice) if choice != "" else '""' for choice in choices]
        return np.array(places), list(zip(heights.tolist(), named, strict=True))
    low, high = float(distribution.low), float(distribution.high)
    change = math.log10 if distribution.log else float
    span = (change(high) - change(low)) or 1.0
    places = [np.nan if value is None else (change(float(value)) - change(low)) / span for value in values]
    if distribution.log:
        exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        marks = [10.0**exponent for exponent in exponents][:: max(1, len(exponents) // _TICKS)] or [low, high]
    else:
        whole = isinstance(distribution, optuna.distributions.IntDistribution)
        marks = [mark for mark in MaxNLocator(_TICKS, integer=whole).tick_values(low, high) if low <= mark <= high]
    return np.array(places), [((change(mark) - change(low)) / span, f"{mark:g}") for mark in marks]

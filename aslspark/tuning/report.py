"""A study -> the best settings as YAML, and a page with plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna

from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.counted import counted
from aslspark.common.redacted_files import write_settings
from aslspark.common.report_page import write_page
from aslspark.common.settings import Config
from aslspark.tuning.plots import plot_history, plot_importance, plot_parallel, plot_stopped

EPOCHS = "training.epochs"
_PLOTS = {
    "history.png": plot_history,
    "importance.png": plot_importance,
    "parallel.png": plot_parallel,
    "stopped.png": plot_stopped,
}
_STATES = {"COMPLETE": "done", "PRUNED": "stopped early", "FAIL": "failed"}


def write_report(
    study: optuna.Study, config: Config, data: Mapping[str, str], folder: Path, warnings: Sequence[str] = ()
) -> None:
    """Write `best.yaml`, the plots, and `report.html`, which shows them.

    Parameters
    ----------
    study : optuna.Study
        With at least one completed trial.
    config : Config
        The settings that the search began with.
    data : mapping of str to str
        What it was searched on and how, in words.
    warnings : sequence of str
        What is to be said of the figures.
    """
    best = study.best_trial
    settings = config.as_dict()
    classifier = config.mllib.classifier
    job = "train_cnn.py" if classifier == NO_CLASSIFIER else f"train_baseline.py --model {classifier}"
    for name, value in best.params.items():
        section, key = name.split(".")
        settings[section][key] = value
    comment = (
        f"The best of {counted(len(study.trials), 'trial')}, {best.value:.4f} of the validation split right:\n"
        f"  spark-submit jobs/{job} --data ... --out ... --config best.yaml"
    )
    if classifier == NO_CLASSIFIER and EPOCHS not in best.params:
        section, key = EPOCHS.split(".")
        short = settings[section].pop(key)
        comment += (
            f"\nTrials had {counted(short, 'epoch')}, a number of the search and no setting of the model: {EPOCHS} is "
            "left out here, and is what the training is given (--epochs), or the default."
        )
    write_settings(folder / "best.yaml", settings, comment)
    for name, draw in _PLOTS.items():
        draw(study, folder / name)
    write_page(
        folder,
        "tune.html",
        warnings=warnings,
        made=data,
        settings=config.as_dict(),
        trials=sorted(study.trials, key=lambda trial: -(trial.value if trial.value is not None else -1.0)),
        states=[trial.state.name for trial in study.trials],
        wording=_STATES,
        first=study.trials[0],
        best=best,
        names=sorted({name for trial in study.trials for name in trial.params}),
    )

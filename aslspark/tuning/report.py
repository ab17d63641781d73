"""A study -> the best settings as YAML, and a page with plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.markdown import text
from aslspark.common.redacted_files import write_settings, write_text
from aslspark.common.settings import Config
from aslspark.tuning.plots import plot_history, plot_importance, plot_parallel, plot_stopped

EPOCHS = "training.epochs"
PLOTS = {
    "history.png": (plot_history, "Validation accuracy of each trial, and the best so far"),
    "importance.png": (plot_importance, "Which settings mattered"),
    "parallel.png": (plot_parallel, "Each trial as a line through its settings, the better the darker"),
    "stopped.png": (plot_stopped, "Validation accuracy by epoch: dashed lines that end were stopped"),
}


def write_report(study: optuna.Study, config: Config, folder: Path) -> None:
    """Write `best.yaml`, `README.md` and the plots.

    Parameters
    ----------
    study : optuna.Study
        With at least one completed trial.
    config : Config
        The settings that the search began with.
    folder : Path
    """
    best = study.best_trial
    settings = config.as_dict()
    classifier = config.mllib.classifier
    job = "train_cnn.py" if classifier == NO_CLASSIFIER else f"train_baseline.py --model {classifier}"
    for name, value in best.params.items():
        section, key = name.split(".")
        settings[section][key] = value
    comment = (
        f"The best of {len(study.trials)} trials, {best.value:.4f} of the validation split right:\n"
        f"  spark-submit jobs/{job} --data ... --out ... --config best.yaml"
    )
    if classifier == NO_CLASSIFIER and EPOCHS not in best.params:
        section, key = EPOCHS.split(".")
        short = settings[section].pop(key)
        comment += (
            f"\nTrials had {short} epochs, which are the search's and no setting of the model: {EPOCHS} is left out "
            "here, and is what the training is given (--epochs), or the default."
        )
    write_settings(folder / "best.yaml", settings, comment)
    drawn = [name for name, (draw, _) in PLOTS.items() if draw(study, folder / name)]
    write_text(folder / "README.md", "\n".join(_lines(study, drawn)) + "\n")


def _lines(study: optuna.Study, drawn: list[str]) -> list[str]:
    states = [trial.state.name for trial in study.trials]
    first, best = study.trials[0], study.best_trial
    names = sorted({name for trial in study.trials for name in trial.params})
    lines = [
        "# Search",
        "",
        f"{len(states)} trials: {states.count('COMPLETE')} done, {states.count('PRUNED')} stopped early, "
        f"{states.count('FAIL')} failed. The best, trial {best.number}, has {best.value:.2%} of the validation split "
        "right" + (f"; the settings as they were have {first.value:.2%}." if first.value is not None else "."),
        "The best of many trials on one split is a little better there than elsewhere: judge it on the test split.",
        "",
        "`best.yaml` is for the `--config` of the job that it names; how many epochs trials had is not among it.",
        "",
        "| trial | state | right | epochs | " + " | ".join(map(text, names)) + " |",
        "|---" * (4 + len(names)) + "|",
    ]
    for trial in sorted(study.trials, key=lambda trial: -(trial.value if trial.value is not None else -1.0)):
        right = f"{trial.value:.2%}" if trial.value is not None else ""
        epochs = max(trial.intermediate_values, default=0)
        cells = [_cell(trial.params.get(name, "")) for name in names]
        lines.append(
            f"| {trial.number} | {trial.state.name.lower()} | {right} | {epochs} | " + " | ".join(cells) + " |"
        )
    for name in drawn:
        lines += ["", f"![{PLOTS[name][1]}]({name})", "", PLOTS[name][1] + "."]
    return lines


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else text(value)

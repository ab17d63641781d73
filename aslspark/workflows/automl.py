"""Data and a budget -> the best of several kinds of models, trained on all that may be learned from.

In: data, a budget. Out: a folder with the bundle of the winner, and a leaderboard. Models are chosen by the validation
split; the test split, by which nothing was chosen, says how good the best of each kind is.
"""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import require_new, whole_folder
from aslspark.common.catalog import CLASSIFIERS
from aslspark.common.command_line import next_command
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import spark_path
from aslspark.common.progress import clock
from aslspark.common.redacted_files import write_json
from aslspark.common.report_page import PAGE
from aslspark.common.settings import Config, load_config
from aslspark.common.spark_session import require_slots
from aslspark.common.store_path import AnyPath, any_path, as_local_folder, scratch_beside
from aslspark.data.samples import REPORT_FILE, TEST, TRAIN, VALIDATION, write_divided
from aslspark.data.split_preview import Needs
from aslspark.data.splits import LEAK_WARNING
from aslspark.evaluation.speed import measure_speed
from aslspark.models.fit_result import EpochRow
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import TrainingData, ingested_folder
from aslspark.training.launch.run import StoppedEarly
from aslspark.training.resume import ingest_kept
from aslspark.tuning.families import Family, families_for
from aslspark.tuning.leaderboard import JudgedRow, Leaderboard, LeftOutRow, Tried, write_leaderboard
from aslspark.tuning.options import Budget
from aslspark.tuning.trial import Score, fit_trial, judge
from aslspark.workflows.job_run import as_paths, job_run, log_result
from aslspark.workflows.train import train_bundle
from aslspark.workflows.training_data import training_data

log = logging.getLogger("aslspark")

BUNDLE = "bundle"
LARGEST_SHARE = 0.25
"""The share of the minutes that one trial may take."""
AT_LEAST = 2
"""Kinds that take part in every round."""
LAST_FIT, LAST_SECONDS = 1.5, 40.0
"""The time kept for the winner's last training: its trial's time, so many times, and seconds for its report."""
_LEAKS = (
    "near-twins of the training pictures would be judged, and the model that remembers best would win; choose block, "
    "signer or source"
)


@dataclass
class Entry:
    """A kind of model with its trials."""

    family: Family
    study: optuna.Study
    tried: list[Tried] = field(default_factory=list)
    best: Score | None = None
    overrides: tuple[str, ...] = ()
    """The best trial's settings, as ``key=value``."""
    seconds: float = 0.0
    """How long the best trial's fit took."""
    model: SignClassifierModel | None = None


def automl(
    spark: SparkSession,
    data: str | Sequence[str],
    out: str,
    config: Config | None = None,
    *,
    minutes: float = Budget.minutes,
    trials: int = Budget.trials,
    models: Sequence[str] = Budget.models,
    onnx: bool = Budget.onnx,
    seed: int = Budget.seed,
) -> Leaderboard:
    """Find the best kind of model, and leave its bundle.

    With the same data, seed and number of trials, and without a limit in minutes, the same kind wins.

    Parameters
    ----------
    spark : SparkSession
    data : str or sequence of str
        One folder that `aslspark.ingest` wrote, or raw sources as it takes them; an empty sequence for synthetic hands.
    out : str
        The folder to make: ``bundle/``, ``report.html``, ``leaderboard.json``, ``leaderboard.png``, ``best.yaml``. It
        must not exist.
    config : Config, optional
        What all trials share, such as `training.epochs`; `split` must not leak.
    minutes : float
        For all trials and the winner's last training; 0: no limit.
    trials : int
        The most of a kind. After each round the better half of the kinds goes on, at least two: successive halving
        [1]_.
    models : sequence of str
        Kinds to try, such as 'forest' and 'cnn'; empty: all that fit the data.
    onnx : bool
        Try only kinds that leave an ONNX file, which are networks.
    seed : int
        Of the settings that are drawn.

    Returns
    -------
    Leaderboard
        What ``leaderboard.json`` holds: ``winner``, ``models`` (best first; of each its ``model``, ``score`` and
        ``test``, 0-1, by validation and by test split, and its ``trials``), ``budget``, ``seconds`` and what the winner
        learned from.

    Raises
    ------
    AslsparkError
        Where the data or settings cannot be used, or no trial came to its end.

    References
    ----------
    .. [1] K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
       AISTATS 2016.

    Examples
    --------
    >>> import aslspark
    >>> result = aslspark.automl(spark, "ingested", "runs/chosen", trials=1, models=["forest", "logistic"])
    >>> sorted(row["model"] for row in result["models"])
    ['forest', 'logistic']
    >>> len(aslspark.load_model("runs/chosen/bundle").labels)
    24
    """
    config, data, budget = config or Config(), as_paths(data), Budget(minutes, trials, models, onnx, seed)
    with job_run(spark, config, "automl", out, data=data):
        _check(data, config)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path, started = require_new(out), time.monotonic()
        ends = started + 60 * budget.minutes if budget.minutes else math.inf
        with scratch_beside(path) as scratch, whole_folder(path) as folder:
            needs = Needs((TEST, VALIDATION))
            with (
                ingest_kept(scratch, path, data),
                training_data(spark, data, (), config, scratch, needs, path) as table,
            ):
                _require_judgeable(table, data)
                entries = _entries(spark, table, config, budget)
                log.info("to try: %s", ", ".join(entry.family.name for entry in entries))
                _rounds(spark, table, config, budget, entries, scratch, ends)
                ranked = _ranked(entries, budget)
                rows = [_row(spark, table, entry, place) for place, entry in enumerate(ranked, start=1)]
                _add_speeds(ranked, rows)
                left_out: list[LeftOutRow] = [
                    {"place": None, "model": entry.family.name, "score": None, "trials": entry.tried}
                    for entry in entries
                    if entry not in ranked
                ]
                settings = load_config(None, ranked[0].overrides, of_bundle=config.as_dict())
                learned, learned_from = _data_of_winner(spark, table, rows[0], scratch)
                log.info("%s wins: training it on %s", ranked[0].family.name, learned_from)
                train_bundle(spark, [learned], str(scratch / BUNDLE), settings)
                with as_local_folder(scratch / BUNDLE) as bundle:
                    shutil.copytree(bundle, folder / BUNDLE)
            result: Leaderboard = {
                "winner": ranked[0].family.name,
                "learned_from": learned_from,
                "split": table.report["split"],
                "sources": sorted(table.report["sources"]),
                "drawn": table.drawn is not None,
                "budget": vars(budget) | {"models": list(budget.models)},
                "seconds": round(time.monotonic() - started),
                "models": [*rows, *left_out],
            }
            write_leaderboard(result, settings, folder)
    log_result(
        out,
        f"{result['winner']} wins, {rows[0]['test']:.2%} of the test pictures right, in {clock(result['seconds'])}",
        look=f"{path}/{PAGE}",
        then=next_command("score", "--model", f"{out}/{BUNDLE}", "--data", "PICTURES", "--out", "scored"),
    )
    return result


def _check(data: Sequence[str], config: Config) -> None:
    if config.split.kind == "random" and not ingested_folder(data):
        raise AslsparkError(f"split.kind=random: {_LEAKS}")


def _require_judgeable(table: TrainingData, data: Sequence[str]) -> None:
    if LEAK_WARNING in table.report["warnings"]:
        raise AslsparkError(f"--data {data[0]}: it was split at random: {_LEAKS}")
    for split in (VALIDATION, TEST):
        if not table.report["splits"].get(split):
            raise AslsparkError(f"--data: there is no {split} split to judge by; hold some out")


def _entries(spark: SparkSession, table: TrainingData, config: Config, budget: Budget) -> list[Entry]:
    """List the kinds of models that the data and the budget allow."""
    columns = table.samples(spark).columns
    entries = [
        Entry(family, optuna.create_study(sampler=optuna.samplers.TPESampler(seed=budget.seed)))
        for family in families_for(table, columns, config.training.framework, budget.models)
        if not (budget.onnx and family.name in CLASSIFIERS)
    ]
    if not entries:
        raise AslsparkError("--models: none of them leaves ONNX; choose networks, or leave --onnx out")
    if any(entry.family.name not in CLASSIFIERS for entry in entries):
        require_slots(spark, config.training.num_proc)
    return entries


def _ranked(entries: Sequence[Entry], budget: Budget) -> list[Entry]:
    """Return the kinds with a finished trial, best first."""
    ranked = sorted((entry for entry in entries if entry.best), key=_place)
    if not ranked:
        reasons = "; ".join(f"{entry.family.name}: {entry.tried[-1]['reason']}" for entry in entries if entry.tried)
        reasons = reasons or "they were over before the first began"
        raise AslsparkError(f"--minutes {budget.minutes:g}: no trial came to its end ({reasons}); give more")
    return ranked


def _data_of_winner(spark: SparkSession, table: TrainingData, winner: JudgedRow, scratch: AnyPath) -> tuple[str, str]:
    """Return the folder that the winner is trained on, and a description of its samples."""
    if table.test_is_given:
        return table.folder, "the train split, since the test rows were given as test"
    honest = f"{winner['test']:.2%} of its {counted(winner['test_rows'], 'row')} right"
    return _all_to_learn(spark, table, scratch, honest), "all but the validation split"


def _rounds(
    spark: SparkSession,
    table: TrainingData,
    config: Config,
    budget: Budget,
    entries: Sequence[Entry],
    folder: AnyPath,
    ends: float,
) -> None:
    alive = list(entries)
    for number in range(budget.trials):
        for entry in alive:
            best = min((other for other in entries if other.best), key=_place, default=None)
            left = ends - time.monotonic() - (LAST_FIT * best.seconds + LAST_SECONDS if best else 0.0)
            if left <= 0:
                log.info("the time is over")
                return
            most = min(left, 60 * budget.minutes * LARGEST_SHARE) if budget.minutes else math.inf
            _try(spark, table, config, entry, number, folder, most)
        alive = sorted((entry for entry in alive if entry.best), key=_place)
        alive = alive[: max(AT_LEAST, math.ceil(len(alive) / 2))]


def _place(entry: Entry) -> float:
    assert entry.best is not None
    return -entry.best.accuracy


def _try(
    spark: SparkSession, table: TrainingData, config: Config, entry: Entry, number: int, folder: AnyPath, most: float
) -> None:
    """Fit and judge one trial; the first of a kind has the given settings."""
    trial = entry.study.ask() if number else None
    chosen = entry.family.space.draw(trial) if trial else {}
    overrides = (
        *entry.family.settings,
        *(f"{name}='{value}'" if isinstance(value, str) else f"{name}={value}" for name, value in chosen.items()),
    )
    log.info("%s, trial %d: %s", entry.family.name, number + 1, "  ".join(overrides[1:]) or "as it is")
    started = time.monotonic()

    def on_epoch(row: EpochRow) -> bool:
        return time.monotonic() - started > most

    about: Tried = {"settings": list(overrides)}
    try:
        settings = load_config(None, overrides, of_bundle=config.as_dict())
        model = fit_trial(spark, table, settings, folder, on_epoch, most)
        about["seconds"] = round(time.monotonic() - started, 1)
        score = judge(spark, model, table, VALIDATION)
    except StoppedEarly:
        about["reason"] = f"not done in {most:.0f} s"
    except AslsparkError as error:
        about["reason"] = str(error)
    else:
        about["score"] = round(score.accuracy, 4)
        if entry.best is None or score.accuracy > entry.best.accuracy:
            entry.best, entry.overrides, entry.seconds, entry.model = score, overrides, about["seconds"], model
    if trial:
        if "score" in about:
            entry.study.tell(trial, -about["score"])
        else:
            entry.study.tell(trial, state=optuna.trial.TrialState.FAIL)
    entry.tried.append(about)
    log.info("%s, trial %d: %s", entry.family.name, number + 1, about.get("reason") or f"{about['score']:.2%} right")


def _row(spark: SparkSession, table: TrainingData, entry: Entry, place: int) -> JudgedRow:
    assert entry.best is not None
    assert entry.model is not None
    started = time.monotonic()
    test = judge(spark, entry.model, table, TEST)
    seconds = time.monotonic() - started
    return {
        "place": place,
        "model": entry.family.name,
        "score": round(entry.best.accuracy, 4),
        "spread": round(entry.best.spread, 4),
        "rows": entry.best.rows,
        "test": round(test.accuracy, 4),
        "test_spread": round(test.spread, 4),
        "test_rows": test.rows,
        "bytes": _size(entry.model),
        "ms_a_picture": None,
        "pictures_a_second": round(test.rows / seconds),
        "fit_seconds": entry.seconds,
        "settings": list(entry.overrides),
        "trials": entry.tried,
    }


def _size(model: SignClassifierModel) -> int:
    if isinstance(model.classifier, OnnxClassifier):
        return len(model.classifier.onnx)
    with tempfile.TemporaryDirectory(prefix="aslspark-") as folder:
        model.classifier.pipeline.write().overwrite().save(f"file://{folder}/pipeline")
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _add_speeds(ranked: Sequence[Entry], rows: Sequence[JudgedRow]) -> None:
    speeds = measure_speed({entry.family.name: entry.model.classifier for entry in ranked if entry.model}, threads=1)
    for row in rows:
        if row["model"] in speeds:
            row["ms_a_picture"] = round(speeds[row["model"]].ms_a_picture, 3)


def _all_to_learn(spark: SparkSession, table: TrainingData, scratch: AnyPath, honest: str) -> str:
    """Write the samples with the test split added to the training split; validation still chooses the epoch."""
    folder = spark_path(scratch / "all")
    split = F.when(F.col("split") == TEST, TRAIN).otherwise(F.col("split"))
    rows = write_divided(spark, table.samples(spark).withColumn("split", split), folder)
    about = {
        **table.report,
        "judged_on": VALIDATION,
        "split": "All samples are learned from but those of the validation split, by which settings, epoch and "
        f"temperature were chosen: its figures are a little too good. Trained without the test split too, the same "
        f"settings read {honest}. Before: {table.report['split']}",
        "splits": {name: count for name, count in rows.items() if count},
        "test_sources": [],
    }
    write_json(any_path(folder) / REPORT_FILE, about)
    return folder

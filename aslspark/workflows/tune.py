"""Data and a space of settings -> the settings whose model is best on the validation split.

In: data, a space, how to search. Out: a folder with the study, the best settings as YAML, a report with plots. The
study lies in a database, so that a search that was stopped goes on, and several may share it.
"""

from __future__ import annotations

import atexit
import logging
import math
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import optuna
import psutil
from pyspark.sql import SparkSession

from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import is_mounted
from aslspark.common.progress import doing
from aslspark.common.redaction import redact_all
from aslspark.common.report_page import PAGE
from aslspark.common.same_run import require_same_run
from aslspark.common.settings import Config, load_config
from aslspark.common.spark_session import require_classic, task_slots
from aslspark.common.store_path import AnyPath, any_path, filled_from_here
from aslspark.data.samples import TEST, VALIDATION
from aslspark.data.split_preview import Needs
from aslspark.models.fit_result import EpochRow
from aslspark.models.mllib import check_classifier
from aslspark.training.data import TrainingData
from aslspark.training.fit_network import fit_in_one_task
from aslspark.training.initial_weights import check_network
from aslspark.training.launch.run import StoppedEarly
from aslspark.training.resume import MAY_DIFFER
from aslspark.tuning.options import SearchOptions
from aslspark.tuning.report import write_report
from aslspark.tuning.space import Space, read_space
from aslspark.tuning.storage import StudyStorage
from aslspark.tuning.trial import fit_trial, judge
from aslspark.workflows.job_run import as_paths, job_run, log_result, training_command
from aslspark.workflows.training_data import training_data

log = logging.getLogger("aslspark")

DATABASE = "study.db"
BEGUN_WITH = "begun_with"
"""The attribute of a study that holds what must stay the same when it is resumed."""
TRIALS_BEFORE_STOPPING, FIRST_JUDGED = 4, 0.4
"""Trials before the median is known well enough to stop others, and the share of the epochs after which a trial is
compared with it: before that, all trials are equally bad."""
DRAWN_BLINDLY = 5
"""Random trials before TPE models the results."""
HEARTBEAT_SECONDS, LOST_AFTER_SECONDS = 10, 60
"""How often a running trial writes to the database, and the silence after which it counts as killed and is run again,
once."""


class SearchResult(TypedDict):
    """What a search came to."""

    trials: int
    best: int
    """The trial's number."""
    accuracy: float
    """Its share of the validation pictures that are right."""
    settings: dict[str, Any]
    """Those that its trial drew, by name."""


def tune(
    spark: SparkSession,
    data: str | Sequence[str],
    out: str,
    space: str | Mapping[str, Any],
    config: Config | None = None,
    *,
    trials: int = SearchOptions.trials,
    minutes: float = SearchOptions.minutes,
    failures: int = SearchOptions.failures,
    sampler: str = SearchOptions.sampler,
    pruner: str = SearchOptions.pruner,
    storage: str = SearchOptions.storage,
    study: str = SearchOptions.study,
    seed: int = SearchOptions.seed,
    at_once: int = SearchOptions.at_once,
) -> SearchResult:
    """Search for better settings by Optuna [1]_: trials of a model, judged by the validation split.

    The first trial is the given settings, so that the best is never worse on the validation split. A trial that fails
    does not end the search. After two fifths of its epochs, a later trial is stopped where it is below the median.

    Parameters
    ----------
    spark : SparkSession
    data : str or sequence of str
        One folder that `aslspark.ingest` wrote, or raw sources as it takes them; an empty sequence for synthetic hands.
    out : str
        The folder to make, or one that the same search began, which goes on: ``best.yaml`` (settings for
        `aslspark.load_config`), ``report.html``, plots, and the study.
    space : str or mapping
        What may change: a YAML file, or setting to a list of choices, or to `low`, `high` and perhaps `log` and
        `points` (of a grid).
    config : Config, optional
        All other settings of the trials. Where `mllib.classifier` names a classifier, that one is trained in place of
        the network.
    trials : int
        In the study at the end, those of earlier calls included.
    minutes : float
        After which no trial begins; 0: no limit.
    failures : int
        Failed trials of this call that end the search.
    sampler : str
        'tpe', 'random' or 'grid'.
    pruner : str
        What stops poor trials early: 'median', 'hyperband' or 'none'.
    storage : str
        URL of a database, which several searches may share; empty: SQLite in `out`.
    study : str
        Its name in the database.
    seed : int
        Of the sampler.
    at_once : int
        Trials side by side, each a torch network fitted by one process in one Spark task; none is stopped early. 1: one
        after another, each in `training.num_proc` processes.

    Returns
    -------
    SearchResult
        ``trials`` (int), ``best`` (the number of the best trial, from 0), ``accuracy`` (0-1, its share of the
        validation pictures that are right) and ``settings`` (what it drew, by name).

    Raises
    ------
    AslsparkError
        Where data, space or settings cannot be used, the folder was begun with others, or no trial came to its end.

    References
    ----------
    .. [1] T. Akiba et al., "Optuna: A next-generation hyperparameter optimization framework", KDD 2019.

    Examples
    --------
    >>> import aslspark
    >>> config = aslspark.load_config(overrides=["mllib.classifier=forest", "mllib.trees=3"])
    >>> result = aslspark.tune(spark, "ingested", "runs/search", {"mllib.depth": [2, 8]}, config, trials=2)
    >>> result["trials"], sorted(result["settings"])
    (2, ['mllib.depth'])
    >>> best = aslspark.load_config("runs/search/best.yaml")
    >>> best.mllib.depth == result["settings"]["mllib.depth"]
    True
    """
    options = SearchOptions(trials, minutes, failures, sampler, pruner, storage, study, seed, at_once)
    best = search(spark, as_paths(data), out, config or Config(), read_space(space), options)
    return {
        "trials": len(best.trials),
        "best": best.best_trial.number,
        "accuracy": best.best_value,
        "settings": best.best_trial.params,
    }


def search(
    spark: SparkSession, data: Sequence[str], out: str, config: Config, space: Space, options: SearchOptions
) -> optuna.Study:
    """Do what `tune` does, and return the study."""
    with job_run(spark, config, "tune", out, data=list(data)):
        if config.mllib.classifier == NO_CLASSIFIER:
            check_network(config)
        else:
            check_classifier(config.mllib)
        _check_at_once(spark, config, options.at_once)
        folder = any_path(out)
        folder.mkdir(parents=True, exist_ok=True)
        database = place_database(folder)
        study = open_study(database, space, options, config.training.epochs, config)
        begun: dict[str, Any] = {"space": space.as_dict(), **config.as_dict()}
        _require_same(study, out, begun)
        with training_data(spark, data, (), config, folder, Needs((TEST, VALIDATION)), folder) as table:
            begun |= {"data": table.fingerprint}
            _require_same(study, out, begun)
            study.set_user_attr(BEGUN_WITH, redact_all(begun))
            if not table.report["splits"].get(VALIDATION):
                raise AslsparkError("--data: there is no validation split to judge trials by; hold some out")
            _Search(spark, table, config, space, options, folder, database).run(study)
        if not any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials):
            raise AslsparkError(f"--out {out}: no trial came to its end; the log says why each failed")
        with filled_from_here(folder) as made:
            about = {
                "data": ", ".join(sorted(table.report["sources"])),
                "fingerprint of the samples": table.fingerprint,
                "split": table.report["split"],
                "sampler": f"{options.sampler}, seed {options.seed}",
            }
            with doing("drawing plots of the trials"):
                write_report(study, config, about, made, [f"Searched on {table.drawn}."] if table.drawn else [])
    log_result(
        out,
        f"{study.best_value:.2%} of the validation pictures right, by trial {study.best_trial.number}",
        look=f"{folder}/{PAGE}",
        then=training_command(config, data, "--config", f"{folder}/best.yaml"),
    )
    return study


def _require_same(study: optuna.Study, out: str, given: dict[str, Any]) -> None:
    """Refuse to resume a study that was begun with another space, data or settings."""
    before = study.user_attrs.get(BEGUN_WITH)
    if before is None:
        return
    require_same_run(
        f"--out {out}: the search",
        {name: value for name, value in before.items() if name in given},
        given,
        "go on with the same, or choose another --out or --study",
        options={"space": "--space", "data": "--data of the fingerprint"},
        may_differ=MAY_DIFFER,
    )


def _check_at_once(spark: SparkSession, config: Config, at_once: int) -> None:
    require_classic(spark, "a search")  # which cancels the jobs of a trial whose time is over
    slots = task_slots(spark)
    if at_once < 1 or (slots is not None and at_once > slots):
        raise AslsparkError(
            f"--at-once {at_once}: more than {counted(slots or 0, 'task slot')}; give from 1 to so many"
        )
    if at_once > 1 and (config.training.framework != "torch" or config.mllib.classifier != NO_CLASSIFIER):
        raise AslsparkError(
            f"--at-once {at_once}: only torch networks are fitted in single tasks; set training.framework=torch, or "
            "leave --at-once out"
        )


def place_database(folder: AnyPath) -> Path:
    """Return the path of SQLite's file: on a local disk where the folder lies in an object store, mounted or not.

    Such a store takes no small writes within a file; `keep_database` copies the file to it.
    """
    kept = folder / DATABASE
    if isinstance(kept, Path) and not is_mounted(kept):
        return kept
    scratch = Path(tempfile.mkdtemp(prefix="aslspark-study-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)  # the study is read after the search, too
    if kept.exists():
        (scratch / DATABASE).write_bytes(kept.read_bytes())
    return scratch / DATABASE


def keep_database(database: Path, folder: AnyPath) -> None:
    """Copy SQLite's file to the search's folder, unless it is there."""
    if database.parent != folder and database.exists():
        (folder / DATABASE).write_bytes(database.read_bytes())


def open_study(
    database: Path, space: Space, options: SearchOptions, epochs: int, config: Config | None = None
) -> optuna.Study:
    """Open a study, or create it; with `config`, its settings are the first trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # heartbeats
    storage = StudyStorage(
        options.storage or f"sqlite:///{database.absolute()}",
        heartbeat_interval=HEARTBEAT_SECONDS,
        grace_period=LOST_AFTER_SECONDS,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=1),
    )
    with storage.one_at_a_time():
        study = optuna.create_study(
            storage=storage, study_name=options.study, direction="maximize", load_if_exists=True
        )
        if config is not None:
            _enqueue_defaults(study, config, space)
    # Other draws than before where a search is resumed.
    seed = options.seed + len(study.trials)
    samplers: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(
            n_startup_trials=DRAWN_BLINDLY, seed=seed, multivariate=True, constant_liar=options.at_once > 1
        ),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "grid": lambda: optuna.samplers.GridSampler(space.grid(), seed=options.seed),
    }
    pruners: dict[str, Any] = {
        "median": lambda: optuna.pruners.MedianPruner(TRIALS_BEFORE_STOPPING, math.ceil(FIRST_JUDGED * epochs)),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(),
        "none": lambda: optuna.pruners.NopPruner(),
    }
    study.sampler, study.pruner = samplers[options.sampler](), pruners[options.pruner]()
    return study


def _enqueue_defaults(study: optuna.Study, config: Config, space: Space) -> None:
    settings = config.as_dict()
    usual = {name: settings[name.split(".")[0]][name.split(".")[1]] for name in space.settings}
    if not study.trials and all(space.holds(name, value) for name, value in usual.items()):
        study.enqueue_trial(usual)


@dataclass
class _Search:
    """Runs the trials of a study."""

    spark: SparkSession
    table: TrainingData
    config: Config
    space: Space
    options: SearchOptions
    folder: AnyPath
    database: Path
    failed: int = 0

    def run(self, study: optuna.Study) -> None:
        """Run trials until there are enough, or the time is up."""
        if len(_ended(study)) >= self.options.trials:
            return
        started = time.monotonic()
        study.optimize(
            self._fit,
            timeout=self.options.minutes * 60 or None,
            catch=(AslsparkError,),
            callbacks=[self._after],
            n_jobs=self.options.at_once,
            gc_after_trial=True,
        )
        log.info("searched for %.0f s", time.monotonic() - started)

    def _fit(self, trial: optuna.Trial) -> float:
        """Fit with settings that the study chooses, and return the accuracy on the validation split."""
        chosen = self.space.draw(trial)
        log.info("trial %d: %s", trial.number, "  ".join(f"{name}={value}" for name, value in chosen.items()))
        settings = load_config(of_bundle={**self.config.as_dict(), **chosen})
        try:
            if self.options.at_once > 1:
                return self._fit_in_one_task(trial, settings)
            return self._fit_across_tasks(trial, settings)
        except StoppedEarly as stopped:
            raise optuna.TrialPruned from stopped
        finally:
            trial.set_user_attr("driver_mb", round(psutil.Process().memory_info().rss / 2**20))

    def _fit_in_one_task(self, trial: optuna.Trial, settings: Config) -> float:
        history, best, trial_mb = fit_in_one_task(self.spark, self.table, settings)
        trial.set_user_attr("worker_mb", trial_mb)
        for row in history:
            trial.report(row["val_accuracy"], row["epoch"])
        return float(history[best - 1]["val_accuracy"])

    def _fit_across_tasks(self, trial: optuna.Trial, settings: Config) -> float:
        def on_epoch(row: EpochRow) -> bool:
            """Report to the study, which says whether to stop the trial."""
            trial.report(row["val_accuracy"], row["epoch"])
            return trial.should_prune()

        model = fit_trial(self.spark, self.table, settings, self.folder, on_epoch)
        if model.fitted is None:
            return judge(self.spark, model, self.table, VALIDATION).accuracy
        return float(model.fitted.history[model.fitted.best_epoch - 1]["val_accuracy"])

    def _after(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Keep the study and log how the trial ended; stop where there are enough, or too many failed."""
        keep_database(self.database, self.folder)
        states = optuna.trial.TrialState
        ended = _ended(study)
        outcome = {states.COMPLETE: "done", states.PRUNED: "stopped early"}.get(trial.state, "failed")
        done = [each.value for each in ended if each.state == states.COMPLETE and each.value is not None]
        log.info(
            "trial %d %s%s; best %s; %d of %d",
            trial.number,
            outcome,
            f": {trial.value:.4f}" if trial.state == states.COMPLETE and trial.value is not None else "",
            f"{max(done):.4f}" if done else "none",
            len(ended),
            self.options.trials,
        )
        self.failed += trial.state == states.FAIL
        if self.failed >= self.options.failures or len(ended) >= self.options.trials:
            study.stop()


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return [trial for trial in study.trials if trial.state in states]

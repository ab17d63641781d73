"""Data and settings -> a model trained and judged on each fold, and the scores over all folds.

One fold at a time is on disk and in memory; of each only its figures are kept, so that a run goes on where it stopped.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from aslspark.bundle.files import require_new
from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.former_names import warn_of_former
from aslspark.common.paths import spark_path
from aslspark.common.redacted_files import write_json
from aslspark.common.same_run import require_same_run
from aslspark.common.settings import Config
from aslspark.common.spark_session import require_slots
from aslspark.common.store_path import AnyPath, any_path, filled_from_here, remove_folder
from aslspark.data.samples import REPORT_FILE, SPLITS, TEST, TRAIN, VALIDATION, read_samples, write_divided
from aslspark.data.split_preview import LeastGroups, Needs
from aslspark.evaluation.calibration import TEMPERATURES, best_temperature, try_temperatures
from aslspark.evaluation.cross_validation_json import (
    CalibratedFold,
    Chosen,
    CrossValidation,
    FoldRow,
    FoldScores,
    GroupRow,
    RunSettings,
    ScoreName,
    ScoreSummary,
)
from aslspark.evaluation.cross_validation_page import write_cross_validation_page
from aslspark.evaluation.fold_options import LEAVE_ONE, SIGNER, FoldOptions
from aslspark.evaluation.folds import Fold, assign_fold, plan_folds
from aslspark.evaluation.metrics import UNSCORED
from aslspark.evaluation.metrics_json import Confusion, Metrics, SourceAccuracy
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import TrainingData
from aslspark.training.resume import ingest_kept
from aslspark.workflows.job_run import as_paths, job_run, log_result, training_command
from aslspark.workflows.train import train_bundle
from aslspark.workflows.training_data import training_data

log = logging.getLogger("aslspark")

SETTINGS_FILE, FOLDS_FOLDER, RESULT_FILE, SCRATCH = "settings.json", "folds", "cross_validation.json", ".scratch"
_COMPARED = ("model", "folds", "data")
SCORES: Mapping[ScoreName, str] = {"accuracy": "right", "macro_f1": "macro F1", "top3_accuracy": "among the best three"}
"""The scores that are averaged over the folds -> their titles."""


def cross_validate(
    spark: SparkSession,
    data: str | Sequence[str],
    out: str,
    config: Config | None = None,
    by: str | FoldOptions = FoldOptions.kind,
    folds: int = FoldOptions.folds,
) -> CrossValidation:
    """Train and judge a model on each fold of the data, so that each row is judged by a model that has not met it.

    Parameters
    ----------
    spark : SparkSession
    data : str or sequence of str
        One folder that `aslspark.ingest` wrote, whose own split is disregarded, or raw sources as it takes them; an
        empty sequence for synthetic hands. Rows that were given as test (`test_sources`, folders called test, a
        manifest's split) are in no fold: a fold would train on them.
    out : str
        The folder to make, or one that the same call began: its finished folds are not trained again. It holds
        ``report.html``, ``cross_validation.json`` and plots.
    config : Config, optional
        Where `mllib.classifier` names a classifier, that one is trained in place of the network. Of `split`, the
        share of validation, the blocks and the seed count.
    by : str
        What stays together in a fold: 'block' (contiguous runs of each source and label), 'signer', or
        'leave one signer out', 'leave one source out', in which each signer or source is a fold; 'stratified' and
        'random' deal row by row, and leak where rows resemble one another.
    folds : int
        How many; of those that leave one out, there are as many as signers or sources.

    Returns
    -------
    CrossValidation
        What ``cross_validation.json`` holds: ``scores`` (of ``accuracy``, ``macro_f1`` and ``top3_accuracy``, 0-1,
        the ``mean``, ``std``, ``min`` and ``max`` over the folds), ``folds`` (of each ``tested_on``, ``rows`` by
        split, its scores, its ``temperature``), ``confusion`` of all folds together, ``temperature`` (float or
        None: what suits rows that were held out, for `answers.temperature`) and ``settings``.

    Raises
    ------
    AslsparkError
        Where the folder was begun with other settings, folds cannot be made, or one fails; finished ones are kept.

    References
    ----------
    .. [1] R. Kohavi, "A study of cross-validation and bootstrap for accuracy estimation and model selection",
       IJCAI 1995.

    Examples
    --------
    >>> import aslspark
    >>> config = aslspark.load_config(overrides=["mllib.classifier=forest", "mllib.trees=5"])
    >>> result = aslspark.cross_validate(spark, "ingested", "runs/folds", config=config, by="block", folds=2)
    >>> [sum(fold["rows"].values()) for fold in result["folds"]]
    [720, 720]
    >>> 0 <= result["scores"]["accuracy"]["min"] <= result["scores"]["accuracy"]["mean"] <= 1
    True
    """
    config, data = config or Config(), as_paths(data)
    if isinstance(by, FoldOptions):
        warn_of_former("cross_validate(..., FoldOptions(...))", "aslspark.cross_validate(..., by=, folds=)")
        options = by
    else:
        options = FoldOptions.of(config.split, by, folds)
    with job_run(spark, config, "cross_validate", out, data=data, folds=asdict(options)):
        if config.mllib.classifier == NO_CLASSIFIER:
            require_slots(spark, config.training.num_proc)
        folder = _open(out)
        chosen: Chosen = {
            "model": "network" if config.mllib.classifier == NO_CLASSIFIER else config.mllib.classifier,
            "folds": asdict(options),
            "settings": config.as_dict(),
        }
        _require_same(folder, chosen)
        with _scratch_folder(folder) as scratch:
            settings, done = _train_folds(spark, data, folder, scratch, config, options, chosen)
            result = _together(settings, done)
            write_json(folder / RESULT_FILE, result)
            with filled_from_here(folder) as made:
                write_cross_validation_page(result, made)
        _log_scores(result)
    accuracy = result["scores"]["accuracy"]
    log_result(
        out,
        f"{accuracy['mean']:.2%} ± {accuracy['std']:.2%} right over {len(result['folds'])} folds",
        look=f"{folder}/report.html",
        then=training_command(config, data),
    )
    return result


@contextmanager
def _scratch_folder(folder: AnyPath) -> Iterator[AnyPath]:
    """Give a temporary folder; where the run fails before its folds are planned, remove the whole run."""
    scratch = folder / SCRATCH
    remove_folder(scratch)  # left by a run that was killed
    scratch.mkdir(parents=True)
    try:
        yield scratch
    except BaseException:
        if not (folder / SETTINGS_FILE).exists():
            remove_folder(folder)
        raise
    finally:
        remove_folder(scratch)


def _train_folds(
    spark: SparkSession,
    data: Sequence[str],
    folder: AnyPath,
    scratch: AnyPath,
    config: Config,
    options: FoldOptions,
    chosen: Chosen,
) -> tuple[RunSettings, list[FoldRow]]:
    """Plan the folds and train each; return the settings of the run, and the metrics of each fold."""
    needs = Needs(groups=_least_groups(options))
    with ingest_kept(scratch, folder, data), training_data(spark, data, (), config, scratch, needs, folder) as table:
        settings: RunSettings = {
            **chosen,
            "data": {
                "fingerprint": table.fingerprint,
                "sources": sorted(table.report["sources"]),
                "left_out": _left_out(table),
            },
            "drawn": table.drawn,
        }
        samples = table.development_samples(spark)
        if table.test_is_given:
            log.info("rows that were given as test are in no fold: %s", _left_out(table))
        folds = plan_folds(samples, options)
        _require_same(folder, settings)
        if not (folder / SETTINGS_FILE).exists():
            (folder / FOLDS_FOLDER).mkdir(exist_ok=True)
            write_json(folder / SETTINGS_FILE, settings)
        return settings, _run_folds(spark, table, samples, folds, folder, config, options)


def _log_scores(result: CrossValidation) -> None:
    for name, title in SCORES.items():
        score = result["scores"][name]
        log.info(
            f"{title:>22}: {score['mean']:.4f} ± {score['std']:.4f} over {len(result['folds'])} folds, "
            f"from {score['min']:.4f} to {score['max']:.4f}"
        )
    if result["temperature"] is not None:
        log.info("what was held out asks for answers.temperature=%g", result["temperature"])


def _least_groups(options: FoldOptions) -> LeastGroups | None:
    if options.kind == SIGNER:
        return LeastGroups("signer", options.folds, f"--by signer --folds {options.folds}")
    column = next((name for name, kind in LEAVE_ONE.items() if kind == options.kind), None)
    return LeastGroups(column, 2, f"--leave-one {column}") if column else None


def _open(out: str) -> AnyPath:
    folder = any_path(out).absolute()
    if not (folder / SETTINGS_FILE).is_file():
        require_new(out)
    return folder


def _require_same(folder: AnyPath, settings: Mapping[str, Any]) -> None:
    """Refuse to resume a run that was begun with other settings or data."""
    path = folder / SETTINGS_FILE
    if path.exists():
        before, now = (
            {**of["settings"], **{name: of[name] for name in _COMPARED if name in settings}}
            for of in (json.loads(path.read_text()), settings)
        )
        mend = "go on with the same settings and data, or choose another folder"
        require_same_run(f"--out {folder}: it", before, now, mend)


def _left_out(table: TrainingData) -> str | None:
    """Name the test rows that are in no fold."""
    if not table.test_is_given:
        return None
    return f"{table.report['splits'][TEST]:,} of {', '.join(table.report.get('test_sources', ['separate sources']))}"


def _run_folds(
    spark: SparkSession,
    table: TrainingData,
    samples: DataFrame,
    folds: Sequence[Fold],
    folder: AnyPath,
    config: Config,
    options: FoldOptions,
) -> list[FoldRow]:
    done: list[FoldRow] = []
    spent: list[float] = []
    for fold in folds:
        where = f"fold {fold.number} of {len(folds)}"
        path = folder / FOLDS_FOLDER / f"fold-{fold.number:03d}.json"
        if path.exists():
            done.append(json.loads(path.read_text()))
            log.info("%s: done before, %.2f%% right", where, 100 * done[-1]["accuracy"])
            continue
        log.info("%s: tested on %s", where, fold.tested_on)
        started = time.monotonic()
        scratch = folder / SCRATCH / f"fold-{fold.number}"
        try:
            scores = _run_fold(spark, table, samples, fold, scratch, config, options)
        except AslsparkError as error:
            raise AslsparkError(
                f"{where} failed: {error}; {counted(len(done), 'finished fold is', 'finished folds are')} kept in "
                f"{folder}, and the same call goes "
                "on from there"
            ) from error
        finally:
            remove_folder(scratch)
        spent.append(time.monotonic() - started)
        done.append({**scores, "seconds": round(spent[-1], 1)})
        write_json(path, done[-1])
        left = (len(folds) - fold.number) * sum(spent) / len(spent)
        log.info(
            "%s: %.2f%% right, macro F1 %.4f, in %.0f s; %d:%02d left",
            where,
            100 * scores["accuracy"],
            scores["macro_f1"],
            spent[-1],
            left // 60,
            left % 60,
        )
    return done


def _run_fold(
    spark: SparkSession,
    table: TrainingData,
    samples: DataFrame,
    fold: Fold,
    scratch: AnyPath,
    config: Config,
    options: FoldOptions,
) -> FoldScores:
    data, bundle = spark_path(scratch / "ingested"), scratch / "bundle"
    scratch.mkdir()
    rows = _write_fold(spark, table, samples, fold, data, options)
    metrics = train_bundle(spark, [data], str(bundle), config).metrics
    manifest = json.loads((bundle / "bundle.json").read_text())
    tested = metrics["splits"][TEST]
    model = SignClassifierModel.load(str(bundle))
    return {
        "fold": fold.number,
        "tested_on": fold.tested_on,
        "rows": rows,
        "accuracy": tested["accuracy"],
        "top3_accuracy": tested["top3_accuracy"],
        "unscored": tested["unscored"],
        "macro_f1": tested["macro"]["f1"],
        "held_out": _held_out(fold, metrics),
        "accuracy_of": {split: part["accuracy"] for split, part in metrics["splits"].items()},
        "never_trained": [label for label in tested["per_class"] if label not in manifest["labels"]],
        "epochs": _epochs(bundle),
        "fit_seconds": manifest["seconds"]["fit"],
        "confusion": tested["confusion"],
        "temperature": model.temperature,
        "calibration_error": metrics["certainty"]["splits"][TEST]["calibration_error"],
        "by_temperature": try_temperatures(model, read_samples(spark, data, [TEST])),
    }


def _write_fold(
    spark: SparkSession, table: TrainingData, samples: DataFrame, fold: Fold, folder: str, options: FoldOptions
) -> dict[str, int]:
    """Write the samples, split for this fold, as an ingested folder, and count them."""
    rows = write_divided(spark, assign_fold(spark, samples, fold, options), folder)
    required = SPLITS if options.validation > 0 else (TRAIN, TEST)
    if empty := [split for split in required if not rows[split]]:
        raise AslsparkError(
            f"no {empty[0]} samples among {sum(rows.values()):,}; give more data, fewer --folds, or other blocks"
        )
    if options.validation <= 0:
        del rows[VALIDATION]
    about = {
        **table.report,
        "split": f"Fold {fold.number} of a cross-validation; tested on {fold.tested_on}.",
        "splits": rows,
        "test_sources": [],
    }
    write_json(any_path(folder) / REPORT_FILE, about)
    return rows


def _held_out(fold: Fold, metrics: Metrics) -> list[GroupRow]:
    """Return the accuracy of each signer that a fold was tested on, or of each source where folds are not signers."""
    groups: dict[str, SourceAccuracy] = metrics["splits"][TEST]["by_source"]
    if SIGNER in fold.columns:
        groups = {group["group"]: group for group in metrics["groups"]["signer"]}
    return [{"group": name, "rows": part["rows"], "accuracy": part["accuracy"]} for name, part in groups.items()]


def _epochs(bundle: AnyPath) -> int | None:
    history = bundle / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.exists() else None


def _together(settings: RunSettings, folds: Sequence[FoldRow]) -> CrossValidation:
    scores: dict[ScoreName, ScoreSummary] = {}
    for name in SCORES:
        values = np.array([fold[name] for fold in folds])
        scores[name] = {
            "mean": float(values.mean()),
            "std": float(values.std(ddof=1)),
            "min": float(values.min()),
            "max": float(values.max()),
        }
    confusion = _pooled([fold["confusion"] for fold in folds])
    return {
        "settings": settings,
        "scores": scores,
        "folds": _calibrated(folds),
        "confusion": confusion,
        "temperature": _temperature(folds),
    }


def _temperature(folds: Sequence[FoldRow]) -> float | None:
    """Return the temperature that fits the held-out rows of these folds together."""
    tried = [fold["by_temperature"] for fold in folds if fold["by_temperature"]]
    return best_temperature(tried) if tried else None


def _calibrated(folds: Sequence[FoldRow]) -> list[CalibratedFold]:
    """Add to each fold the temperature that fits the other folds, and its own calibration error at that temperature."""
    calibrated: list[CalibratedFold] = []
    for fold in folds:
        others = _temperature([other for other in folds if other is not fold])
        error = None
        if others is not None and fold["by_temperature"]:
            error = fold["by_temperature"]["calibration_error"][TEMPERATURES.index(others)]
        calibrated.append({**fold, "temperature_of_others": others, "calibration_error_of_others": error})
    return calibrated


def _pooled(confusions: Sequence[Confusion]) -> Confusion:
    """Add up confusion matrices, whose labels may differ, since a fold may lack a letter."""
    labels = sorted({label for confusion in confusions for label in confusion["labels"]})
    answers = [*labels, UNSCORED]
    total = np.zeros((len(labels), len(answers)), np.int64)
    for confusion in confusions:
        rows = [labels.index(label) for label in confusion["labels"]]
        columns = [answers.index(answer) for answer in confusion["answers"]]
        total[np.ix_(rows, columns)] += np.array(confusion["counts"])
    return {"labels": labels, "answers": answers, "counts": total.tolist()}

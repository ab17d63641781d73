"""Bundles and labelled data -> accuracy, size and speed of each bundle, and where they disagree."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import read_bundle, require_new, whole_folder
from aslspark.bundle.manifest import Manifest
from aslspark.common.command_line import next_command
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import spark_path
from aslspark.common.redacted_files import write_json
from aslspark.common.redaction import redact_all
from aslspark.common.report_page import PAGE
from aslspark.common.settings import ColumnConfig, Config, PictureConfig
from aslspark.common.store_path import AnyPath, scratch_beside
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.samples import SPLITS, TEST, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.evaluation.comparison_json import BundleRow, Comparison, SetAccuracy, SetRow
from aslspark.evaluation.comparison_page import write_comparison_page
from aslspark.evaluation.comparison_plots import plot_disagreements
from aslspark.evaluation.grad_cam import holds_network, write_sheet
from aslspark.evaluation.metrics import UNSCORED, classification_metrics, count_answers
from aslspark.evaluation.model_size import mllib_size, network_size
from aslspark.evaluation.sample_pictures import one_of_each_label, pictures_of
from aslspark.evaluation.speed import measure_speed, this_machine
from aslspark.images.decoding import pixels_of
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import fingerprint, ingested_folder
from aslspark.workflows.job_run import job_run, log_result

log = logging.getLogger("aslspark")

RESULT_FILE = "comparison.json"
MOST_EXAMPLES = 40
"""How many of the rows on which bundles disagree are drawn."""


@dataclass
class Candidate:
    """A bundle among those that are compared."""

    name: str
    path: str
    manifest: Manifest
    model: SignClassifierModel
    row: BundleRow


@dataclass
class LabelledSet:
    """Labelled data under a name."""

    name: str
    paths: Sequence[str]
    folders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Split and picture settings -> the folder ingested with them, and its fingerprint."""


def compare_bundles(
    spark: SparkSession,
    models: Mapping[str, str],
    sets: Mapping[str, Sequence[str]],
    out: str,
    threads: int = 1,
    *,
    config: Config | None = None,
) -> Comparison:
    """Compare the accuracy of bundles on the same data, their sizes and their speeds.

    A bundle that was trained on a set (its manifest has the set's fingerprint) is judged on the test split that it
    was trained with; any other on all rows.

    Parameters
    ----------
    spark : SparkSession
    models : mapping of str to str
        Bundles by name.
    sets : mapping of str to sequence of str
        For each name one ingested folder, or raw sources.
    out : str
        The folder to make: `comparison.json`, `report.html`, its plots and sheets.
    threads : int
        That onnxruntime may use while it is timed.
    config : Config, optional
        Its section `tracking` counts.

    Returns
    -------
    Comparison
        What `comparison.json` holds.

    Raises
    ------
    AslsparkError
        Where a bundle or a source cannot be read, or `out` exists.
    """
    with job_run(spark, config or Config(), "compare", out, models=dict(models), sets=dict(sets)):
        path = require_new(out)
        if threads < 1:
            raise AslsparkError(f"--threads {threads}: give 1 or more")
        candidates = [_candidate(name, bundle) for name, bundle in models.items()]
        with scratch_beside(path) as scratch, whole_folder(path) as folder:
            set_rows: list[SetRow] = []
            for number, (name, paths) in enumerate(sets.items(), start=1):
                log.info("%s: judging %d bundles", name, len(candidates))
                labelled = LabelledSet(name, paths)
                set_rows.append(_judge(spark, candidates, labelled, folder, scratch / str(number), number))
            log.info("timing the networks, %d thread%s", threads, "" if threads == 1 else "s")
            _time(candidates, threads)
            result: Comparison = redact_all(
                {
                    "machine": this_machine(threads),
                    "bundles": [candidate.row for candidate in candidates],
                    "sets": set_rows,
                }
            )
            first = result["sets"][0]["name"]
            best = max(result["bundles"], key=lambda bundle: bundle["sets"][first]["accuracy"])
            figure = f"{best['name']} is best on {first}, {best['sets'][first]['accuracy']:.2%} right"
            write_json(folder / RESULT_FILE, result)
            write_comparison_page(result, figure, folder)
        _log_accuracies(candidates)
    log_result(
        out,
        figure,
        look=f"{path}/{PAGE}",
        then=next_command("serve", "--model", models[best["name"]]) if best["name"] in models else "",
    )
    return result


def _log_accuracies(candidates: Sequence[Candidate]) -> None:
    for candidate in candidates:
        for name, judged in candidate.row["sets"].items():
            log.info(
                f"{candidate.name:>16} on {name}: {judged['accuracy']:.2%} right of {judged['rows']:,} "
                f"({judged['judged_on']}), macro F1 {judged['macro_f1']:.4f}"
            )


def _candidate(name: str, path: str) -> Candidate:
    """Read a bundle with its size, cost and training time."""
    bundle, model = read_bundle(path), SignClassifierModel.load(path)
    manifest = bundle.manifest
    settings = manifest.get("settings", {})
    why_empty: dict[str, str] = {}
    fit_seconds = manifest.get("seconds", {}).get("fit")
    if fit_seconds is None:
        why_empty["fit_seconds"] = "the bundle does not say"
    if isinstance(model.classifier, OnnxClassifier):
        size = network_size(model.classifier, manifest, why_empty)
    else:
        size = mllib_size(model.classifier, bundle, settings, why_empty)
    row: BundleRow = {
        "name": name,
        "path": path,
        "kind": manifest["kind"],
        "framework": manifest.get("framework", "Spark MLlib"),
        "labels": len(manifest["labels"]),
        "shape": manifest["shape"],
        "fit_seconds": fit_seconds,
        "num_proc": settings.get("training", {}).get("num_proc") if manifest["kind"] == "network" else None,
        "ms_a_picture": None,
        "pictures_a_second": None,
        "sets": {},
        "grad_cam": None,
        "why_empty": why_empty,
        **size,
    }
    return Candidate(name, path, manifest, model, row)


def _time(candidates: Sequence[Candidate], threads: int) -> None:
    networks = {
        candidate.name: candidate.model.classifier
        for candidate in candidates
        if isinstance(candidate.model.classifier, OnnxClassifier)
    }
    speeds = measure_speed(networks, threads)
    for candidate in candidates:
        if speed := speeds.get(candidate.name):
            candidate.row["ms_a_picture"] = round(speed.ms_a_picture, 4)
            candidate.row["pictures_a_second"] = round(speed.pictures_a_second, 1)


def _judge(
    spark: SparkSession,
    candidates: Sequence[Candidate],
    labelled: LabelledSet,
    folder: Path,
    scratch: AnyPath,
    number: int,
) -> SetRow:
    """Score a set with every bundle, write the figures into the bundles' rows, and return where the bundles differ."""
    answers: list[DataFrame] = []
    kept: list[DataFrame] = []
    samples: DataFrame | None = None
    try:
        for candidate in candidates:
            samples, trained_on_it = samples_for(spark, candidate, labelled, scratch)
            scored = candidate.model.best_guesses(samples).select("id", "label", "source", "split", "letter", "top")
            kept.append(scored.persist(StorageLevel.MEMORY_AND_DISK))
            judged = scored.where(F.col("split") == TEST) if trained_on_it else scored
            answers.append(judged.select("id", "label", F.coalesce("letter", F.lit(UNSCORED)).alias("letter")))
            candidate.row["sets"][labelled.name] = _set_accuracy(candidate, scored, trained_on_it)
            if number == 1 and holds_network(candidate.manifest):
                name = f"grad_cam-{candidates.index(candidate) + 1}.png"
                chosen = samples.where(F.col("split") == TEST) if trained_on_it else samples
                write_sheet(candidate.path, candidate.model, one_of_each_label(chosen), folder / name)
                candidate.row["grad_cam"] = name
        assert samples is not None
        return _differences(candidates, labelled, answers, samples, folder, number)
    finally:
        for scored in kept:
            scored.unpersist()


def samples_for(
    spark: SparkSession, candidate: Candidate, labelled: LabelledSet, scratch: AnyPath
) -> tuple[DataFrame, bool]:
    """Read a set for a bundle.

    Parameters
    ----------
    spark : SparkSession
    candidate : Candidate
    labelled : LabelledSet
        Remembers what was ingested for the bundles before.
    scratch : Path or StorePath
        A folder for raw sources as they are ingested.

    Returns
    -------
    DataFrame
        The set's samples.
    bool
        Whether the bundle was trained on them; then they have its split.
    """
    trained_on = candidate.manifest.get("data", {}).get("fingerprint")
    if ingested_folder(labelled.paths):
        split, config, key = None, PictureConfig(), "ingested"
    else:
        # Ingested as the bundle's training data was, so that the same rows have the same fingerprint.
        settings = candidate.manifest.get("settings", {})
        split, config = SplitOptions(**settings.get("split", {})), PictureConfig(**settings.get("pictures", {}))
        key = f"{split} {config}"
    if key not in labelled.folders:
        folder = labelled.paths[0]
        if split is not None:
            folder = spark_path(scratch / str(len(labelled.folders)))
            pictures, columns = picture_options(spark, config), ColumnConfig(**settings.get("columns", {}))
            try:
                ingest_sources(spark, labelled.paths, folder, split=split, pictures=pictures, columns=columns)
            except AslsparkError:
                # Data that cannot be split so, for want of signers for example, is not what the bundle was trained on.
                whole = SplitOptions(validation=0.0, test=0.0)
                ingest_sources(spark, labelled.paths, folder, split=whole, pictures=pictures, columns=columns)
        labelled.folders[key] = (folder, fingerprint(spark, folder))
    folder, of_folder = labelled.folders[key]
    return read_samples(spark, folder), of_folder == trained_on


def _set_accuracy(candidate: Candidate, scored: DataFrame, trained_on_it: bool) -> SetAccuracy:
    counts = count_answers(scored)
    judged = counts[counts["split"] == TEST] if trained_on_it else counts
    if judged.empty:
        raise AslsparkError(f"{candidate.path}: the set that it was trained on has no test split to judge it on")
    metrics = classification_metrics(judged, candidate.model.labels)
    result: SetAccuracy = {
        "judged_on": "its test split" if trained_on_it else "all rows",
        "rows": metrics["rows"],
        "accuracy": metrics["accuracy"],
        "macro_f1": metrics["macro"]["f1"],
        "top3_accuracy": metrics["top3_accuracy"],
        "unscored": metrics["unscored"],
        "splits": {},
        "warning": None,
    }
    if trained_on_it:
        for split in SPLITS:
            part = counts[counts["split"] == split]
            if not part.empty:
                of_split = classification_metrics(part, candidate.model.labels)
                result["splits"][split] = {
                    "rows": of_split["rows"],
                    "accuracy": of_split["accuracy"],
                    "macro_f1": of_split["macro"]["f1"],
                }
    elif both := sorted(set(counts["source"]) & set(candidate.manifest.get("data", {}).get("sources", []))):
        result["warning"] = f"trained on a source of the same name ({', '.join(both)}): may have seen these rows"
    return result


def _differences(
    candidates: Sequence[Candidate],
    labelled: LabelledSet,
    answers: Sequence[DataFrame],
    samples: DataFrame,
    folder: Path,
    number: int,
) -> SetRow:
    """Count how often bundles agree on the rows that all are judged on, and draw some on which they do not."""
    joined = answers[0].withColumnRenamed("letter", "letter_0")
    for n, frame in enumerate(answers[1:], start=1):
        joined = joined.join(frame.select("id", F.col("letter").alias(f"letter_{n}")), "id")
    differ = F.lit(False)
    for n in range(1, len(answers)):
        differ = differ | (F.col(f"letter_{n}") != F.col("letter_0"))
    pairs = list(combinations(range(len(answers)), 2))
    same = [F.sum((F.col(f"letter_{a}") == F.col(f"letter_{b}")).cast("int")).alias(f"{a}_{b}") for a, b in pairs]
    totals = joined.agg(F.count("*").alias("rows"), F.sum(differ.cast("int")).alias("differ"), *same).collect()[0]
    rows, differing = totals["rows"], totals["differ"] or 0
    # Ordered by a hash, for a sample that nobody chose.
    examples = joined.where(differ).orderBy(F.xxhash64("id"), "id").limit(MOST_EXAMPLES).collect()
    sheet = f"disagreements-{number}.png" if examples else None
    if sheet:
        _draw(examples, [candidate.name for candidate in candidates], samples, differing, rows, folder / sheet)
    return {
        "name": labelled.name,
        "paths": list(labelled.paths),
        "rows": rows,
        "differ": differing,
        "agreement": {
            f"{candidates[a].name} / {candidates[b].name}": (totals[f"{a}_{b}"] or 0) / rows if rows else None
            for a, b in pairs
        },
        "sheet": sheet,
    }


def _draw(
    examples: Sequence[Row], names: Sequence[str], samples: DataFrame, differing: int, rows: int, sheet: Path
) -> None:
    pictures = pictures_of(samples, [row["id"] for row in examples])
    drawn = [
        (pixels_of(pictures[row["id"]]), row["label"], [row[f"letter_{n}"] for n in range(len(names))])
        for row in examples
    ]
    plot_disagreements(drawn, names, differing, rows, sheet)

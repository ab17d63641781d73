"""Bundles and labelled data -> one table of how good, how large and how fast each is, and where they disagree."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.ml.classification import (
    LogisticRegressionModel,
    MultilayerPerceptronClassificationModel,
    OneVsRestModel,
    RandomForestClassificationModel,
)
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import ONNX, PIPELINE, read_manifest, require_new, whole_folder
from aslspark.common.catalog import NO_CLASSIFIER
from aslspark.common.errors import AslsparkError
from aslspark.common.paths import local_path, spark_path
from aslspark.common.redacted_files import write_json
from aslspark.common.redaction import redact_all
from aslspark.common.settings import PictureConfig, load_config
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.samples import SPLITS, TEST, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.evaluation.comparison_page import write_page
from aslspark.evaluation.comparison_plots import plot_disagreements
from aslspark.evaluation.grad_cam import holds_network, write_sheet
from aslspark.evaluation.metrics import UNSCORED, classification_metrics, count_answers
from aslspark.evaluation.multiply_adds import multiply_adds
from aslspark.evaluation.sample_pictures import one_of_each_label, pictures_of
from aslspark.evaluation.speed import measure_speed, this_machine
from aslspark.images.decoding import pixels_of
from aslspark.models.mllib import MllibClassifier
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import fingerprint, is_ingested

log = logging.getLogger("aslspark")

RESULT_FILE, PAGE_FILE = "comparison.json", "comparison.html"
SHOWN_DISAGREEMENTS = 40
NO_ONNX = "an MLlib model has no ONNX; it runs in Spark alone"


@dataclass
class Contender:
    """A bundle among others."""

    name: str
    path: str
    manifest: dict[str, Any]
    model: SignClassifierModel
    row: dict[str, Any] = field(default_factory=dict)
    """What `comparison.json` says of it."""


@dataclass
class LabelledSet:
    """Labelled data under a name."""

    name: str
    paths: Sequence[str]
    folders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """For each way to divide it: the ingested folder, and its fingerprint."""


def compare_bundles(
    spark: SparkSession,
    models: Mapping[str, str],
    sets: Mapping[str, Sequence[str]],
    out: str,
    threads: int = 1,
) -> dict[str, Any]:
    """Judge bundles on the same data, and put their sizes and speeds beside it.

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
        The folder to make: `comparison.json`, `comparison.html`, its plots and sheets.
    threads : int
        That onnxruntime may use while it is timed.

    Returns
    -------
    dict
        What `comparison.json` holds: `machine`, `bundles` (a row each), `sets` (rows, and where the bundles differ).

    Raises
    ------
    AslsparkError
        Where a bundle or a source cannot be read, or `out` exists.
    """
    path = require_new(out)
    if threads < 1:
        raise AslsparkError(f"--threads {threads}: give 1 or more")
    contenders = [
        Contender(name, model, read_manifest(model), SignClassifierModel.load(model)) for name, model in models.items()
    ]
    with whole_folder(path) as folder:
        scratch = folder / ".scratch"
        for contender in contenders:
            contender.row = _describe(contender)
        about_sets = []
        for number, (name, paths) in enumerate(sets.items(), start=1):
            log.info("%s: judging %d bundles", name, len(contenders))
            labelled = LabelledSet(name, paths)
            about_sets.append(_judge(spark, contenders, labelled, folder, scratch / str(number), number))
        log.info("timing the networks, %d thread%s", threads, "" if threads == 1 else "s")
        _time(contenders, threads)
        result = redact_all(
            {
                "machine": this_machine(threads),
                "bundles": [contender.row for contender in contenders],
                "sets": about_sets,
            }
        )
        write_json(folder / RESULT_FILE, result)
        write_page(result, folder, folder / PAGE_FILE)
        shutil.rmtree(scratch, ignore_errors=True)
    for contender in contenders:
        for name, judged in contender.row["sets"].items():
            log.info(
                f"{contender.name:>16} on {name}: {judged['accuracy']:.2%} right of {judged['rows']:,} "
                f"({judged['judged_on']}), macro F1 {judged['macro_f1']:.4f}"
            )
    log.info("%s written", path)
    return result


def _describe(contender: Contender) -> dict[str, Any]:
    """Size, cost and training of a bundle; what cannot be said is None, with the reason in `why_empty`."""
    manifest, classifier = contender.manifest, contender.model.classifier
    settings = manifest.get("settings", {})
    why_empty: dict[str, str] = {}
    row: dict[str, Any] = {
        "name": contender.name,
        "path": contender.path,
        "kind": manifest["kind"],
        "framework": manifest.get("framework", "Spark MLlib"),
        "labels": len(manifest["labels"]),
        "shape": manifest["shape"],
        "fit_seconds": manifest.get("seconds", {}).get("fit"),
        "num_proc": settings.get("training", {}).get("num_proc") if manifest["kind"] == "network" else None,
        "ms_a_picture": None,
        "pictures_a_second": None,
        "sets": {},
        "grad_cam": None,
        "why_empty": why_empty,
    }
    if row["fit_seconds"] is None:
        why_empty["fit_seconds"] = "the bundle does not say"
    if isinstance(classifier, OnnxClassifier):
        row |= {
            "model": settings.get("network", {}).get("name", "network"),
            "parameters": manifest.get("parameters"),
            "file": ONNX,
            "file_bytes": len(classifier.onnx),
        }
        if row["parameters"] is None:
            why_empty["parameters"] = "the bundle does not say"
        try:
            row["multiply_adds"] = multiply_adds(classifier.onnx)
        except (AslsparkError, ImportError) as error:  # the package onnx need not be there to score
            row["multiply_adds"], why_empty["multiply_adds"] = None, str(error)
        return row
    folder = Path(local_path(contender.path)) / PIPELINE
    files = [path for path in folder.rglob("*") if path.is_file()]
    row |= {
        "model": {NO_CLASSIFIER: "MLlib"}.get(name := load_config(of_bundle=settings).mllib.classifier, name),
        "file": f"{PIPELINE}/",
        "file_bytes": sum(path.stat().st_size for path in files),
        **_mllib_size(classifier, why_empty),
    }
    why_empty["ms_a_picture"] = why_empty["pictures_a_second"] = NO_ONNX
    return row


def _mllib_size(classifier: MllibClassifier, why_empty: dict[str, str]) -> dict[str, int | None]:
    last = classifier.pipeline.stages[-1]
    if isinstance(last, MultilayerPerceptronClassificationModel):
        layers = list(last.getLayers())
        return {
            "parameters": len(last.weights.toArray()),
            "multiply_adds": sum(a * b for a, b in pairwise(layers)),
        }
    if isinstance(last, LogisticRegressionModel):
        return {
            "parameters": last.coefficientMatrix.numRows * (last.numFeatures + 1),
            "multiply_adds": last.coefficientMatrix.numRows * last.numFeatures,
        }
    if isinstance(last, OneVsRestModel):
        grown: list[Any] = last.models
        why_empty["parameters"] = f"{sum(each.totalNumNodes for each in grown):,} nodes, trees for each of {len(grown)}"
        why_empty["multiply_adds"] = "trees compare, they do not multiply"
    elif isinstance(last, RandomForestClassificationModel):
        why_empty["parameters"] = f"{last.totalNumNodes:,} nodes in {last.getNumTrees} trees"
        why_empty["multiply_adds"] = "trees compare, they do not multiply"
    else:
        why_empty["parameters"] = why_empty["multiply_adds"] = f"not counted for {type(last).__name__}"
    return {"parameters": None, "multiply_adds": None}


def _time(contenders: Sequence[Contender], threads: int) -> None:
    networks = {
        contender.name: contender.model.classifier
        for contender in contenders
        if isinstance(contender.model.classifier, OnnxClassifier)
    }
    speeds = measure_speed(networks, threads)
    for contender in contenders:
        if speed := speeds.get(contender.name):
            contender.row |= {
                "ms_a_picture": round(speed.ms_a_picture, 4),
                "pictures_a_second": round(speed.pictures_a_second, 1),
            }


def _judge(
    spark: SparkSession,
    contenders: Sequence[Contender],
    labelled: LabelledSet,
    folder: Path,
    scratch: Path,
    number: int,
) -> dict[str, Any]:
    """Score a set with every bundle; note the figures in their rows, and return where they differ."""
    answers: list[DataFrame] = []
    kept: list[DataFrame] = []
    samples: DataFrame | None = None
    try:
        for contender in contenders:
            samples, trained_on_it = samples_for(spark, contender, labelled, scratch)
            scored = contender.model.best_guesses(samples).select("id", "label", "source", "split", "letter", "top")
            kept.append(scored.persist(StorageLevel.MEMORY_AND_DISK))
            judged = scored.where(F.col("split") == TEST) if trained_on_it else scored
            answers.append(judged.select("id", "label", F.coalesce("letter", F.lit(UNSCORED)).alias("letter")))
            contender.row["sets"][labelled.name] = _figures(contender, scored, trained_on_it)
            if number == 1 and holds_network(contender.manifest):
                name = f"grad_cam-{contenders.index(contender) + 1}.png"
                chosen = samples.where(F.col("split") == TEST) if trained_on_it else samples
                write_sheet(contender.path, contender.model, one_of_each_label(chosen), folder / name)
                contender.row["grad_cam"] = name
        assert samples is not None
        about = {"name": labelled.name, "paths": list(labelled.paths)}
        return {**about, **_differences(contenders, answers, samples, folder, number)}
    finally:
        for scored in kept:
            scored.unpersist()


def samples_for(
    spark: SparkSession, contender: Contender, labelled: LabelledSet, scratch: Path
) -> tuple[DataFrame, bool]:
    """Read a set for a bundle.

    Parameters
    ----------
    spark : SparkSession
    contender : Contender
    labelled : LabelledSet
        Remembers what was ingested for the bundles before.
    scratch : Path
        A folder for raw sources as they are ingested.

    Returns
    -------
    DataFrame
        The set's samples.
    bool
        Whether the bundle was trained on them; then they have its split.
    """
    trained_on = contender.manifest.get("data", {}).get("fingerprint")
    if len(labelled.paths) == 1 and is_ingested(labelled.paths[0]):
        split, config, key = None, PictureConfig(), "ingested"
    else:
        # Divided and brought to size as the bundle's training data was: of the same rows, it then has the same
        # fingerprint.
        settings = contender.manifest.get("settings", {})
        split, config = SplitOptions(**settings.get("split", {})), PictureConfig(**settings.get("pictures", {}))
        key = f"{split} {config}"
    if key not in labelled.folders:
        folder = labelled.paths[0]
        if split is not None:
            folder = spark_path(scratch / str(len(labelled.folders)))
            pictures = picture_options(spark, config)
            try:
                ingest_sources(spark, labelled.paths, folder, split=split, pictures=pictures)
            except AslsparkError:
                # What cannot be divided in that way (it names no signers, say) is not what the bundle was trained on.
                whole = SplitOptions(validation=0.0, test=0.0)
                ingest_sources(spark, labelled.paths, folder, split=whole, pictures=pictures)
        labelled.folders[key] = (folder, fingerprint(spark, folder))
    folder, found = labelled.folders[key]
    return read_samples(spark, folder), found == trained_on


def _figures(contender: Contender, scored: DataFrame, trained_on_it: bool) -> dict[str, Any]:
    counts = count_answers(scored)
    judged = counts[counts["split"] == TEST] if trained_on_it else counts
    if judged.empty:
        raise AslsparkError(f"{contender.path}: the set that it was trained on has no test split to judge it on")
    found = classification_metrics(judged, contender.model.labels)
    result: dict[str, Any] = {
        "judged_on": "its test split" if trained_on_it else "all rows",
        "rows": found["rows"],
        "accuracy": found["accuracy"],
        "macro_f1": found["macro"]["f1"],
        "top3_accuracy": found["top3_accuracy"],
        "unscored": found["unscored"],
        "splits": {},
        "warning": None,
    }
    if trained_on_it:
        for split in SPLITS:
            part = counts[counts["split"] == split]
            if not part.empty:
                of_split = classification_metrics(part, contender.model.labels)
                result["splits"][split] = {
                    "rows": of_split["rows"],
                    "accuracy": of_split["accuracy"],
                    "macro_f1": of_split["macro"]["f1"],
                }
    elif both := sorted(set(counts["source"]) & set(contender.manifest.get("data", {}).get("sources", []))):
        result["warning"] = f"trained on a source of the same name ({', '.join(both)}): may have seen these rows"
    return result


def _differences(
    contenders: Sequence[Contender], answers: Sequence[DataFrame], samples: DataFrame, folder: Path, number: int
) -> dict[str, Any]:
    """Count how often bundles agree, on the rows that all are judged on, and draw some on which they differ."""
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
    # By a hash: some of them, not those that make a point.
    shown = joined.where(differ).orderBy(F.xxhash64("id"), "id").limit(SHOWN_DISAGREEMENTS).collect()
    about = {
        "rows": rows,
        "differ": differing,
        "agreement": {
            f"{contenders[a].name} / {contenders[b].name}": (totals[f"{a}_{b}"] or 0) / rows if rows else None
            for a, b in pairs
        },
        "sheet": None,
    }
    if shown:
        about["sheet"] = f"disagreements-{number}.png"
        _draw(shown, [contender.name for contender in contenders], samples, differing, rows, folder / about["sheet"])
    return about


def _draw(
    shown: Sequence[Row], names: Sequence[str], samples: DataFrame, differing: int, rows: int, sheet: Path
) -> None:
    pictures = pictures_of(samples, [row["id"] for row in shown])
    drawn = [
        (pixels_of(pictures[row["id"]]), row["label"], [row[f"letter_{n}"] for n in range(len(names))]) for row in shown
    ]
    plot_disagreements(drawn, names, differing, rows, sheet)

"""Bundles and labelled data -> accuracy, size and speed of each bundle, and where they disagree."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import read_bundle, require_new, whole_folder
from aslspark.bundle.read import bundle_folder
from aslspark.common.command_line import next_command
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.former_names import warn_of_former
from aslspark.common.paths import spark_path
from aslspark.common.progress import doing
from aslspark.common.redacted_files import write_json
from aslspark.common.redaction import redact_all
from aslspark.common.report_page import PAGE
from aslspark.common.settings import ColumnConfig, Config, PictureConfig
from aslspark.common.store_path import AnyPath, scratch_beside
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.samples import read_samples
from aslspark.data.splits import SplitOptions
from aslspark.evaluation.bundle_comparison import (
    Candidate,
    LabelledSet,
    SetSamples,
    common_rows,
    count_differences,
    finding_of,
    set_accuracy,
)
from aslspark.evaluation.comparison_json import BundleRow, Comparison, SetRow
from aslspark.evaluation.comparison_page import write_comparison_page
from aslspark.evaluation.grad_cam import holds_network, write_sheet
from aslspark.evaluation.metrics import UNSCORED
from aslspark.evaluation.model_size import mllib_size, network_size
from aslspark.evaluation.sample_pictures import one_of_each_label
from aslspark.evaluation.speed import measure_speed, this_machine
from aslspark.models.onnx_classifier import OnnxClassifier
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import fingerprint, ingested_folder
from aslspark.training.training_alerts import in_words
from aslspark.workflows.job_run import as_paths, job_run, log_result

log = logging.getLogger("aslspark")

RESULT_FILE, METRICS_FILE = "comparison.json", "metrics.json"


def compare(
    spark: SparkSession,
    models: Mapping[str, str],
    data: Mapping[str, str | Sequence[str]],
    out: str,
    *,
    threads: int = 1,
    config: Config | None = None,
) -> Comparison:
    """Compare the accuracy of bundles on the same data, their sizes and their speeds.

    On each set all bundles are judged on the same rows: on the test split, where one of them was trained on the set
    (its manifest has the set's fingerprint), or where the set is an ingested folder and one of them does not say what
    it was trained on, as a network of an estimator; on all rows of any other set. Of two bundles that divide a set
    differently, those rows count that both have in their test splits.

    Parameters
    ----------
    spark : SparkSession
    models : mapping of str to str
        Bundles by name, as `aslspark.train` or `SignClassifierModel.save` leaves them.
    data : mapping of str to (str or sequence of str)
        Sets by name: of each one folder that `aslspark.ingest` wrote, or raw sources as it takes them.
    out : str
        The folder to make: ``report.html``, ``comparison.json``, plots and sheets. It must not exist.
    threads : int
        That onnxruntime may use while it is timed.
    config : Config, optional
        Its section `tracking` counts.

    Returns
    -------
    Comparison
        What ``comparison.json`` holds: ``finding`` (in words), ``bundles`` (of each ``name``, ``parameters``,
        ``file_bytes``, ``ms_a_picture`` and ``sets``: by set the ``accuracy``, 0-1, and the ``rows`` that it was
        judged on), ``sets`` (of each the rows that bundles read differently, with the p-value of each pair by
        McNemar's exact test [1]_) and ``machine``.

    Raises
    ------
    AslsparkError
        Where a bundle or a source cannot be read, or `out` exists.

    References
    ----------
    .. [1] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
       Psychometrika 12, 1947.

    Examples
    --------
    >>> import aslspark
    >>> models = {"network": "runs/letters", "forest": "runs/forest"}
    >>> result = aslspark.compare(spark, models, {"letters": "ingested"}, "runs/compared")
    >>> [(each["name"], each["sets"]["letters"]["rows"]) for each in result["bundles"]]
    [('network', 72), ('forest', 72)]
    """
    for parameter, given in (("models", models), ("data", data)):
        if not isinstance(given, Mapping):
            kind = type(given).__name__
            raise AslsparkError(f"{parameter}: a {kind} has no names; give paths by name, such as {{'mine': 'PATH'}}")
    sets = {name: as_paths(paths) for name, paths in data.items()}
    with job_run(spark, config or Config(), "compare", out, models=dict(models), sets=sets):
        path = require_new(out)
        if threads < 1:
            raise AslsparkError(f"--threads {threads}: give 1 or more")
        candidates = [_candidate(name, bundle) for name, bundle in models.items()]
        with scratch_beside(path) as scratch, whole_folder(path) as folder:
            set_rows: list[SetRow] = []
            for number, (name, paths) in enumerate(sets.items(), start=1):
                log.info("%s: judging %s", name, counted(len(candidates), "bundle"))
                labelled = LabelledSet(name, paths)
                with doing(f"judging on {name}"):
                    set_rows.append(_judge(spark, candidates, labelled, folder, scratch / str(number), number))
            log.info("timing the networks, %s", counted(threads, "thread"))
            _time(candidates, threads)
            best, finding = finding_of(candidates, set_rows[0])
            result: Comparison = redact_all(
                {
                    "finding": finding,
                    "machine": this_machine(threads),
                    "bundles": [candidate.row for candidate in candidates],
                    "sets": set_rows,
                }
            )
            write_json(folder / RESULT_FILE, result)
            write_comparison_page(result, folder)
        _log_accuracies(candidates)
        for candidate in candidates:
            for words in candidate.row["watch"]:
                log.warning("%s, %s", candidate.name, words)
    log_result(
        out,
        finding,
        look=f"{path}/{PAGE}",
        then=next_command("serve", "--model", best.path) if best else "",
    )
    return result


def compare_bundles(
    spark: SparkSession,
    models: Mapping[str, str],
    sets: Mapping[str, Sequence[str]],
    out: str,
    threads: int = 1,
    *,
    config: Config | None = None,
) -> Comparison:
    """Compare bundles: the call that notebooks showed before `compare`."""
    warn_of_former("aslspark.workflows.compare.compare_bundles", "aslspark.compare")
    return compare(spark, models, sets, out, threads=threads, config=config)


def _log_accuracies(candidates: Sequence[Candidate]) -> None:
    for candidate in candidates:
        for name, judged in candidate.row["sets"].items():
            log.info(
                f"{candidate.name:>16} on {name}: {judged['accuracy']:.2%} right of {judged['rows']:,} "
                f"({judged['judged_on']}), macro F1 {judged['macro_f1']:.4f}"
            )


def _candidate(name: str, path: str) -> Candidate:
    """Read a bundle with its size, cost and training time."""
    folder = bundle_folder(path)
    bundle, model = read_bundle(folder, keep=[METRICS_FILE]), SignClassifierModel.load(path)
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
        "watch": [
            *([f"trained on {manifest['drawn']}"] if manifest.get("drawn") else []),
            *_watch_of(bundle.files.get(METRICS_FILE, b"{}")),
        ],
        "grad_cam": None,
        "why_empty": why_empty,
        **size,
    }
    return Candidate(name, path, folder, manifest, model, row)


def _watch_of(metrics: bytes) -> list[str]:
    """Say what stood out while a network was trained; what another program or version wrote says nothing here."""
    try:
        return [in_words(alert) for alert in json.loads(metrics).get("watch", [])]
    except (ValueError, TypeError, AttributeError, KeyError, StopIteration):
        return []


def _time(candidates: Sequence[Candidate], threads: int) -> None:
    speeds = measure_speed({candidate.name: candidate.model.classifier for candidate in candidates}, threads)
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
    kept: list[DataFrame] = []
    try:
        read = [samples_for(spark, candidate, labelled, scratch) for candidate in candidates]
        rows, judged_on = common_rows(read)
        kept.append(rows.persist(StorageLevel.MEMORY_AND_DISK))
        same_rows = rows.count() > 0
        answers: list[DataFrame] = []
        for candidate, own in zip(candidates, read, strict=True):
            if not same_rows:
                rows, judged_on = common_rows([own])
            # What it was trained on is scored as a whole: its figures by split say whether it learned by heart.
            samples = own.samples if own.trained_on_it else own.samples.join(rows, "id", "left_semi")
            scored = candidate.model.best_guesses(samples).select("id", "label", "source", "split", "letter", "top")
            kept.append(scored.persist(StorageLevel.MEMORY_AND_DISK))
            with doing(f"{candidate.name} reads letters of {labelled.name}"):
                scored.count()
            judged = scored.join(rows, "id", "left_semi")
            answers.append(judged.select("id", "label", F.coalesce("letter", F.lit(UNSCORED)).alias("letter")))
            candidate.row["sets"][labelled.name] = set_accuracy(candidate, own, labelled, scored, judged, judged_on)
            if number == 1 and holds_network(candidate.manifest):
                name = f"grad_cam-{candidates.index(candidate) + 1}.png"
                chosen = own.samples.join(rows, "id", "left_semi")
                with doing(f"drawing where {candidate.name} looks"):
                    write_sheet(candidate.folder, candidate.model, one_of_each_label(chosen), folder / name)
                candidate.row["grad_cam"] = name
        return count_differences(candidates, labelled, answers, read[-1].samples, folder, number)
    finally:
        for frame in kept:
            frame.unpersist()


def samples_for(spark: SparkSession, candidate: Candidate, labelled: LabelledSet, scratch: AnyPath) -> SetSamples:
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
    SetSamples
    """
    is_ingested = ingested_folder(labelled.paths) is not None
    if is_ingested:
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
    trained_on_it = of_folder == candidate.learned_from
    test_alone = trained_on_it or (is_ingested and candidate.learned_from is None)
    return SetSamples(folder, read_samples(spark, folder), trained_on_it, test_alone)

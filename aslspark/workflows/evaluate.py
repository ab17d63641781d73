"""A bundle and labelled data -> a folder of figures and plots."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession

from aslspark.bundle.files import read_manifest, require_new, whole_folder
from aslspark.bundle.read import bundle_folder
from aslspark.common.catalog import PICTURE
from aslspark.common.command_line import next_command
from aslspark.common.counted import counted
from aslspark.common.paths import spark_path
from aslspark.common.settings import Config
from aslspark.common.store_path import AnyPath, StorePath, any_path
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.samples import TEST, read_samples
from aslspark.evaluation import report
from aslspark.evaluation.grad_cam import require_network, write_sheet
from aslspark.evaluation.learned_sources import learned_fingerprint, learned_sources_warning
from aslspark.evaluation.metrics_json import Metrics
from aslspark.evaluation.model_page import write_model_page
from aslspark.evaluation.sample_pictures import one_of_each_label
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import fingerprint, ingested_folder
from aslspark.workflows.job_run import as_paths, job_run, log_result

log = logging.getLogger("aslspark")


def evaluate(
    spark: SparkSession,
    model: str,
    data: str | Sequence[str],
    out: str,
    *,
    config: Config | None = None,
    grad_cam: bool = False,
) -> Metrics:
    """Judge a bundle on labelled data.

    Parameters
    ----------
    spark : SparkSession
    model : str
        The bundle, as `aslspark.train` leaves it.
    data : str or sequence of str
        One folder that `aslspark.ingest` wrote, whose test split is judged on; or raw sources as it takes them,
        judged on as a whole.
    out : str
        The folder to make: ``report.html``, ``metrics.json``, plots (``confusion.png``, ``mistakes.png``,
        ``calibration.png``, ``coverage.png`` ...), and ``ingested`` of raw sources. It must not exist.
    config : Config, optional
        Of its section `pictures`, what labels and signers are (size, colours, fit and crop are the model's), and
        `tracking`.
    grad_cam : bool
        Draw ``grad_cam.png`` too: where the network looks in a picture of each letter [1]_.

    Returns
    -------
    Metrics
        What ``metrics.json`` holds. Of the rows judged on: ``rows`` and ``unscored`` (int), ``accuracy`` and
        ``top3_accuracy`` (0-1), ``macro`` and ``weighted`` (precision, recall, f1), ``per_class``, ``confusion``,
        ``by_source``; then ``splits`` (the same of each split), ``certainty`` (calibration error, coverage) and
        ``groups`` (accuracy by signer, side, size and skin tone, with its 95 % interval). The figures count the
        model's best guesses, whatever its threshold.

    Raises
    ------
    AslsparkError
        Where the bundle or the data cannot be read, no row of the test split is there, or `out` exists.

    References
    ----------
    .. [1] R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
       ICCV 2017.

    Examples
    --------
    >>> import aslspark
    >>> metrics = aslspark.evaluate(spark, "runs/letters", "ingested", "runs/letters-judged")
    >>> metrics["rows"], metrics["judged_on"]
    (72, ['test'])
    >>> 0 <= metrics["accuracy"] <= metrics["top3_accuracy"] <= 1
    True
    """
    config, paths = config or Config(), as_paths(data)
    with job_run(spark, config, "evaluate", out, model=model, data=paths):
        folder_to_make = require_new(out)
        if grad_cam:
            require_network(model)
        loaded, manifest = SignClassifierModel.load(model), read_manifest(bundle_folder(model))
        with whole_folder(folder_to_make) as folder:
            seen_by_workers = folder_to_make if isinstance(folder_to_make, StorePath) else folder
            if ingested := ingested_folder(paths):
                samples = read_samples(spark, ingested, [TEST])
            else:
                samples = labelled_samples(spark, loaded, paths, seen_by_workers / "ingested", config, folder_to_make)
            metrics = report.evaluate(loaded, samples, folder, judged_on=[TEST])
            warning = learned_sources_warning(manifest, metrics["by_source"])
            if warning and ingested and fingerprint(spark, ingested) == learned_fingerprint(manifest):
                warning = None  # it is the test split of what was learned from; to find out takes a scan of it all
            if warning:
                log.warning("warning: %s", warning)
            if grad_cam:
                write_sheet(model, loaded, one_of_each_label(samples), folder / "grad_cam.png")
            write_model_page(
                folder,
                metrics,
                name=any_path(model).name,
                warnings=[warning] if warning else [],
                made={"model": model, "digest of the bundle": loaded.digest or "", "data": ", ".join(paths)},
                settings=config.as_dict(),
            )
        log.info("%s", report.summary(metrics))
    log_result(
        out,
        f"{metrics['accuracy']:.2%} of {counted(metrics['rows'], 'picture')} right",
        look=f"{folder_to_make}/report.html",
        then=next_command("score", "--model", model, "--data", "PICTURES", "--out", "scored"),
    )
    return metrics


def labelled_samples(
    spark: SparkSession,
    model: SignClassifierModel,
    data: Sequence[str],
    folder: AnyPath,
    config: Config | None = None,
    beside: AnyPath | None = None,
) -> DataFrame:
    """Ingest raw labelled sources as a model's own training pictures were; all of it is test.

    Parameters
    ----------
    spark : SparkSession
    model : SignClassifierModel
    data : sequence of str
    folder : Path or StorePath
        To be made for what is ingested.
    config : Config, optional
        Of its section `pictures`, what labels and signers are; size, colours, fit and crop are the model's, but for
        one that was made from hands alone.
    beside : Path or StorePath, optional
        What the job is to leave; see `training_data`.

    Returns
    -------
    DataFrame
        With the columns of `samples.SAMPLE_SCHEMA`, and perhaps `hand`.
    """
    config = config or Config()
    pictures = picture_options(spark, config.pictures)
    form = replace(model.form, max_pixels=pictures.form.max_pixels)
    if PICTURE not in model.classifier.inputs and min(form.height, form.width) == 1:
        form = pictures.form  # the model was made from hands alone; the pictures are for the sheets
    pictures = replace(pictures, form=form, hands=model.hands)
    # As sources of test rows: between the splits of a folder that has some, near duplicates would be looked for, and
    # dropped where the settings ask for it, from what is to be judged on as a whole.
    where, left_at = spark_path(folder), None if beside is None else spark_path(beside)
    report = ingest_sources(
        spark, [], where, test_sources=data, pictures=pictures, columns=config.columns, beside=left_at
    )
    log.info("%s", replace(report, split="All rows are judged on."))
    return read_samples(spark, where)

"""A bundle and labelled data -> a folder of figures and plots."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.bundle.files import require_new, whole_folder
from aslspark.common.paths import spark_path
from aslspark.common.redaction import say
from aslspark.common.settings import Config
from aslspark.data.ingest import ingest_sources
from aslspark.data.pictures.options import picture_options
from aslspark.data.samples import TEST, read_samples
from aslspark.data.splits import SplitOptions
from aslspark.evaluation.grad_cam import require_network, write_sheet
from aslspark.evaluation.report import evaluate, summary
from aslspark.evaluation.sample_pictures import one_of_each_label
from aslspark.scoring.model import SignClassifierModel
from aslspark.training.data import is_ingested

log = logging.getLogger("aslspark")


def evaluate_bundle(
    spark: SparkSession,
    model: str,
    data: Sequence[str],
    out: str,
    config: Config | None = None,
    grad_cam: bool = False,
) -> dict[str, Any]:
    """Judge a bundle on labelled data.

    Parameters
    ----------
    spark : SparkSession
    model : str
        The bundle.
    data : sequence of str
        One ingested folder, whose test split is judged on; or raw sources, judged on as a whole.
    out : str
        The folder to make: `metrics.json`, `confusion.png`, `mistakes.png`, and `ingested` of raw sources.
    config : Config, optional
        Of its section `pictures`, what labels and signers are; size, colours, fit and crop are the model's.
    grad_cam : bool
        Draw `grad_cam.png` too: where the network looks in a picture of each letter.

    Returns
    -------
    dict
        What `metrics.json` holds; see `aslspark.evaluation.report.evaluate`.
    """
    path = require_new(out)
    if grad_cam:
        require_network(model)
    loaded = SignClassifierModel.load(model)
    with whole_folder(path) as folder:
        if len(data) == 1 and is_ingested(data[0]):
            samples = read_samples(spark, data[0], [TEST])
        else:
            samples = labelled_samples(spark, loaded, data, folder / "ingested", config)
        metrics = evaluate(loaded, samples, folder, judged_on=[TEST])
        if grad_cam:
            write_sheet(model, loaded, one_of_each_label(samples), folder / "grad_cam.png")
    log.info("%s", summary(metrics))
    log.info("%s written", path)
    return metrics


def labelled_samples(
    spark: SparkSession, model: SignClassifierModel, data: Sequence[str], folder: Path, config: Config | None = None
) -> DataFrame:
    """Ingest raw labelled sources as a model's own training pictures were; all of it is test.

    Parameters
    ----------
    spark : SparkSession
    model : SignClassifierModel
    data : sequence of str
    folder : Path
        To be made for what is ingested.
    config : Config, optional
        Of its section `pictures`, what labels and signers are; size, colours, fit and crop are the model's.

    Returns
    -------
    DataFrame
        With the columns of `samples.SAMPLE_SCHEMA`, and perhaps `hand`.
    """
    pictures = picture_options(spark, (config or Config()).pictures)
    form = replace(model.form, max_pixels=pictures.form.max_pixels)
    pictures = replace(pictures, form=form, hands=model.hands)
    split = SplitOptions(validation=0.0, test=0.0)
    say(ingest_sources(spark, data, spark_path(folder), split=split, pictures=pictures))
    return read_samples(spark, spark_path(folder)).withColumn("split", F.lit(TEST))

"""A whole scoring job: a bundle and pictures in, a table of letters out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import SparkSession

from aslspark.common.settings import Config
from aslspark.data.pictures.options import manifest_roots
from aslspark.scoring.model import SignClassifierModel, write_scores
from aslspark.scoring.unlabelled import rows_to_score, with_reasons


def score(
    spark: SparkSession, model: str, data: Sequence[str], out: str, config: Config, threshold: float | None = None
) -> None:
    """Read the letters of pictures, and write them as Parquet.

    Parameters
    ----------
    spark : SparkSession
    model : str
        The bundle.
    data : sequence of str
        See `aslspark.scoring.unlabelled.rows_to_score`.
    out : str
        A folder that does not exist yet.
    config : Config
        `pictures.max_pixels` and `pictures.roots` hold; how pictures are made ready is the bundle's.
    threshold : float, optional
        The least probability with which a letter is answered; None: the bundle's.

    Raises
    ------
    AslsparkError
    """
    reader = SignClassifierModel.load(model)
    reader.form = replace(reader.form, max_pixels=config.pictures.max_pixels)
    if threshold is not None:
        reader.setThreshold(threshold)
    rows, column = rows_to_score(spark, data, manifest_roots(spark, config.pictures.roots))
    write_scores(with_reasons(reader.setInputCol(column).transform(rows).drop(column)), out)

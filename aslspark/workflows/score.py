"""A model and pictures -> a table of letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession

from aslspark.common.paths import mounted_as_spark
from aslspark.common.settings import Config
from aslspark.data.pictures.options import manifest_roots
from aslspark.scoring.model import SignClassifierModel, write_scores
from aslspark.scoring.unlabelled import named_picture_column, rows_to_score, with_reasons
from aslspark.workflows.job_run import as_paths, job_run


def score(
    spark: SparkSession,
    model: str | SignClassifierModel,
    data: str | DataFrame | Sequence[str],
    out: str | None = None,
    *,
    config: Config | None = None,
    threshold: float | None = None,
) -> DataFrame:
    """Read the letters of pictures.

    Parameters
    ----------
    spark : SparkSession
    model : str or SignClassifierModel
        A bundle, the champion of a registry (``registry/champion``), or a model that was loaded.
    data : str, DataFrame, or sequence of str
        A DataFrame with a column of pictures, as `aslspark.SignClassifierModel` takes them: the model's `inputCol`, or
        else one called ``picture``, ``image``, ``pixels``, ``content`` or ``data``. Or paths: pixel tables with or
        without labels, pictures or folders of them, one Parquet table, or one folder that `aslspark.ingest` wrote.
    out : str, optional
        A folder to write the answers to, as Parquet and without the pictures; it must not exist.
    config : Config, optional
        `pictures.max_pixels`, `pictures.roots` and `tracking` count; how pictures are made ready is the model's.
    threshold : float, optional
        The least probability, 0-1, with which a letter is answered; None: the model's own.

    Returns
    -------
    DataFrame
        The rows of `data`, each with ``letter string``, ``probability float``, ``top array<struct<letter string,
        probability float>>`` (the best three) and ``reason string`` (why there is no letter, else null); see
        `aslspark.SignClassifierModel`. Of pixel tables the rows are ``source string``, ``row long`` (counted from 1),
        ``label string`` and ``pixels``; of picture files ``path string``, ``label string`` and ``content binary``.
        With `out` it is what was written, and without, nothing is computed before it is asked for.

    Raises
    ------
    AslsparkError
        Where the model or the data cannot be read, or `out` exists. A picture that cannot be scored is no error: its
        row says the reason.

    Examples
    --------
    >>> import aslspark
    >>> samples = spark.read.parquet("ingested/samples")
    >>> scored = aslspark.score(spark, "runs/letters", samples)
    >>> scored.select("label", "letter", "probability", "reason").dtypes
    [('label', 'string'), ('letter', 'string'), ('probability', 'float'), ('reason', 'string')]

    Paths in, Parquet out:

    >>> written = aslspark.score(spark, "runs/letters", ["letters.csv"], "scored", threshold=0.5)
    721 rows: ... read, ... not
    ...
    >>> written.where("row = 721").select("letter", "reason").show(truncate=False)
    +------+--------------------------------------------+
    |letter|reason                                      |
    +------+--------------------------------------------+
    |NULL  |wrong column count: 3 columns instead of 785|
    +------+--------------------------------------------+
    <BLANKLINE>
    """
    config = config or Config()
    model_name = model if isinstance(model, str) else model.uid
    data_name = "a DataFrame" if isinstance(data, DataFrame) else as_paths(data)
    with job_run(config, "score", model=model_name, data=data_name, threshold=threshold):
        reader = SignClassifierModel.load(model) if isinstance(model, str) else model.copy()
        reader.form = replace(reader.form, max_pixels=config.pictures.max_pixels)
        if threshold is not None:
            reader.setThreshold(threshold)
        if isinstance(data, DataFrame):
            column = reader.getInputCol()
            if column not in data.columns:
                column = named_picture_column(data) or column  # a model of landmarks alone needs none
            scored = reader.setInputCol(column).transform(data)
        else:
            rows, column = rows_to_score(spark, as_paths(data), manifest_roots(spark, config.pictures.roots))
            scored = with_reasons(reader.setInputCol(column).transform(rows))
        if out is None:
            return scored
        write_scores(scored.drop(column), out)
        return spark.read.parquet(mounted_as_spark(out))

"""A model and pictures -> a table of letters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from aslspark.common.errors import AslsparkError, first_line
from aslspark.common.paths import mounted_as_spark
from aslspark.common.progress import doing
from aslspark.common.settings import Config
from aslspark.common.spark_session import settings_restored, spark_errors_unlogged
from aslspark.data.pictures.options import manifest_roots
from aslspark.data.pictures.reading import PACKED
from aslspark.data.tables.landmark_layout import names_landmarks
from aslspark.data.tables.pixel_layout import pixel_places
from aslspark.data.tables.unlabelled_tables import landmark_frame, with_pixels
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.scored_tables import ScoreCounts, check_table, write_scores, write_scores_to_table
from aslspark.scoring.unlabelled import FILE, named_picture_column, rows_to_score, with_reasons
from aslspark.scoring.unlike_pictures import photographs_warning
from aslspark.workflows.job_run import as_paths, job_run

log = logging.getLogger("aslspark")


def score(
    spark: SparkSession,
    model: str | SignClassifierModel,
    data: str | DataFrame | Sequence[str],
    out: str | None = None,
    *,
    out_table: str | None = None,
    mode: str = "errorifexists",
    where: str | None = None,
    since: str | None = None,
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
        Landmarks, as `aslspark.ingest` takes them, of which ``label`` may be missing: their rows are ``source``,
        ``row``, ``label`` and ``hand``. Or a DataFrame with a column of pictures, as `aslspark.SignClassifierModel`
        takes them: the model's `inputCol`, or else one called ``picture``, ``image``, ``pixels``, ``content`` or
        ``data``; or one with a column a pixel, ``pixel1`` to ``pixel784``, which becomes the column ``pixels``. Or
        paths: pixel tables with or without labels, pictures or folders of them, one Parquet table, or one folder that
        `aslspark.ingest` wrote. Or the name of a table in Spark's catalog (``main.signs.pictures``,
        ``table:pictures``), or a Delta table's folder.
    out : str, optional
        A folder to write the answers to, as Parquet and without the pictures; it must not exist.
    out_table : str, optional
        In place of `out`: the name of a table in Spark's catalog. Its rows have two columns more: ``bundle string``,
        the digest of the bundle, and ``scored_at timestamp``, the same for all rows of a call.
    mode : {'errorifexists', 'append', 'overwrite'}
        What to do where `out_table` is there.
    where : str, optional
        A condition in SQL on the columns of `data`; the other rows are left out.
    since : str, optional
        A time such as ``2026-11-01`` or ``2026-11-01 08:00:00``: rows whose column `columns.time` is earlier, or null,
        are left out.
    config : Config, optional
        `pictures.max_pixels`, `pictures.roots`, `columns` and `tracking` count; how pictures are made ready is the
        model's.
    threshold : float, optional
        The least probability, 0-1, with which a letter is answered; None: the model's own.

    Returns
    -------
    DataFrame
        The rows of `data`, each with ``letter string``, ``probability float``, ``top array<struct<letter string,
        probability float>>`` (the best three) and ``reason string`` (why there is no letter, else null); see
        `aslspark.SignClassifierModel`. Of pixel tables the rows are ``source string``, ``row long`` (counted from 1),
        ``label string`` and ``pixels``; of picture files ``path string``, ``label string`` and ``content binary``.
        With `out` or `out_table` it is what was written, and without, nothing is computed before it is asked for.

    Raises
    ------
    AslsparkError
        Where the model or the data cannot be read, `out` exists, or `out_table` cannot be written. A picture that
        cannot be scored is no error: its row says the reason.

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
    return score_and_count(
        spark,
        model,
        data,
        out,
        out_table=out_table,
        mode=mode,
        where=where,
        since=since,
        config=config,
        threshold=threshold,
    )[0]


def score_and_count(
    spark: SparkSession,
    model: str | SignClassifierModel,
    data: str | DataFrame | Sequence[str],
    out: str | None = None,
    *,
    out_table: str | None = None,
    mode: str = "errorifexists",
    where: str | None = None,
    since: str | None = None,
    config: Config | None = None,
    threshold: float | None = None,
) -> tuple[DataFrame, ScoreCounts | None]:
    """Do what `score` does, and also return what was counted of the answers, where they were written."""
    config = config or Config()
    if out_table is not None:
        check_table(spark, out_table, mode, out)
    model_name = model if isinstance(model, str) else model.uid
    data_name = "a DataFrame" if isinstance(data, DataFrame) else as_paths(data)
    is_written = out is not None or out_table is not None
    with (
        job_run(spark, config, "score", model=model_name, data=data_name, threshold=threshold),
        # What is computed later needs them to stay.
        settings_restored(spark, PACKED if is_written else ()),
    ):
        with doing("loading the model"):
            reader = SignClassifierModel.load(model) if isinstance(model, str) else model.copy()
        reader.form = replace(reader.form, max_pixels=config.pictures.max_pixels)
        if threshold is not None:
            reader.setThreshold(threshold)
        if isinstance(data, DataFrame) and names_landmarks(data.columns):
            rows, column = landmark_frame(data, "a DataFrame"), reader.getInputCol()
        elif isinstance(data, DataFrame):
            rows, column = data, reader.getInputCol()
            if column not in data.columns:
                column = named_picture_column(data) or column  # a model of landmarks alone needs none
            if column not in data.columns and pixel_places(data.columns):
                rows, column = with_pixels(data), "pixels"
        else:
            roots = manifest_roots(spark, config.pictures.roots)
            rows, column = rows_to_score(spark, as_paths(data), roots, config.columns, with_contents=not is_written)
            reader.are_paths = column == FILE
        rows = _part_of(rows, where, since, config.columns.time)
        if reader.hands is None and (unlike := photographs_warning(rows, column, reader.form, reader.are_paths)):
            log.warning("warning: %s", unlike)
        scored = with_reasons(reader.setInputCol(column).transform(rows))
        if out is not None:
            counts = write_scores(scored.drop(column), out)
            return spark.read.parquet(mounted_as_spark(out)), counts
        if out_table is not None:
            return write_scores_to_table(scored.drop(column), out_table, mode, reader.digest)
        return scored, None


def _part_of(rows: DataFrame, where: str | None, since: str | None, time: str) -> DataFrame:
    """Leave out the rows that are not asked for."""
    names = ", ".join(rows.columns)
    if since is not None:
        if time not in rows.columns:
            raise AslsparkError(f"--since {since}: name the column of times with columns.time; there are {names}")
        try:
            moment = datetime.fromisoformat(since)
        except ValueError:
            raise AslsparkError(f"--since {since}: give a time such as 2026-11-01 or '2026-11-01 08:00:00'") from None
        # As text, which Spark reads in the session's time zone, as it shows times; a literal has that of the driver.
        from_then = F.col(f"`{time}`") >= F.lit(moment.isoformat()).cast("timestamp")
        try:
            with spark_errors_unlogged():
                rows = rows.where(from_then)
                rows.columns  # noqa: B018  (as for --where)
        except AnalysisException as error:
            raise AslsparkError(
                f"--since {since}: columns.time={time} is no column of times ({first_line(error)}); give a condition "
                "on it as --where"
            ) from error
    if where is not None:
        try:
            with spark_errors_unlogged():
                rows = rows.where(where)
                rows.columns  # noqa: B018  (Spark Connect reads the condition when it is asked for the columns)
        except (AnalysisException, ParseException) as error:
            raise AslsparkError(f"--where {where}: {first_line(error)}; there are the columns {names}") from error
    return rows

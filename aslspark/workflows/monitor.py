"""A bundle and new pictures, or a scored table -> whether each batch has drifted, with plots."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampNTZType, TimestampType

from aslspark.bundle.files import require_new, resolve_alias, whole_folder
from aslspark.common.batch_udf import batch_udf
from aslspark.common.command_line import next_command
from aslspark.common.counted import counted
from aslspark.common.errors import AslsparkError
from aslspark.common.progress import doing
from aslspark.common.redacted_files import write_json
from aslspark.common.report_page import PAGE, write_page
from aslspark.common.settings import ColumnConfig, Config
from aslspark.common.spark_session import settings_restored
from aslspark.data.catalog_tables import nor_a_table, table_of
from aslspark.data.files.stores import open_store
from aslspark.data.pictures.reading import PACKED
from aslspark.monitoring import ALARM_RATE
from aslspark.monitoring.drift import LEAST_ROWS, RESAMPLES, Comparison
from aslspark.monitoring.measures import ANSWER, FLAGS, MEASURES, measure_scored, score_and_measure
from aslspark.monitoring.plots import plot_drift, plot_shares
from aslspark.monitoring.profile import NONE, Profile, read_reference
from aslspark.scoring.answer_columns import OUTPUT_COLUMNS
from aslspark.scoring.model import SignClassifierModel
from aslspark.scoring.unlabelled import rows_to_score
from aslspark.workflows.job_run import job_run, log_result

log = logging.getLogger("aslspark")

LEAST_RATE = 4 / RESAMPLES
"""The lowest rate that the resampled batches can show: four of them."""
WHOLE = "all rows"
_BATCH, _OTHER = "batch", -2


def monitor(
    spark: SparkSession,
    model: str,
    data: str,
    out: str,
    by: str | None = None,
    alarm_rate: float = ALARM_RATE,
    *,
    config: Config | None = None,
) -> dict[str, Any]:
    """Compare new pictures with those that a bundle was made with.

    Parameters
    ----------
    spark : SparkSession
    model : str
        The bundle, as `aslspark.train` leaves it, or an alias of a registry.
    data : str
        Pictures as `aslspark.score` takes them, or the answers that it wrote: a path, or the name of a table that
        Spark knows.
    out : str
        The folder to make: ``report.html``, ``drift.json``, ``drift.png`` (where a batch is large enough),
        ``shares.png``. It must not exist.
    by : str, optional
        A column of the data that says which batch a row belongs to; of times, the day does.
    alarm_rate : float
        The share of clean batches that may raise an alarm, at most 0.5.
    config : Config, optional
        Its section `tracking` counts.

    Returns
    -------
    dict
        What ``drift.json`` holds: ``model``, ``data``, ``alarm_rate``, ``drift`` (bool: any batch), ``worst`` (the
        statistic that is most times its limit), and ``batches``, of each ``batch`` (str), ``rows`` (int), ``judged``
        (bool: it is large enough), ``drift`` (bool), ``alarms`` (names, the strongest first), and ``statistics`` with
        ``value`` and ``limit``.

    Raises
    ------
    AslsparkError
        Where the bundle carries no reference, the data cannot be read, or `out` exists.

    Examples
    --------
    >>> import aslspark
    >>> report = aslspark.monitor(spark, "runs/letters", "letters.csv", "runs/drift")
    >>> [(batch["batch"], batch["rows"]) for batch in report["batches"]]
    [('all rows', 721)]
    >>> report["drift"]
    False
    """
    with (
        job_run(spark, config or Config(), "monitor", out, model=model, data=data, by=by, alarm_rate=alarm_rate),
        settings_restored(spark, PACKED),
    ):
        if not LEAST_RATE <= alarm_rate <= 0.5:
            raise AslsparkError(f"--alarm-rate {alarm_rate}: out of range; it may be from {LEAST_RATE:g} to 0.5")
        path = require_new(out)
        bundle = resolve_alias(model)
        profile = read_reference(bundle)
        table, column = _table(spark, data, (config or Config()).columns)
        with doing("measuring the pictures" if column is not None else "counting the answers"):
            counts = _counts(table, column, data, model, bundle, profile, by)
        with doing("comparing them with those of the training"):
            comparison = Comparison(profile, alarm_rate)
            batches = [_judged(name, of_batch, comparison) for name, of_batch in sorted(counts.items())]
        worst = max(batches, key=lambda row: _excess(row["statistics"]))
        report = {
            "model": model,
            "data": data,
            "alarm_rate": alarm_rate,
            "reference_rows": len(profile.part_of),
            "drift": any(row["drift"] for row in batches),
            "worst": _excess(worst["statistics"]),
            "batches": batches,
        }
        with doing("drawing plots"), whole_folder(path) as folder:
            write_json(folder / "drift.json", report)
            if any(row["judged"] for row in batches):
                plot_drift(batches, alarm_rate, folder / "drift.png")
            plot_shares(profile, counts[worst["batch"]], worst, folder / "shares.png")
            write_page(
                folder,
                "monitor.html",
                made={
                    "model": model,
                    "data": f"{data}, by {by}" if by else data,
                    "alarm rate": f"{alarm_rate:g} of clean batches",
                    "reference": f"{counted(len(profile.part_of), 'row')} that the model was made with",
                },
                furthest=worst,
                least_rows=LEAST_ROWS,
                **{name: report[name] for name in ("alarm_rate", "worst", "batches")},
            )
        _log(report)
    drifted = sum(bool(row["drift"]) for row in batches)
    log_result(
        out,
        f"drift in {drifted} of {counted(len(batches), 'batch', 'batches')}" if drifted else "no drift",
        look=f"{path}/{PAGE}",
        then=next_command("retrain", "--registry", "DIR", "--data", "LABELLED") if drifted else "",
    )
    return report


def _counts(
    table: DataFrame, column: str | None, data: str, model: str, bundle: str, profile: Profile, by: str | None
) -> dict[str, dict[str, Any]]:
    """Measure the data with the model, and count its bins by batch."""
    batch = _batch_column(table, by)
    if column is not None:
        rows = score_and_measure(SignClassifierModel.load(bundle).setInputCol(column), table, batch)
    elif profile.held_out:
        rows = measure_scored(table, batch)
    else:
        raise AslsparkError(
            f"--data {data}: of a scored table only the answers are known, and the reference of {model} has none to "
            "compare them with, since no rows of its own sources were held out (split.validation); give the pictures"
        )
    counts = count_bins(rows, profile)
    if not counts:
        raise AslsparkError(f"--data {data}: it holds no rows")
    return counts


def count_bins(rows: DataFrame, profile: Profile) -> dict[str, dict[str, Any]]:
    """Count, in Spark, how many rows of each batch lie in each bin.

    Parameters
    ----------
    rows : DataFrame
        As from `measures.score_and_measure`, with `batch` (string).
    profile : Profile

    Returns
    -------
    dict of str to dict
        For each batch `rows` (int), and for each measure, ANSWER and flag that rows have, an array of counts. What is
        answered and is no label of the profile is counted nowhere.
    """
    sizes = profile.sizes()
    names = [name for name in sizes if name in rows.columns]
    starts = dict(zip(names, np.cumsum([0, *(sizes[name] for name in names)]).tolist(), strict=False))

    @batch_udf("array<int>")
    def cells(parts: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
        for part in parts:
            bins = profile.bins_of(part)
            cell = np.column_stack([np.where(bins[name] == NONE, _OTHER, bins[name] + starts[name]) for name in names])
            yield pd.Series([row[row != _OTHER].tolist() for row in cell], dtype=object)

    given = F.struct(*(F.col(name) for name in (*MEASURES, ANSWER, *FLAGS) if name in rows.columns))
    # One more cell counts the rows.
    of_row = F.explode(F.concat(cells(given), F.array(F.lit(_OTHER)))).alias("cell")
    counted = rows.select(_BATCH, of_row).groupBy(_BATCH, "cell").count().collect()
    batches: dict[str, dict[str, Any]] = {}
    for row in counted:
        counts = batches.setdefault(
            row[_BATCH], {"rows": 0, **{name: np.zeros(sizes[name], np.int64) for name in names}}
        )
        if row["cell"] == _OTHER:
            counts["rows"] = row["count"]
        else:
            name = next(name for name in reversed(names) if starts[name] <= row["cell"])
            counts[name][row["cell"] - starts[name]] = row["count"]
    return batches


def _table(spark: SparkSession, data: str, columns: ColumnConfig) -> tuple[DataFrame, str | None]:
    """Read the data, and name its column of pictures; None for a table that is already scored."""
    store = open_store(spark)
    table = table_of(spark, store, data, columns)
    if table is not None and set(OUTPUT_COLUMNS) <= set(table.columns):
        return table, None
    if table is None and not store.exists(data):
        instead = nor_a_table(spark, data) or "; name pictures, a pixel table or a scored table"
        raise AslsparkError(f"--data {data}: it does not exist{instead}")
    if table is None and (scored := _if_scored(spark, data)) is not None:
        return scored, None
    return rows_to_score(spark, [data], columns=columns)


def _if_scored(spark: SparkSession, path: str) -> DataFrame | None:
    if not open_store(spark).is_folder(path):
        return None
    try:
        table = spark.read.parquet(path)
    except Exception:  # the error of what is no Parquet differs by Spark's version
        return None
    return table if set(OUTPUT_COLUMNS) <= set(table.columns) else None


def _batch_column(table: DataFrame, by: str | None) -> Column:
    if by is None:
        return F.lit(WHOLE).alias(_BATCH)
    if by not in table.columns:
        raise AslsparkError(f"--by {by}: there is no such column; there are {', '.join(table.columns)}")
    quoted = F.col("`" + by.replace("`", "``") + "`")
    time = isinstance(table.schema[by].dataType, TimestampType | TimestampNTZType)
    named = (F.to_date(quoted) if time else quoted).cast("string")
    return F.coalesce(named, F.lit("(none)")).alias(_BATCH)


def _judged(name: str, counts: dict[str, Any], comparison: Comparison) -> dict[str, Any]:
    rows = counts["rows"]
    row: dict[str, Any] = {"batch": name, "rows": rows, "judged": rows >= LEAST_ROWS}
    statistics = comparison.statistics(counts, rows) if row["judged"] else {}
    alarms = sorted(
        (key for key in statistics if statistics[key].alarm),
        key=lambda key: -statistics[key].value / statistics[key].limit,
    )
    row |= {"drift": bool(alarms), "alarms": alarms}
    row["statistics"] = {key: {"value": one.value, "limit": one.limit} for key, one in statistics.items()}
    return row


def _excess(statistics: dict[str, dict[str, float]]) -> float:
    return max((one["value"] / one["limit"] for one in statistics.values()), default=0.0)


def _log(report: dict[str, Any]) -> None:
    for row in report["batches"]:
        if not row["judged"]:
            verdict = f"not judged: {LEAST_ROWS} rows or more are needed"
        elif not row["drift"]:
            verdict = "no drift"
        else:
            first = ", ".join(
                f"{name} {row['statistics'][name]['value']:.3g} (limit {row['statistics'][name]['limit']:.3g})"
                for name in row["alarms"][:4]
            )
            more = f" and {len(row['alarms']) - 4} more" if len(row["alarms"]) > 4 else ""
            verdict = f"drift: {first}{more}"
        log.info("%s, %s: %s", row["batch"], counted(row["rows"], "row"), verdict)
    judged = sum(row["judged"] for row in report["batches"])
    chance = judged * report["alarm_rate"]
    log.info("of %s, %.2g would raise an alarm by chance", counted(judged, "clean batch", "clean batches"), chance)

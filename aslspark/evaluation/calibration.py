"""Whether a model's probabilities can be believed, and how accurate it is where it answers above a threshold alone.

In: validation samples, by which the temperature is set; scored samples. Out: expected calibration errors, accuracy
against coverage, and the temperature that fits held-out people best. Spark counts; the driver computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.data.samples import SPLITS
from aslspark.evaluation.metrics_json import Bin, Certainty, Coverage, Curve, SplitCertainty
from aslspark.scoring.calibration import LEAST_PROBABILITY, fit_temperature, with_temperature
from aslspark.scoring.model import SignClassifierModel

BINS = 15
"""Bins of equal width, as in Guo et al. 2017 (see `aslspark.scoring.calibration`)."""
STEPS = 100
"""Steps of each bin, for the curve of accuracy against coverage."""
THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
MOST_ROWS = 20_000
"""The most samples that a temperature is fitted on."""
TEMPERATURES = tuple(float(value) for value in np.geomspace(0.25, 8, 61).round(4))
"""Temperatures that are tried on the held-out samples of a fold."""


class TriedTemperatures(TypedDict):
    """What each of `TEMPERATURES` comes to on some samples, a number a temperature."""

    rows: int
    log_loss: list[float]
    """The mean."""
    calibration_error: list[float]
    """Expected, over `BINS` bins."""


def temperature_for(model: SignClassifierModel, samples: DataFrame) -> float:
    """Return the temperature with the least log loss on labelled samples.

    Parameters
    ----------
    model : SignClassifierModel
        Its own temperature is not used.
    samples : DataFrame
        Validation samples, with `id`, `label` and the columns that the model reads. Where there are more than
        `MOST_ROWS`, a hash of the id chooses as many.

    Returns
    -------
    float
        1 where none of the samples can be scored.
    """
    scored = _score_known_labels(model, samples)
    return 1.0 if scored is None else round(fit_temperature(*scored), 4)


def try_temperatures(model: SignClassifierModel, samples: DataFrame) -> TriedTemperatures | None:
    """Compute log loss and calibration error at each of `TEMPERATURES` on samples that the model has not seen.

    Parameters
    ----------
    model, samples
        As for `temperature_for`.

    Returns
    -------
    TriedTemperatures or None
        None where none of the samples can be scored.
    """
    if (scored := _score_known_labels(model, samples)) is None:
        return None
    probabilities, classes = scored
    right = probabilities.argmax(axis=1) == classes
    losses, errors = [], []
    for temperature in TEMPERATURES:
        tempered = with_temperature(probabilities, temperature)
        of_label = np.maximum(tempered[np.arange(len(classes)), classes], LEAST_PROBABILITY)
        losses.append(round(float(-np.log(of_label).mean()), 5))
        best = tempered.max(axis=1)
        steps = np.minimum(best * BINS * STEPS, BINS * STEPS - 1).astype(int)
        bins = _bins(pd.DataFrame({"right": right, "certainty": best, "rows": 1}, index=steps))
        errors.append(round(_expected_error(bins) or 0.0, 5))
    return {"rows": len(classes), "log_loss": losses, "calibration_error": errors}


def best_temperature(tried: Sequence[TriedTemperatures]) -> float:
    """Return the temperature with the least log loss over several results of `try_temperatures` together."""
    losses = sum(fold["rows"] * np.array(fold["log_loss"]) for fold in tried)
    return TEMPERATURES[int(np.argmin(losses))]


def _score_known_labels(model: SignClassifierModel, samples: DataFrame) -> tuple[npt.NDArray, npt.NDArray] | None:
    """Return probabilities and class numbers of at most MOST_ROWS samples whose label the model knows."""
    labelled = samples.where(F.col("label").isin(list(model.labels)))
    scored = model.probabilities(labelled).where("probabilities is not null").select("id", "label", "probabilities")
    rows = scored.orderBy(F.xxhash64("id"), "id").limit(MOST_ROWS).toPandas()
    if not len(rows):
        return None
    classes = rows["label"].map({label: number for number, label in enumerate(model.labels)}).to_numpy()
    return np.stack(list(rows["probabilities"])), classes


def calibration_metrics(scored: DataFrame, temperature: float, threshold: float) -> Certainty:
    """Compare probabilities with accuracy, and accuracy with coverage, in each split.

    Parameters
    ----------
    scored : DataFrame
        With `label`, `split` and the columns of `SignClassifierModel.best_guesses`.
    temperature, threshold : float
        Of the model.
    """
    thresholds = sorted({*THRESHOLDS, threshold})
    counts = _count_by_step(scored, thresholds)
    splits: dict[str, SplitCertainty] = {}
    for split in (name for name in SPLITS if name in set(counts["split"])):
        of_split = counts[counts["split"] == split]
        rows = int(of_split["rows"].sum())
        after, before = (
            of_split.groupby(f"step_{name}")[["rows", "right", name]].sum().rename(columns={name: "certainty"})
            for name in _PROBABILITIES
        )
        splits[split] = {
            "rows": rows,
            "calibration_error": _expected_error(_bins(after)),
            "calibration_error_before": _expected_error(_bins(before)),
            "bins": _bins(after),
            "bins_before": _bins(before),
            "coverage": [
                _coverage(each, rows, of_split[of_split["answered"] > n]) for n, each in enumerate(thresholds)
            ],
            "curve": _curve(after, rows),
        }
    return {"temperature": temperature, "threshold": threshold, "splits": splits}


_PROBABILITIES = ("probability", "as_given")
"""Columns of the probability with the temperature and without it."""


def _count_by_step(scored: DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """Count rows by split, by the steps of both probabilities, and by how many of the thresholds, which rise, are met.

    Returns
    -------
    pandas.DataFrame
        split; step_NAME of both _PROBABILITIES, null where there is none; answered (int), the thresholds that are met;
        rows and right (int); and the sums of both probabilities under their names.
    """
    is_right = F.coalesce(F.col("letter") == F.col("label"), F.lit(False))
    met = [(F.col("probability") >= F.lit(threshold).cast("float")).cast("int") for threshold in thresholds]
    steps = []
    for name in _PROBABILITIES:
        step = F.least(F.floor(F.col(name) * (BINS * STEPS)), F.lit(BINS * STEPS - 1)).cast("int")
        steps.append(F.when(F.col(name).isNotNull(), step).alias(f"step_{name}"))  # least passes over null
    counts = scored.groupBy("split", *steps, F.coalesce(sum(met, F.lit(0)), F.lit(0)).alias("answered")).agg(
        F.count("*").alias("rows"),
        F.count_if(is_right).alias("right"),
        *(F.sum(name).alias(name) for name in _PROBABILITIES),
    )
    return counts.toPandas()


def at_threshold(split: SplitCertainty, threshold: float) -> Coverage:
    """Return the entry of a split's `coverage` for one of its thresholds."""
    return next(entry for entry in split["coverage"] if entry["threshold"] == threshold)


def _bins(counts: pd.DataFrame) -> list[Bin]:
    of_bins = counts.groupby(counts.index // STEPS)[["rows", "right", "certainty"]].sum()
    return [
        {
            "certainty": float(row["certainty"] / row["rows"]),
            "accuracy": float(row["right"] / row["rows"]),
            "rows": int(row["rows"]),
        }
        for _, row in of_bins.sort_index().iterrows()
    ]


def _expected_error(bins: Sequence[Bin]) -> float | None:
    """Return the expected calibration error: |certainty - accuracy|, averaged over the rows of all bins."""
    rows = sum(each["rows"] for each in bins)
    if not rows:
        return None
    return sum(each["rows"] * abs(each["certainty"] - each["accuracy"]) for each in bins) / rows


def _coverage(threshold: float, rows: int, counts: pd.DataFrame) -> Coverage:
    answered, right = (int(number) for number in counts[["rows", "right"]].sum())
    accuracy = right / answered if answered else None
    return {"threshold": threshold, "coverage": answered / rows, "accuracy": accuracy}


def _curve(counts: pd.DataFrame, rows: int) -> Curve:
    falling = counts.sort_index(ascending=False)
    answered = falling["rows"].cumsum()
    return {
        "coverage": [round(float(share), 5) for share in answered / rows],
        "accuracy": [round(float(share), 5) for share in falling["right"].cumsum() / answered],
    }

"""How far a model's probabilities can be believed, and what is left of it where it may be silent.

In: validation samples, to set the temperature by; scored samples. Out: expected calibration errors, accuracy against
coverage, and the temperature that held-out people ask for. Counted in Spark, worked out on the driver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from aslspark.data.samples import SPLITS
from aslspark.scoring.calibration import LEAST_PROBABILITY, fit_temperature, with_temperature
from aslspark.scoring.model import SignClassifierModel

BINS = 15
"""As in Guo et al. 2017 (see `aslspark.scoring.calibration`): of equal width."""
STEPS = 100
"""Into which a bin is divided for the curve of accuracy against coverage."""
THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
MOST_ROWS = 20_000
"""That a temperature is fitted on."""
TEMPERATURES = tuple(float(value) for value in np.geomspace(0.25, 8, 61).round(4))
"""Those that are tried on what a fold of a cross-validation held out."""


def set_temperature(model: SignClassifierModel, samples: DataFrame) -> None:
    """Set a model's temperature to the one with the least log loss on labelled samples.

    Parameters
    ----------
    model : SignClassifierModel
        Stays as it is where none of the samples can be scored.
    samples : DataFrame
        With `id`, `label` and what the model reads; of validation, on which it was not fitted. Of more than
        `MOST_ROWS`, as many are taken by a hash of the id.
    """
    if (known := _known(model, samples)) is not None:
        model.temperature = round(fit_temperature(*known), 4)


def try_temperatures(model: SignClassifierModel, samples: DataFrame) -> dict[str, Any] | None:
    """Try TEMPERATURES on labelled samples that the model has not seen.

    Parameters
    ----------
    model, samples
        As for `set_temperature`; the model's own temperature does not count.

    Returns
    -------
    dict, optional
        `rows`, and for each temperature `log_loss` (the mean) and `calibration_error` (expected, over `BINS` bins);
        None where none of the samples can be scored.
    """
    if (known := _known(model, samples)) is None:
        return None
    probabilities, places = known
    right = probabilities.argmax(axis=1) == places
    found: dict[str, Any] = {"rows": len(places), "log_loss": [], "calibration_error": []}
    for temperature in TEMPERATURES:
        shares = with_temperature(probabilities, temperature)
        of_label = np.maximum(shares[np.arange(len(places)), places], LEAST_PROBABILITY)
        found["log_loss"].append(round(float(-np.log(of_label).mean()), 5))
        sure = shares.max(axis=1)
        counts = pd.DataFrame(
            {"step": np.minimum(sure * BINS * STEPS, BINS * STEPS - 1).astype(int), "right": right, "certainty": sure}
        )
        found["calibration_error"].append(round(_error(_bins(counts.assign(rows=1))) or 0.0, 5))
    return found


def best_temperature(tried: Sequence[Mapping[str, Any]]) -> float:
    """Return the temperature with the least log loss over all that `try_temperatures` found together."""
    losses = sum(found["rows"] * np.array(found["log_loss"]) for found in tried)
    return TEMPERATURES[int(np.argmin(losses))]


def _known(model: SignClassifierModel, samples: DataFrame) -> tuple[npt.NDArray, npt.NDArray] | None:
    """Score samples whose label the model knows, MOST_ROWS at most: its probabilities, and the labels' places."""
    labelled = samples.where(F.col("label").isin(list(model.labels)))
    known = model.probabilities(labelled)
    usable = known.where("probabilities is not null").select("id", "label", "probabilities")
    scored = usable.orderBy(F.xxhash64("id"), "id").limit(MOST_ROWS).toPandas()
    if not len(scored):
        return None
    places = scored["label"].map({label: place for place, label in enumerate(model.labels)}).to_numpy()
    return np.stack(list(scored["probabilities"])), places


def calibration_metrics(scored: DataFrame, temperature: float, threshold: float) -> dict[str, Any]:
    """Work out how far the probabilities hold.

    Parameters
    ----------
    scored : DataFrame
        With `label`, `split` and what `SignClassifierModel.best_guesses` adds.
    temperature, threshold : float
        The model's.

    Returns
    -------
    dict
        `temperature`, `threshold`, and `splits`: for each split `rows`; `calibration_error` (expected, over `BINS`
        bins) and `calibration_error_before` (the temperature); `bins` and `bins_before`, a list of `certainty`,
        `accuracy` and `rows` for each bin that holds any; `coverage`, a list of `threshold`, `coverage` (share of all
        pictures that are answered) and `accuracy` (of those; null where there are none), and `curve`, the same
        at each step of certainty as two lists. Pictures that could not be scored are in no bin, and never answered.
    """
    right = F.coalesce(F.col("letter") == F.col("label"), F.lit(False))
    marks = sorted({*THRESHOLDS, threshold})
    answered = [F.col("probability") >= F.lit(mark).cast("float") for mark in marks]
    totals = (
        scored.groupBy("split")
        .agg(
            F.count("*").alias("rows"),
            *(F.count_if(sure).alias(f"answered_{n}") for n, sure in enumerate(answered)),
            *(F.count_if(sure & right).alias(f"right_{n}") for n, sure in enumerate(answered)),
        )
        .toPandas()
        .set_index("split")
    )
    both = F.explode(F.array(*(F.struct(F.lit(name).alias("when"), F.col(name).alias("p")) for name in _COLUMNS)))
    step = F.least(F.floor(F.col("of.p") * (BINS * STEPS)), F.lit(BINS * STEPS - 1)).cast("int")
    counts = (
        scored.where("probability is not null")
        .select("split", right.cast("int").alias("right"), both.alias("of"))
        .groupBy("split", F.col("of.when").alias("when"), step.alias("step"))
        .agg(F.count("*").alias("rows"), F.sum("right").alias("right"), F.sum("of.p").alias("certainty"))
        .toPandas()
    )
    splits = {}
    for split in (name for name in SPLITS if name in totals.index):
        total = {str(name): int(number) for name, number in totals.loc[split].to_dict().items()}
        after, before = (_bins(counts[(counts["split"] == split) & (counts["when"] == name)]) for name in _COLUMNS)
        coverage = [
            _coverage(mark, total["rows"], total[f"answered_{n}"], total[f"right_{n}"]) for n, mark in enumerate(marks)
        ]
        mine = counts[(counts["split"] == split) & (counts["when"] == _COLUMNS[0])]
        splits[split] = {
            "rows": total["rows"],
            "calibration_error": _error(after),
            "calibration_error_before": _error(before),
            "bins": after,
            "bins_before": before,
            "coverage": coverage,
            "curve": _curve(mine, total["rows"]),
        }
    return {"temperature": temperature, "threshold": threshold, "splits": splits}


_COLUMNS = ("probability", "as_given")


def at_threshold(part: dict[str, Any], threshold: float) -> dict[str, Any]:
    """Find coverage and accuracy of a split at one of its thresholds."""
    return next(mark for mark in part["coverage"] if mark["threshold"] == threshold)


def _bins(counts: pd.DataFrame) -> list[dict[str, Any]]:
    of_bins = counts.groupby(counts["step"] // STEPS)[["rows", "right", "certainty"]].sum()
    return [
        {
            "certainty": float(row["certainty"] / row["rows"]),
            "accuracy": float(row["right"] / row["rows"]),
            "rows": int(row["rows"]),
        }
        for _, row in of_bins.sort_index().iterrows()
    ]


def _error(bins: Sequence[dict[str, Any]]) -> float | None:
    """Mean over the rows of how far the accuracy of their bin is from what the bin's probabilities say."""
    rows = sum(part["rows"] for part in bins)
    if not rows:
        return None
    return sum(part["rows"] * abs(part["certainty"] - part["accuracy"]) for part in bins) / rows


def _coverage(threshold: float, rows: int, answered: int, right: int) -> dict[str, Any]:
    accuracy = right / answered if answered else None
    return {"threshold": threshold, "coverage": answered / rows, "accuracy": accuracy}


def _curve(counts: pd.DataFrame, rows: int) -> dict[str, list[float]]:
    """Answer the surest first: at each step down, which share of all is answered, and which share of those is right."""
    falling = counts.sort_values("step", ascending=False)
    answered = falling["rows"].cumsum()
    return {
        "coverage": [round(float(share), 5) for share in answered / rows],
        "accuracy": [round(float(share), 5) for share in falling["right"].cumsum() / answered],
    }

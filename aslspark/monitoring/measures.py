"""Pictures and a model -> a few numbers for each: light, sharpness, the hand's place, what was answered and how surely.

In: a DataFrame to score, or one that is scored. Out: one of `MEASURES` (double), `answer`, and `FLAGS` (boolean).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from aslspark.common.catalog import LANDMARKS
from aslspark.data.samples import HAND_COLUMN
from aslspark.features.crops import ROW, brings_hands, crop_to_hands
from aslspark.features.landmarks import HAND_FOUND, PICTURE_POINTS, POINTS, VECTOR_FIELDS, WORLD_POINTS, frame_vectors
from aslspark.features.pictures import Normaliser
from aslspark.images.decoding import UNUSABLE
from aslspark.models.onnx_classifier import NO_HAND_FOUND
from aslspark.scoring.calibration import ABSTAINED
from aslspark.scoring.model import SignClassifierModel, picture_column

PICTURE_MEASURES = {
    "brightness": "mean of the pixels, 0-1",
    "contrast": "standard deviation of the pixels, 0-1",
    "sharpness": "root mean square of the Laplacian, as a share of the contrast",
}
HAND_MEASURES = {
    "hand_size": "longer side of the landmarks' box, as a share of the picture's longer side",
    "hand_x": "middle of that box, rightwards",
    "hand_y": "middle of that box, downwards",
    "spread": "mean distance of the landmarks from their middle, as a share of the palm's length",
}
CONFIDENCE = "confidence"
MEASURES = {**PICTURE_MEASURES, **HAND_MEASURES, CONFIDENCE: "probability of the best guess"}
FLAGS = {
    "unread": "no answer: the picture cannot be used",
    "no_hand": "no hand was found",
    "not_sure": "the answer's probability is below the model's threshold",
}
ANSWER = "answer"

_WRIST, _MIDDLE_KNUCKLE = 0, 9
_KEPT = "_kept"


def picture_measures(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Measure pictures, grey values of 0-1 (the mean of the channels).

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, channels)

    Returns
    -------
    ndarray of float64, shape (n, 3)
        In the order of PICTURE_MEASURES; NaN for the sharpness of a picture of one grey.
    """
    grey = pictures.mean(axis=3, dtype=np.float32) / 255
    contrast = grey.std(axis=(1, 2))
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    edges = np.sqrt(np.square(4 * inner - around).mean(axis=(1, 2)))
    sharpness = np.where(contrast > 1e-4, edges / np.maximum(contrast, 1e-4), np.nan)
    return np.stack([grey.mean(axis=(1, 2)), contrast, sharpness], axis=1).astype(np.float64)


def hand_measures(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Measure hands by their landmarks.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, HAND_NUMBERS)

    Returns
    -------
    ndarray of float64, shape (n, 4)
        In the order of HAND_MEASURES; NaN where no hand was found.
    """
    placed = vectors[:, PICTURE_POINTS].reshape(-1, POINTS, 3)[:, :, :2].astype(np.float64)
    low, high = placed.min(axis=1), placed.max(axis=1)
    shape = vectors[:, WORLD_POINTS].reshape(-1, POINTS, 3).astype(np.float64)
    palm = np.linalg.norm(shape[:, _WRIST] - shape[:, _MIDDLE_KNUCKLE], axis=1)
    spread = np.linalg.norm(shape - shape.mean(axis=1, keepdims=True), axis=2).mean(axis=1)
    found = np.column_stack([(high - low).max(axis=1), (low + high) / 2, spread / np.maximum(palm, 1e-9)])
    found[vectors[:, HAND_FOUND] < 0.5] = np.nan
    return found


def measured(model: SignClassifierModel, dataset: DataFrame, *keep: Column) -> DataFrame:
    """Score pictures, and measure them as the model sees them.

    Parameters
    ----------
    model : SignClassifierModel
        Its `inputCol` names the column of pictures; its threshold says what is not sure.
    dataset : DataFrame
        As for `SignClassifierModel.transform`.
    *keep : Column
        What is kept of the dataset, with names of their own.

    Returns
    -------
    DataFrame
        The kept columns; of MEASURES those that can be had, null where a row has none; `answer` (string, the best
        guess) and FLAGS.
    """
    column = model.getInputCol()
    kept = F.struct(*keep, F.lit(1).alias(_KEPT)).alias(_KEPT)
    looked_at = column in dataset.columns or model.classifier.inputs != (LANDMARKS,)
    unusable = F.lit(None).cast("string")
    if looked_at:
        kind, pictures = picture_column(dataset, column)
        if model.hands is not None and not brings_hands(dataset) and kind != "numbers":
            seen = crop_to_hands(
                dataset.select(kept, column), column, pictures, Normaliser(kind, model.form, model.hands)
            )
            dataset, kept = seen, F.col(ROW)[_KEPT].alias(_KEPT)
            unusable = F.col(column)[UNUSABLE]
    names = [name for name in (column, HAND_COLUMN) if name in dataset.columns]
    scored = model.best_guesses(dataset.select(kept, *names))
    found: dict[str, Column] = {}
    if looked_at:
        kind, pictures = picture_column(scored, column)
        light = _picture_udf(Normaliser(kind, model.form))(pictures).alias("_light")
        scored = scored.select("*", light)
        found |= {name: F.col("_light")[name] for name in PICTURE_MEASURES}
    no_hand = F.col("reason").eqNullSafe(F.lit(NO_HAND_FOUND))
    if model.hands is not None and brings_hands(scored):
        hand = F.struct(*(F.col(HAND_COLUMN)[name].alias(name) for name in VECTOR_FIELDS))
        scored = scored.select("*", _hand_udf()(hand).alias("_hand"))
        found |= {name: F.col("_hand")[name] for name in HAND_MEASURES}
        no_hand = F.col(HAND_COLUMN)["found"].isNull() & unusable.isNull()
    answered = F.col("letter").isNotNull() & unusable.isNull()
    flags = {
        "unread": ~answered & ~no_hand,
        "no_hand": no_hand,
        "not_sure": answered & (F.col("probability") < F.lit(model.getThreshold()).cast("float")),
    }
    found[CONFIDENCE] = F.when(answered, F.col("probability")).cast("double")
    answer = F.when(answered, F.col("letter")).alias(ANSWER)
    kept_names = scored.schema[_KEPT].dataType.names[:-1]  # type: ignore[attr-defined]
    return scored.select(
        *(F.col(_KEPT)[name].alias(name) for name in kept_names),
        *(values.alias(name) for name, values in {**found, **flags}.items()),
        answer,
    )


def of_scored(scored: DataFrame, *keep: Column) -> DataFrame:
    """Take what a scored table says of its answers; its pictures are not looked at.

    Parameters
    ----------
    scored : DataFrame
        With `letter`, `probability`, `top` and `reason`, as `SignClassifierModel.transform` adds them.
    *keep : Column

    Returns
    -------
    DataFrame
        As from `measured`.
    """
    reason, guess = F.col("reason"), F.get("top", F.lit(0))["letter"]
    no_hand, not_sure = (reason.eqNullSafe(F.lit(word)) for word in (NO_HAND_FOUND, ABSTAINED))
    return scored.select(
        *keep,
        F.col("probability").cast("double").alias(CONFIDENCE),
        (guess.isNull() & ~no_hand).alias("unread"),
        no_hand.alias("no_hand"),
        not_sure.alias("not_sure"),
        guess.alias(ANSWER),
    )


def _picture_udf(normaliser: Normaliser) -> Any:
    @F.pandas_udf(", ".join(f"{name} double" for name in PICTURE_MEASURES))  # type: ignore[call-overload]
    def measure(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            pictures, reasons = normaliser(batch)
            values = picture_measures(pictures)
            values[[reason is not None for reason in reasons]] = np.nan
            yield _with_nulls(values, PICTURE_MEASURES)

    return measure


def _hand_udf() -> Any:
    @F.pandas_udf(", ".join(f"{name} double" for name in HAND_MEASURES))  # type: ignore[call-overload]
    def measure(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield _with_nulls(hand_measures(frame_vectors(batch)), HAND_MEASURES)

    return measure


def _with_nulls(values: npt.NDArray[np.float64], names: Any) -> pd.DataFrame:
    return pd.DataFrame(values, columns=list(names)).astype("Float64").mask(np.isnan(values))
